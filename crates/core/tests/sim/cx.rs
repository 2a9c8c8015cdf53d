//! What everyone in the world shares.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use fanwire_core::hub::{Hub, Subscriber};
use fanwire_core::policy::{Door, Subject};

use crate::book::Book;
use crate::events::Event;
use crate::exec::{Exec, Time};
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::tap::Tap;

/// What a promise broken says.
pub type Verdict = Result<(), String>;

pub struct Cx {
    pub plan: Plan,
    pub rng: Rng,
    pub time: Arc<Time>,
    pub exec: Arc<Exec>,
    pub tap: Arc<Tap>,
    pub door: Arc<Door>,
    pub hub: Arc<Hub>,
    pub oracle: Oracle,
    pub book: Book,
    /// The top when the private namespace was closed, while it is.
    pub withdrawn_at: Option<u64>,
    pub withdrawals: u64,
    /// Handles whose owner has not noticed yet that the peer is gone.
    pub graves: Vec<Option<Subscriber>>,
    /// Connections that ever were.
    pub open: Vec<String>,
    /// Idempotency keys acked: publisher, namespace, key.
    pub used: Vec<(String, String, Arc<str>)>,
    pub conns: u64,
    pub keys: u64,
    pub bodies: u64,
}

/// Nobody in particular.
pub fn anonymous() -> Subject {
    Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

impl Cx {
    /// Tells the oracle.
    pub fn judge(&mut self, event: Event) -> Verdict {
        match &event {
            // Told where it happens, or not worth a line.
            Event::Rx(..) | Event::Time(_) | Event::Attach(_) | Event::Published(..) => {}
            event => self.book.line(format_args!("{event:?}")),
        }
        self.oracle.observe(event)
    }

    /// Tells the oracle what the broker did since the last time.
    pub fn sync(&mut self) -> Verdict {
        let events = std::mem::take(&mut self.tap.notes.lock().events);
        events.into_iter().try_for_each(|event| self.judge(event))
    }
}
