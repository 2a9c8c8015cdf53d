#![allow(clippy::unwrap_used)]

mod bounds;
mod model;
mod random;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::broker::testing::{after, key, text};
use crate::broker::{Idempotency, ReadReply, ReadRequest};
use crate::namespace::Rules;

/// The moment `ms` after the clock's origin.
fn at(ms: u64, namespaces: &Namespaces) -> Moment {
    Moment {
        now: Duration::from_millis(ms),
        ts: ms,
        namespaces: Arc::new(namespaces.clone()),
    }
}

fn open() -> Moment {
    at(0, &Namespaces::all(Rules::open()))
}

fn store(limits: &Limits) -> Store {
    Store::new(limits, Epoch(7), 99)
}

fn incoming(targets: &[&str], body: &str) -> Incoming {
    Incoming {
        message: text(targets, body),
        volatile: false,
        keyed: None,
    }
}

fn keyed(targets: &[&str], body: &str, publisher: &str, key: &str) -> Incoming {
    let plain = incoming(targets, body);
    let idempotency = Idempotency {
        publisher: publisher.into(),
        key: key.into(),
    };
    Incoming {
        keyed: Some(Keyed::new(&idempotency, &plain.message)),
        ..plain
    }
}

/// Appends and gives what was stored.
fn put(store: &mut Store, moment: &Moment, targets: &[&str], body: &str) -> Arc<Stored> {
    let outcome = store.append(moment, incoming(targets, body));
    drop(store.take_trash());
    match outcome.fed {
        Some(Ordered::Stored(stored)) => stored,
        _ => panic!("not stored"),
    }
}

fn read(store: &mut Store, moment: &Moment, request: &ReadRequest) -> ReadReply {
    store.snapshot(moment, request).read(request)
}
