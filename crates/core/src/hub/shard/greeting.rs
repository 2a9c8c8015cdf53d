//! Words of a connection's own side that come before its first message.
//!
//! Nothing is queued for who waits for them: the stream is opened and stays behind, at
//! its start, until all is said. What it missed meanwhile it is then fed like anyone
//! who is behind, each message once and in order. It waits for a bounded time, and no
//! longer than the ring surely has what it will be owed: where no history is kept,
//! nothing else would have it.

use super::super::queue::{Command, Entry};
use super::Shard;
use super::catchup::RING_WALK;
use super::flush::HELD_UP;
use super::members::Slot;
use super::sub::Doing;
use crate::clock::Instant;
use crate::cursor::Seq;
use crate::mutant;

/// Messages of the whole feed that may come meanwhile: what is walked over then.
const MOST: usize = 8 * RING_WALK as usize;

/// A wait for what comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Greeting {
    until: Instant,
    /// It began so near to now that the ring has what it is owed.
    recent: bool,
    /// When to see whether it lasts too long.
    pub(super) look_at: Instant,
}

impl Greeting {
    fn new(until: Instant, recent: bool, now: Instant) -> Self {
        let look_at = match recent {
            true => until.min(now + HELD_UP),
            false => until,
        };
        Self {
            until,
            recent,
            look_at,
        }
    }
}

impl Shard {
    /// Until when a stream that is about to be opened is to wait, where it is.
    pub(super) fn greeting(&mut self, slot: Slot) -> Option<Instant> {
        let now = self.now;
        let opening = self.behind(slot)?.opening.as_ref()?;
        opening.greeting.filter(|until| *until > now)
    }

    /// The stream is open; messages, of which the first comes after `before`, wait.
    pub(super) fn greet(&mut self, slot: Slot, until: Instant, before: Seq) {
        let (now, pos) = (self.now, self.pos);
        let Some(sub) = self.sub(slot) else { return };
        // The client's own cursor may be ahead of this node: what it has is not missed.
        let mut from = before.max(sub.served);
        if mutant::active("greeting-skips-messages") {
            from = pos;
        }
        let Some(behind) = self.behind(slot) else {
            return;
        };
        let cursor = behind.cursor.max(from);
        behind.cursor = cursor;
        let near = pos.0.saturating_sub(cursor.0) <= RING_WALK;
        let recent = near && !self.is_far(cursor);
        let Some(behind) = self.behind(slot) else {
            return;
        };
        // Then it is read there.
        behind.dry |= recent;
        behind.doing = Doing::Greeting(Greeting::new(until, recent, now));
        self.schedule(slot);
    }

    /// All is said, or not waited for any longer.
    pub(super) fn on_greeted(&mut self, slot: Slot) {
        let Some(behind) = self.behind(slot) else {
            return;
        };
        if let Some(opening) = &mut behind.opening {
            opening.greeting = None;
        }
        if matches!(behind.doing, Doing::Greeting(_)) {
            behind.doing = Doing::Nothing;
            self.feed(slot);
        }
    }

    /// Ends a wait that has lasted long enough, behind what was said while it did and
    /// stands in the queue: not for the shard's own being late.
    pub(super) fn look_at_greeting(&mut self, slot: Slot) {
        let now = self.now;
        let Some(behind) = self.behind(slot) else {
            return;
        };
        let Doing::Greeting(greeting) = behind.doing else {
            return;
        };
        if greeting.look_at > now {
            return;
        }
        let cursor = behind.cursor;
        let over = greeting.until <= now || greeting.recent && self.is_far(cursor);
        let again = Greeting::new(greeting.until.max(now + HELD_UP), greeting.recent, now);
        let Some(id) = self.set_doing(slot, Doing::Greeting(again)) else {
            return;
        };
        if over {
            self.hub.queues[self.index].send(Entry::Command(id, Command::Greeted));
        }
    }

    fn is_far(&self, cursor: Seq) -> bool {
        self.hub.ring.read().is_far(cursor, MOST)
    }
}
