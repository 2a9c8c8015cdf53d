//! Live delivery: one publication, appended to all who listen.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::attach::Kind;
use super::super::encode::{End, FormId};
use super::super::publication::Publication;
use super::super::queue::Entry;
use super::members::Slot;
use super::sub::{State, Sub};
use super::{SMALL_FAN_OUT, Shard, Tally};
use crate::cursor::{Lineage, Seq};
use crate::limits::Limits;
use crate::mutant;

impl Shard {
    /// Appends a publication to every live subscriber of one of its targets,
    /// before the next one is looked at.
    pub(super) fn deliver(&mut self, publication: &Publication) {
        if mutant::active("yield-between-subscribers") && self.overtake(publication) {
            return;
        }
        self.deliver_to(publication, 0..usize::MAX);
        self.pos = publication.place();
    }

    /// The deliberate bug: the next publication goes first for all but one.
    fn overtake(&mut self, publication: &Publication) -> bool {
        let Some(Entry::Publication(next)) = self.inbox.front() else {
            return false;
        };
        let next = next.clone();
        self.inbox.pop_front();
        self.deliver_to(publication, 0..1);
        self.deliver_to(&next, 0..usize::MAX);
        self.deliver_to(publication, 1..usize::MAX);
        self.pos = next.place();
        true
    }

    fn deliver_to(&mut self, publication: &Publication, range: Range<usize>) {
        let message = publication.message();
        let (seq, place) = (publication.seq(), publication.place());
        if seq.is_none() {
            self.volatiles += 1;
        }
        let fan_out: usize = message
            .targets
            .iter()
            .map(|target| self.members.of(target).len())
            .sum();
        let small = fan_out <= SMALL_FAN_OUT;
        let mut failed: SmallVec<[Slot; 4]> = SmallVec::new();
        for (number, target) in message.targets.iter().enumerate() {
            // The publication's own cache is behind a lock; one look per form is enough.
            let mut forms: SmallVec<[(FormId, Option<Bytes>); 4]> = SmallVec::new();
            let members = self.members.of(target);
            for (slot, _) in members
                .get(range.start..range.end.min(members.len()))
                .unwrap_or(&[])
            {
                let Some(sub) = self.slots[*slot as usize].as_deref_mut() else {
                    continue;
                };
                if !wants(sub, seq, place, self.volatiles) {
                    continue;
                }
                if !message.except.is_empty() && sub.excluded(message) {
                    continue;
                }
                let unit = match forms.iter().find(|(form, _)| *form == sub.form) {
                    Some((_, unit)) => unit.clone(),
                    None => {
                        let encoder = &*self.hub.encoders[usize::from(sub.form.0)];
                        let unit = publication.encoded(sub.form, number, encoder);
                        forms.push((sub.form, unit.clone()));
                        unit
                    }
                };
                let Some(unit) = unit else {
                    failed.push(*slot);
                    continue;
                };
                let taken = match seq {
                    Some(seq) => take(
                        sub,
                        seq,
                        unit,
                        &self.hub.limits,
                        &self.lineage,
                        &mut self.tally,
                    ),
                    None => {
                        sub.last_volatile = self.volatiles;
                        put(sub, unit);
                        true
                    }
                };
                if taken {
                    if sub.outbox.len() + sub.units.len() == 1 {
                        sub.progress = self.now;
                    }
                    sub.last_id = self.now;
                    self.tally.deliveries += 1;
                    self.tally.recount(sub);
                }
                if !sub.dirty && !sub.blocked {
                    sub.dirty = true;
                    if small {
                        &mut self.dirty_small
                    } else {
                        &mut self.dirty_bulk
                    }
                    .push_back(*slot);
                }
            }
        }
        for slot in failed {
            self.tally.faults += 1;
            self.end(slot, End::Fault);
        }
    }
}

/// True where the subscriber hears this publication at all, from here.
fn wants(sub: &Sub, seq: Option<Seq>, place: Seq, volatile: u64) -> bool {
    if sub.ending.is_some() || sub.answer_at.is_some() || !matches!(sub.state, State::Live) {
        return false;
    }
    match seq {
        // Served already by another of the message's targets, or by a cursor
        // that is ahead of this node.
        Some(seq) => seq > sub.served,
        // Volatile: for those who keep up, or not at all. A client that is ahead of
        // this node is not told of a cursor before its own.
        None => sub.is_drained() && sub.last_volatile != volatile && sub.served <= place,
    }
}

/// Puts a unit in the outbox, or says that it does not fit: the subscriber is
/// behind from just before it.
// Called once per delivery: left to itself it is inlined or not by what else the
// shard does, which is a fifth of a delivery.
#[inline(always)]
fn take(
    sub: &mut Sub,
    seq: Seq,
    unit: Bytes,
    limits: &Limits,
    lineage: &Lineage,
    tally: &mut Tally,
) -> bool {
    match sub.kind {
        Kind::Stream if !sub.outbox.fits(unit.len(), limits.outbox) => {
            let refused = if mutant::active("behind-skips-refused") {
                seq
            } else {
                seq.prev()
            };
            Shard::fall_behind(sub, tally, refused);
            return false;
        }
        Kind::Once { limit, .. } => {
            let full = !sub.units.is_empty()
                && (sub.units.len() >= limit || sub.unit_bytes + unit.len() > limits.answer);
            if full {
                sub.answer_at = Some(lineage.cursor(seq.prev()));
                return false;
            }
        }
        Kind::Stream => {}
    }
    sub.served = seq;
    put(sub, unit);
    true
}

/// Adds a unit where its kind gathers them.
pub(super) fn put(sub: &mut Sub, unit: Bytes) {
    if sub.is_once() {
        sub.unit_bytes += unit.len();
        sub.units.push(unit);
    } else {
        sub.outbox.push(unit);
    }
}
