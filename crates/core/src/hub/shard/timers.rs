//! One timer per subscriber at most, kept in order; no task, no allocation of
//! its own per connection.

use std::collections::BTreeSet;

use super::super::queue::SubId;
use crate::clock::Instant;

/// Deadlines in order. An ordered set, not a wheel: exact to the clock's tick,
/// cancelled at once, and a poll's re-arming costs two short descents.
#[derive(Default)]
pub(super) struct Timers {
    order: BTreeSet<(Instant, SubId)>,
}

impl Timers {
    /// Arms `id` at `when`, unless it is armed earlier; `armed` is its timer.
    pub(super) fn arm(&mut self, armed: &mut Option<Instant>, id: SubId, when: Instant) {
        match *armed {
            Some(known) if known <= when => return,
            Some(known) => {
                self.order.remove(&(known, id));
            }
            None => {}
        }
        self.order.insert((when, id));
        *armed = Some(when);
    }

    /// Disarms.
    pub(super) fn disarm(&mut self, armed: &mut Option<Instant>, id: SubId) {
        if let Some(known) = armed.take() {
            self.order.remove(&(known, id));
        }
    }

    /// Takes one that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<SubId> {
        let (when, _) = self.order.first()?;
        if *when > now {
            return None;
        }
        self.order.pop_first().map(|(_, id)| id)
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(when, _)| *when)
    }
}
