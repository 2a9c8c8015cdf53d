//! What the brokers' tests share: a clock to turn, short forms, a rig.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::{
    Append, AppendError, Appended, Broker, BrokerFuture, Fed, Feed, FeedEvent, Idempotency,
    ReadReply, ReadRequest, Tail,
};
use crate::clock::{Clock, Instant};
use crate::cursor::Seq;
use crate::key::Key;
use crate::limits::Limits;
use crate::message::{Body, Keys, Message};
use crate::namespace::{History, Namespaces, Rules};
use crate::policy::Door;

/// A clock that stands until it is turned.
#[derive(Default)]
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn turn(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000 + self.0.load(Ordering::SeqCst)
    }
}

/// What a broker is made with.
pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) namespaces: Namespaces,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            namespaces: Namespaces::all(Rules::open()),
        }
    }
}

/// A broker, what it was made with, and how to make it work.
pub(super) struct Rig {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) clock: Arc<TestClock>,
    pub(super) door: Arc<Door>,
    pub(super) step: Box<dyn Fn()>,
}

impl Rig {
    /// The future's value, however many steps it takes; panics past a million.
    pub(super) fn wait<T>(&self, mut future: BrokerFuture<T>) -> T {
        for _ in 0..1_000_000 {
            if let Poll::Ready(value) = poll(&mut future) {
                return value;
            }
            (self.step)();
        }
        panic!("never ready");
    }

    pub(super) fn publish(&self, append: Append) -> Result<Appended, AppendError> {
        let future = self.broker.append(vec![append]).pop().unwrap();
        self.wait(future)
    }

    /// Publishes and gives the seq.
    pub(super) fn put(&self, append: Append) -> Seq {
        match self.publish(append) {
            Ok(Appended::Kept { id, .. }) => id.seq,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn read(&self, request: ReadRequest) -> ReadReply {
        self.wait(self.broker.read(request)).unwrap()
    }

    pub(super) fn tail(&self, channels: &[&str], n: usize) -> Tail {
        self.wait(self.broker.tail(keys(channels), n)).unwrap()
    }

    /// What the feed gives until it has nothing left, and 200 steps more.
    pub(super) fn drain(&self, feed: &mut dyn Feed) -> Vec<FeedEvent> {
        let mut events = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..200 {
            while let Poll::Ready(event) = feed.poll_next(&mut cx) {
                events.push(event);
            }
            (self.step)();
        }
        events
    }
}

pub(super) fn poll<T>(future: &mut BrokerFuture<T>) -> Poll<T> {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(future).poll(&mut cx)
}

pub(super) fn key(name: &str) -> Key {
    Key::parse(name.as_bytes()).unwrap()
}

pub(super) fn keys(names: &[&str]) -> Keys {
    names.iter().map(|name| key(name)).collect()
}

pub(super) fn text(targets: &[&str], body: &str) -> Message {
    Message {
        targets: keys(targets),
        ..Message::to(
            key("x"),
            Body::Text(Bytes::copy_from_slice(body.as_bytes())),
        )
    }
}

/// A plain message on its way in.
pub(super) fn message(targets: &[&str], body: &str) -> Append {
    Append {
        message: text(targets, body),
        volatile: false,
        idempotency: None,
        credit: None,
    }
}

pub(super) fn keyed(targets: &[&str], body: &str, publisher: &str, key: &str) -> Append {
    Append {
        idempotency: Some(Idempotency {
            publisher: publisher.into(),
            key: key.into(),
        }),
        ..message(targets, body)
    }
}

/// Everything of some channels after a seq.
pub(super) fn after(channels: &[&str], after: u64) -> ReadRequest {
    ReadRequest {
        channels: keys(channels),
        after: Seq(after),
        upto: Seq(u64::MAX),
        max_messages: usize::MAX,
        max_bytes: usize::MAX,
    }
}

pub(super) fn seqs(reply: &ReadReply) -> Vec<u64> {
    reply.messages.iter().map(|stored| stored.seq().0).collect()
}

/// The seqs that a feed brought, 0 for a volatile message.
pub(super) fn fed_seqs(events: &[FeedEvent]) -> Vec<u64> {
    let mut seqs = Vec::new();
    for event in events {
        let FeedEvent::Batch(batch) = event else {
            continue;
        };
        seqs.extend(batch.iter().map(|fed| match fed {
            Fed::Stored(stored, _) => stored.seq().0,
            Fed::Volatile(..) => 0,
        }));
    }
    seqs
}

pub(super) fn history(messages: usize, bytes: usize, ttl_secs: u64) -> Rules {
    Rules {
        history: History {
            messages,
            bytes,
            ttl: Duration::from_secs(ttl_secs),
        },
        ..Rules::open()
    }
}
