//! What a connection says of its own accord: replies and answers to pings.

use bytes::Bytes;

use super::super::encode::End;
use super::super::queue::Emit;
use super::Shard;
use super::catchup::UNDECIDED;
use super::members::Slot;
use super::sub::State;
use crate::cursor::Cursor;

/// What a reply that is not made yet counts for in what is held.
const UNMADE: usize = 4 * 1024;

/// A reply.
pub(super) enum Reply {
    /// As it is.
    Made(Bytes),
    /// To be made of the cursor up to which the subscriber has been served.
    Unmade(Emit),
}

/// Replies that wait for `$ready`, in order.
#[derive(Default)]
pub(super) struct Held {
    replies: Vec<Reply>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, reply: Reply) {
        self.bytes += match &reply {
            Reply::Made(unit) => unit.len(),
            Reply::Unmade(_) => UNMADE,
        };
        self.replies.push(reply);
    }
}

impl Shard {
    /// A reply of the connection's own.
    pub(super) fn on_send(&mut self, slot: Slot, unit: Bytes) {
        self.on_reply(slot, Reply::Made(unit));
    }

    /// A reply that says how far the subscriber has been served.
    pub(super) fn on_emit(&mut self, slot: Slot, unit: Emit) {
        self.on_reply(slot, Reply::Unmade(unit));
    }

    fn on_reply(&mut self, slot: Slot, reply: Reply) {
        let bound = 2 * self.hub.limits.outbox;
        let Some(sub) = self.sub(slot) else { return };
        if sub.ending.is_some() {
            return;
        }
        let (form, held) = match &sub.state {
            State::Behind(behind) => (
                sub.form,
                behind.opening.as_ref().map(|opening| opening.held.bytes),
            ),
            State::Live => (sub.form, None),
        };
        if sub.outbox.bytes() + held.unwrap_or(0) > bound {
            return self.end_at_once(slot, End::Slow);
        }
        if held.is_some() {
            let waits = self.encoder(form).replies_wait();
            let Some(behind) = self.behind(slot) else {
                return;
            };
            let decided = behind.cursor != UNDECIDED;
            if let Some(opening) = &mut behind.opening
                && (waits
                    || opening.greeting.is_some()
                    || !opening.held.replies.is_empty()
                    || !decided && matches!(reply, Reply::Unmade(_)))
            {
                return opening.held.push(reply);
            }
            // Nothing goes before the response head.
            if let Some(sub) = self.sub(slot) {
                let preface = std::mem::take(&mut sub.preface);
                self.append(slot, preface);
            }
        }
        let unit = match reply {
            Reply::Made(unit) => unit,
            Reply::Unmade(emit) => emit(self.served_to(slot)),
        };
        self.append(slot, unit);
    }

    /// `$ready` is written: what waited for it goes out behind it.
    pub(super) fn let_out(&mut self, slot: Slot, held: Held, cursor: Cursor) {
        for reply in held.replies {
            let unit = match reply {
                Reply::Made(unit) => unit,
                Reply::Unmade(emit) => emit(cursor),
            };
            self.append(slot, unit);
        }
    }

    /// Up to where a subscriber has been served by what stands in its outbox.
    fn served_to(&mut self, slot: Slot) -> Cursor {
        let pos = self.pos;
        let Some(sub) = self.sub(slot) else {
            return self.cursor(pos);
        };
        let at = match &sub.state {
            State::Live => pos,
            State::Behind(behind) => behind.cursor,
        };
        match sub.ahead.filter(|_| sub.served > at) {
            Some(ahead) => ahead,
            None => self.cursor(at),
        }
    }

    /// An answer to a ping: each while the peer reads, the latest alone while it
    /// does not.
    pub(super) fn on_pong(&mut self, slot: Slot, unit: Bytes) {
        /// Answers to pings that may stand among what waits, in bytes.
        const PONGS: usize = 4 * 1024;
        let Some(sub) = self.sub(slot) else { return };
        let opening = matches!(&sub.state, State::Behind(behind) if behind.opening.is_some());
        if sub.ending.is_some() {
            return;
        }
        if sub.blocked || opening || sub.outbox.bytes() + unit.len() > PONGS {
            sub.pong = Some(unit);
            self.mark(slot, true);
        } else {
            self.append(slot, unit);
        }
    }
}
