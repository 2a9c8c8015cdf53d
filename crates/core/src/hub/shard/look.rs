//! Who is here, for operators: a stretch of slots at a time, so that a turn stays
//! short however many there are. Slots do not move, so that whoever is here all
//! the while is seen once.

use super::super::look::{KEYS_SHOWN, Look, Present, SLOTS_PER_LOOK, Seen};
use super::Shard;
use super::sub::{State, Sub};
use crate::key::Key;

impl Shard {
    pub(super) fn look(&self, look: Look) {
        let Look {
            filter,
            from,
            most,
            reply,
        } = look;
        let end = self.slots.len().min(from.saturating_add(SLOTS_PER_LOOK));
        let mut rows = Vec::new();
        let mut at = from;
        while at < end && rows.len() < most {
            if let Some(sub) = self.slots[at].as_deref()
                && filter.takes(&sub.conn, sub.permit.subject(), sub.keys())
            {
                let present = self.present(sub);
                let transport = filter.transport.as_deref();
                if transport.is_none_or(|only| only == present.transport) {
                    rows.push(present);
                }
            }
            at += 1;
        }
        let next = (at < self.slots.len()).then_some(at);
        if let Some(waker) = reply.answer(Seen { rows, next }) {
            waker.wake();
        }
    }

    fn present(&self, sub: &Sub) -> Present {
        let about = sub.writer.as_ref().map(|writer| writer.about());
        let about = about.unwrap_or_default();
        let keys = || {
            sub.keys()
                .iter()
                .filter(|key| !matches!(key, Key::Socket(..)))
        };
        Present {
            conn: sub.conn.clone(),
            subject: sub.permit.subject().clone(),
            transport: about.transport,
            address: about.address,
            age: self.now.saturating_sub(sub.since),
            keys: keys().take(KEYS_SHOWN).cloned().collect(),
            key_count: keys().count(),
            pending: sub.outbox.bytes() + sub.unit_bytes + about.pending,
            behind: matches!(sub.state, State::Behind(_)),
        }
    }
}
