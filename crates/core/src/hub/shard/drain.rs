//! The end of a node: everyone is told, polls are answered, and streams end one
//! after the other over a window, so that who is let go here does not come back
//! elsewhere in one instant with all the others.
//!
//! A walk over the slots, paced by the clock: one deadline for the whole shard,
//! and work in proportion to the time that has passed. No stream comes while it
//! lasts, so every stream has its turn once.

use std::time::Duration;

use super::super::encode::End;
use super::Shard;
use super::members::Slot;
use super::sub::{State, Sub};
use crate::clock::Instant;
use crate::mutant;

/// Time between two steps of the walk, at least.
const STEP: Duration = Duration::from_millis(20);

/// The walk.
pub(super) struct Draining {
    since: Instant,
    window: Duration,
    /// Slots walked over.
    done: Slot,
    /// Slots in all.
    slots: Slot,
}

impl Draining {
    /// Slots whose turn has come: the first at once, the last before the end of
    /// the window.
    fn due(&self, now: Instant) -> Slot {
        let gone = now.saturating_sub(self.since);
        if gone >= self.window {
            return self.slots;
        }
        let share = u128::from(self.slots) * gone.as_nanos() / self.window.as_nanos().max(1);
        let share = Slot::try_from(share).unwrap_or(Slot::MAX);
        share.saturating_add(1).min(self.slots)
    }

    /// When the next slot's turn comes; none once all are done.
    fn next(&self, now: Instant) -> Option<Instant> {
        let left = self.slots.checked_sub(self.done).filter(|left| *left > 0)?;
        let each = self.window / self.slots.max(1);
        let until_last = each.saturating_mul(left - 1);
        let due = self.since + self.window.saturating_sub(until_last + each);
        Some(due.max(now + STEP))
    }
}

impl Shard {
    /// Tells all streams, answers all polls, and begins to let streams go.
    pub(super) fn on_drain(&mut self, window: Duration) {
        self.draining = Some(Draining {
            since: self.now,
            window,
            done: 0,
            slots: self.slots.len() as Slot,
        });
        self.for_all(|shard, slot| {
            let Some(sub) = shard.sub(slot) else { return };
            if sub.is_once() {
                return shard.end(slot, End::Shutdown);
            }
            let opening = matches!(&sub.state, State::Behind(behind) if behind.opening.is_some());
            // Who is being opened hears it behind `$ready`.
            if !opening && sub.ending.is_none() {
                shard.tell_drain(slot);
            }
        });
    }

    /// Says `$drain` to a stream, where the shard is at it.
    pub(super) fn tell_drain(&mut self, slot: Slot) {
        let Some(draining) = &self.draining else {
            return;
        };
        let left = (draining.since + draining.window).saturating_sub(self.now);
        let Some(form) = self.sub(slot).map(|sub| sub.form) else {
            return;
        };
        if let Some(unit) = self.encoder(form).drain(left) {
            self.append(slot, unit);
        }
    }

    /// Lets those streams go whose turn has come.
    pub(super) fn drain_some(&mut self) {
        let now = self.now;
        while let Some(draining) = &mut self.draining {
            let slot = draining.done;
            if slot >= draining.due(now) {
                return;
            }
            draining.done += 1;
            let skips = mutant::active("drain-skips-behind");
            let passes =
                |sub: &Sub| sub.is_once() || skips && matches!(sub.state, State::Behind(_));
            if self.sub(slot).is_some_and(|sub| !passes(sub)) {
                self.guarded(slot, |shard, slot| shard.end(slot, End::Shutdown));
            }
        }
    }

    /// When there is more to let go.
    pub(super) fn drains_at(&self) -> Option<Instant> {
        self.draining.as_ref()?.next(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(slots: Slot, window: u64) -> Draining {
        Draining {
            since: Instant::from_secs(5),
            window: Duration::from_millis(window),
            done: 0,
            slots,
        }
    }

    #[test]
    fn streams_end_evenly_over_the_window_and_none_is_left_at_its_end() {
        let walk = walk(1_000, 4_000);
        let due = |ms| walk.due(Instant::from_secs(5) + Duration::from_millis(ms));
        assert_eq!((due(0), due(4), due(1_000), due(3_999)), (1, 2, 251, 1_000));
        assert_eq!((due(4_000), due(90_000)), (1_000, 1_000));
    }

    #[test]
    fn the_next_step_is_never_nearer_than_a_tick_and_none_comes_after_the_last() {
        for (slots, window) in [(3, 900), (1_000, 4_000), (1, 50), (7, 0)] {
            let mut walk = walk(slots, window);
            let mut now = walk.since;
            let mut steps = 0;
            loop {
                walk.done = walk.due(now);
                let Some(next) = walk.next(now) else { break };
                assert!(next >= now + STEP);
                now = next;
                steps += 1;
            }
            assert_eq!(walk.done, slots);
            assert!(
                steps <= window / 20 + 1,
                "{steps} steps for {slots} in {window} ms"
            );
        }
    }

    #[test]
    fn a_shard_without_streams_has_nothing_to_wait_for() {
        let walk = walk(0, 4_000);
        assert_eq!((walk.due(walk.since), walk.next(walk.since)), (0, None));
    }
}
