//! What everyone in the world shares.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use fanwire_core::broker::{ChaosBroker, ChaosEvent};
use fanwire_core::hub::{Hub, Subscriber};
use fanwire_core::policy::{Door, Subject};
use parking_lot::Mutex;

use crate::book::Book;
use crate::events::{At, Event};
use crate::exec::{Exec, Time};
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::tap::{Tap, entry};

/// What a promise broken says.
pub use crate::truth::Verdict;

pub struct Cx {
    pub plan: Plan,
    pub rng: Rng,
    pub time: Arc<Time>,
    pub exec: Arc<Exec>,
    pub tap: Arc<Tap>,
    /// The broker below, where it is one that misbehaves, and how much of its
    /// history is told.
    pub chaos: Option<Arc<ChaosBroker>>,
    pub told: usize,
    /// Cuts so far, whether or not the feed has brought them.
    pub cuts: usize,
    pub door: Arc<Door>,
    pub hub: Arc<Hub>,
    pub oracle: Oracle,
    pub book: Book,
    /// The top when the private namespace was closed, while it is.
    pub withdrawn_at: Option<u64>,
    pub withdrawals: u64,
    /// Live streams were asked again too, not replays alone.
    pub rechecked: bool,
    /// The node stops.
    pub draining: bool,
    /// What was kept since.
    pub kept_since: HashSet<At>,
    /// Handles whose owner has not noticed yet that the peer is gone.
    pub graves: Vec<Option<Subscriber>>,
    /// Connections that ever were.
    pub open: Vec<String>,
    /// Idempotency keys acked: publisher, namespace, key.
    pub used: Vec<(String, String, Arc<str>)>,
    /// Writes that blocked, and that were taken in part.
    pub writes: Arc<Mutex<(u64, u64)>>,
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
            Event::Join(..) | Event::Leave(..) => {}
            event => self.book.line(format_args!("{event:?}")),
        }
        if let Event::Kept(entry) = &event {
            self.kept_since.insert(entry.id.clone());
        }
        self.oracle.observe(event)
    }

    /// Tells the oracle what the broker did since the last time.
    pub fn sync(&mut self) -> Verdict {
        if let Some(chaos) = &self.chaos {
            let happened = chaos.history_from(self.told);
            self.told += happened.len();
            for event in happened {
                self.happened(event)?;
            }
        }
        let events = std::mem::take(&mut self.tap.notes.lock().events);
        events.into_iter().try_for_each(|event| self.judge(event))
    }

    /// What truly happened, in the oracle's words.
    fn happened(&mut self, event: ChaosEvent) -> Verdict {
        let now = self.time.ms();
        match event {
            ChaosEvent::Appended(stored) => {
                let epoch = stored.id.epoch.to_string();
                self.judge(Event::Kept(entry(
                    &stored.message,
                    epoch,
                    stored.id.seq.0,
                    now,
                )))
            }
            ChaosEvent::Cut { epoch, first } => {
                self.cuts += 1;
                self.judge(Event::Cut(epoch.to_string(), first.0))
            }
            ChaosEvent::Lost { through } => self.judge(Event::Lost(through.0)),
            // A volatile message's place is where the feed brings it; what is
            // trimmed and evicted, the oracle finds out from the rules.
            ChaosEvent::Volatile(_) | ChaosEvent::Trimmed { .. } => Ok(()),
            ChaosEvent::Evicted { .. } => {
                self.book.count("record evicted");
                Ok(())
            }
        }
    }
}
