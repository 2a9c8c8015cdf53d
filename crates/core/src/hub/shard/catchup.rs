//! Feeding those who are behind: from the ring inside the turn where it still
//! holds the stretch, else by chunks read from the broker's log.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::super::attach::Kind;
use super::super::encode::{End, Gap};
use super::members::Slot;
use super::sub::{Doing, State};
use super::{Command, Shard};
use crate::broker::{Loss, ReadReply, ReadRequest, Unavailable};
use crate::cursor::{Cursor, GapReason, Lineage, Resolved, Seq};
use crate::message::Stored;
use crate::mutant;

/// A catch-up of more messages of the whole feed than this asks the broker,
/// whose log is by channel, rather than walk the ring.
pub(super) const RING_WALK: u64 = 2048;
/// With more keys than this, fewer messages: each is looked up among them.
const FEW_KEYS: u64 = 16;

/// A stretch to be appended: messages in order, and how far it is complete.
struct Chunk {
    messages: Vec<Arc<Stored>>,
    complete_through: Seq,
}

impl Shard {
    /// Gives a subscriber that is behind the next chunk, where its outbox is
    /// empty and nothing is under way.
    pub(super) fn feed(&mut self, slot: Slot) {
        let pos = self.pos;
        let Some(sub) = self.sub(slot) else { return };
        if !sub.is_drained() || sub.ending.is_some() {
            return;
        }
        let State::Behind(behind) = &sub.state else {
            return;
        };
        if behind.doing != Doing::Nothing || !self.still_permitted(slot) {
            return;
        }
        let Some(behind) = self.behind(slot) else {
            return;
        };
        let (cursor, dry) = (behind.cursor, behind.dry);
        // What a returning client may still have, the log says: the ring may
        // reach further back than the namespace's rules.
        let opening = behind.opening.is_some();
        let keys = self.sub(slot).map_or(0, |sub| sub.keys().len()) as u64;
        let walk = RING_WALK * FEW_KEYS / keys.max(FEW_KEYS);
        let near = dry || pos.0.saturating_sub(cursor.0) <= walk;
        if (cursor >= pos || (near && !opening))
            && let Some(chunk) = self.walk_ring(slot, cursor, pos)
        {
            return self.take_chunk(slot, chunk, &[]);
        }
        if self.reads < self.hub.limits.reads_per_shard {
            self.read(slot);
        } else if let Some(id) = self.set_doing(slot, Doing::Waiting) {
            self.waiting_reads.push_back(id);
        }
    }

    /// The messages of the ring that a subscriber is owed, one chunk of them;
    /// none where the ring does not reach back to its cursor.
    fn walk_ring(&mut self, slot: Slot, cursor: Seq, pos: Seq) -> Option<Chunk> {
        if cursor >= pos {
            return Some(Chunk {
                messages: Vec::new(),
                complete_through: cursor,
            });
        }
        let (max_messages, max_bytes) = self.chunk_size(slot);
        let hub = self.hub.clone();
        let ring = hub.ring.read();
        let sub = self.sub(slot)?;
        let keys = sub.keys();
        let mut chunk = Chunk {
            messages: Vec::new(),
            complete_through: pos,
        };
        let mut bytes = 0;
        for stored in ring.range(cursor, pos)? {
            if !stored
                .message
                .targets
                .iter()
                .any(|target| keys.contains(target))
            {
                continue;
            }
            let cost = stored.cost();
            let full = chunk.messages.len() >= max_messages || bytes + cost > max_bytes;
            if full && !chunk.messages.is_empty() {
                chunk.complete_through = chunk.messages.last().map_or(cursor, |last| last.seq());
                break;
            }
            bytes += cost;
            chunk.messages.push(stored.clone());
        }
        Some(chunk)
    }

    fn chunk_size(&mut self, slot: Slot) -> (usize, usize) {
        let (chunk, answer) = (self.hub.limits.chunk, self.hub.limits.answer);
        match self.sub(slot).map(|sub| sub.kind) {
            Some(Kind::Once { limit, .. }) => (limit.max(1), answer),
            _ => (usize::MAX, chunk),
        }
    }

    fn read(&mut self, slot: Slot) {
        let (max_messages, max_bytes) = self.chunk_size(slot);
        let upto = self.pos;
        let generation = self.generation;
        let Some(id) = self.set_doing(slot, Doing::Reading) else {
            return;
        };
        let Some(after) = self.behind(slot).map(|behind| behind.cursor) else {
            return;
        };
        let Some(sub) = self.sub(slot) else { return };
        let channels = sub.keys().clone();
        let request = ReadRequest {
            channels,
            after,
            upto,
            max_messages,
            max_bytes,
        };
        self.reads += 1;
        let question = self.hub.broker.read(request);
        self.ask(id, question, move |reply| Command::Read(generation, reply));
    }

    /// A read slot is free: the first in line has it.
    pub(super) fn read_over(&mut self) {
        self.reads -= 1;
        // Who is fed from the ring meanwhile leaves the slot to the next.
        while self.reads < self.hub.limits.reads_per_shard {
            let Some(id) = self.waiting_reads.pop_front() else {
                return;
            };
            let Some(slot) = self.by_id.get(&id).copied() else {
                continue;
            };
            let Some(behind) = self.behind(slot) else {
                continue;
            };
            if behind.doing == Doing::Waiting {
                behind.doing = Doing::Nothing;
                self.guarded(slot, Self::feed);
            }
        }
    }

    pub(super) fn on_read(
        &mut self,
        slot: Slot,
        generation: u64,
        reply: Result<ReadReply, Unavailable>,
    ) {
        let Some(behind) = self.behind(slot) else {
            return;
        };
        if behind.doing != Doing::Reading {
            return;
        }
        behind.doing = Doing::Nothing;
        if generation != self.generation {
            // Read before a cut: what it says may be gone.
            return self.feed(slot);
        }
        let Ok(reply) = reply else {
            return self.pause(slot, self.hub.limits.broker_retry);
        };
        if self.is_ahead(slot, &reply) {
            return self.pause(slot, self.hub.limits.broker_retry);
        }
        let lost = self.untold(slot, &reply.lost);
        let Some(behind) = self.behind(slot) else {
            return;
        };
        if !lost.is_empty() && behind.opening.is_none() {
            // A reader slower than its channel for ever hears of it once a second.
            let interval = self.hub.limits.gap_interval;
            let due = self
                .sub(slot)
                .and_then(|sub| sub.last_gap)
                .map(|last| last + interval);
            if let Some(due) = due.filter(|due| *due > self.now) {
                return self.pause_until(slot, due);
            }
        }
        let dry = reply.complete_through >= self.pos || reply.messages.is_empty();
        let Some(behind) = self.behind(slot) else {
            return;
        };
        behind.dry = dry;
        let chunk = Chunk {
            messages: reply.messages,
            complete_through: reply.complete_through,
        };
        self.take_chunk(slot, chunk, &lost);
    }

    /// True where the broker has gone on under an epoch of which the feed has not
    /// told yet: its log no longer has what this node stands on, and what it has
    /// instead may not come before the cut is told.
    fn is_ahead(&mut self, slot: Slot, reply: &ReadReply) -> bool {
        let pos = self.pos;
        let known = |stored: &Arc<Stored>| self.lineage.knows(stored.id.epoch);
        let foreign = !reply.messages.iter().all(known);
        self.behind(slot).is_some_and(|behind| {
            let short = reply.complete_through < pos && reply.messages.is_empty();
            foreign || short && reply.complete_through <= behind.cursor
        })
    }

    /// The losses that concern this subscriber and were not told yet; marks them
    /// as told once they are written.
    fn untold(&mut self, slot: Slot, lost: &[Loss]) -> Vec<Loss> {
        let Some(sub) = self.sub(slot) else {
            return Vec::new();
        };
        let State::Behind(behind) = &sub.state else {
            return Vec::new();
        };
        lost.iter()
            .filter(|loss| {
                let number = sub.keys().iter().position(|key| *key == loss.channel);
                let floor = number.and_then(|number| behind.floors.get(number)).copied();
                floor.is_some_and(|floor| loss.lost_through > floor.owed.max(behind.cursor))
            })
            .cloned()
            .collect()
    }

    /// Writes gaps, then messages, and moves the cursor.
    fn take_chunk(&mut self, slot: Slot, chunk: Chunk, lost: &[Loss]) {
        let Some(sub) = self.sub(slot) else { return };
        let State::Behind(behind) = &sub.state else {
            return;
        };
        let (cursor, form) = (behind.cursor, sub.form);
        let owed: Vec<Arc<Stored>> = chunk
            .messages
            .into_iter()
            .filter(|stored| stored.seq() > sub.served)
            .filter(|stored| sub.owed(behind, &stored.message, stored.seq()))
            .filter(|stored| {
                mutant::active("replay-ignores-except")
                    || !sub.excluded_then(behind, &stored.message, stored.seq())
            })
            .collect();
        let owed = self.conflate(slot, owed);
        let before = owed
            .first()
            .map_or(chunk.complete_through, |first| first.seq().prev());
        let greeting = self.greeting(slot);
        let opening = self
            .behind(slot)
            .is_some_and(|behind| behind.opening.is_some());
        if opening {
            if !self.write_opening(slot, lost, before) {
                return;
            }
        } else if !lost.is_empty() {
            let gaps: Vec<Gap> = lost
                .iter()
                .map(|loss| self.gap_of(loss, cursor, true))
                .collect();
            let now = self.now;
            if let Some(sub) = self.sub(slot) {
                sub.last_gap = Some(now);
            }
            if !self.write_gaps(slot, &gaps) {
                return;
            }
        }
        for loss in lost {
            let Some(sub) = self.sub(slot) else { return };
            let number = sub.keys().iter().position(|key| *key == loss.channel);
            if let (Some(number), State::Behind(behind)) = (number, &mut sub.state) {
                behind.told(number, loss.lost_through);
            }
        }
        if let Some(until) = greeting {
            return self.greet(slot, until, before);
        }
        let encoder = self.encoder(form);
        let mut through = chunk.complete_through;
        let mut first = true;
        let (outbox, answer) = (self.hub.limits.outbox, self.hub.limits.answer);
        for stored in &owed {
            let Some(target) = self
                .sub(slot)
                .and_then(|sub| sub.target_of(&stored.message, stored.seq()))
            else {
                continue;
            };
            let Some(unit) = self.cache.encoded(stored, form, target, &*encoder) else {
                self.tally.faults += 1;
                return self.end(slot, End::Fault);
            };
            let Some(sub) = self.sub(slot) else { return };
            let fits = match sub.kind {
                Kind::Stream => sub.outbox.fits(unit.len(), outbox),
                // Gaps alone would bring the client back to the same place for ever.
                Kind::Once { .. } => first || sub.unit_bytes + unit.len() <= answer,
            };
            if !fits {
                through = stored.seq().prev();
                break;
            }
            sub.served = stored.seq();
            first = false;
            self.tally.deliveries += 1;
            self.append(slot, unit);
        }
        let Some(behind) = self.behind(slot) else {
            return;
        };
        behind.cursor = through;
        let cursor = self.cursor(through);
        let pos = self.pos;
        let now = self.now;
        let Some(sub) = self.sub(slot) else { return };
        sub.last_id = now;
        if sub.is_once() && !sub.units.is_empty() {
            sub.answer_at = Some(cursor);
            self.mark(slot, true);
        } else if through >= pos {
            self.go_live(slot);
            if self.sub(slot).is_some_and(|sub| sub.is_once()) {
                self.on_once_live(slot);
            }
        } else if self.sub(slot).is_some_and(|sub| sub.is_drained()) {
            // Nothing of it was owed: on with the next chunk, at the end of the
            // line like everyone else.
            self.mark(slot, false);
        }
    }

    /// Leaves out values that a later one of the same chunk supersedes, where
    /// the namespace conflates.
    fn conflate(&mut self, slot: Slot, owed: Vec<Arc<Stored>>) -> Vec<Arc<Stored>> {
        let keyed = owed.iter().any(|stored| stored.message.key.is_some());
        let Some(sub) = self.sub(slot).filter(|_| keyed) else {
            return owed;
        };
        if !sub.permit.conflates() {
            return owed;
        }
        let mut newest: HashMap<_, Seq, foldhash::fast::RandomState> = HashMap::default();
        let single = |stored: &Stored| {
            let [target] = stored.message.targets.as_slice() else {
                return None;
            };
            Some((target.clone(), stored.message.key.clone()?))
        };
        for stored in &owed {
            if let Some(key) = single(stored) {
                newest.insert(key, stored.seq());
            }
        }
        owed.into_iter()
            .filter(|stored| {
                single(stored).is_none_or(|key| newest.get(&key) == Some(&stored.seq()))
            })
            .collect()
    }

    /// Tries again after a while.
    pub(super) fn pause(&mut self, slot: Slot, time: Duration) {
        self.pause_until(slot, self.now + time);
    }

    fn pause_until(&mut self, slot: Slot, until: crate::clock::Instant) {
        self.set_doing(slot, Doing::Pausing(until));
        self.schedule(slot);
    }

    /// Goes on after a pause.
    pub(super) fn unpause(&mut self, slot: Slot) {
        let Some(behind) = self.behind(slot) else {
            return;
        };
        behind.doing = Doing::Nothing;
        // In an opening whose start is not known yet, the question is asked again.
        let undecided = behind.opening.is_some() && behind.cursor == UNDECIDED;
        if undecided {
            self.open(slot)
        } else {
            self.feed(slot)
        }
    }

    /// A new epoch cut away what was given at `first` or after.
    pub(super) fn on_cut(&mut self, slot: Slot, first: Seq, old: &Lineage) {
        let end = first.prev();
        let pos = self.pos;
        let cursor = self.cursor(end);
        let lineage = self.lineage.clone();
        // A cursor that was no good before is left to be told when it comes back.
        let valid =
            |lineage: &Lineage, at: Cursor| lineage.resolve(at, at.seq()) == Resolved::At(at.seq());
        let cut_away = |at: Cursor| valid(old, at) && !valid(&lineage, at);
        let Some(sub) = self.sub(slot) else { return };
        if sub.ending.is_some() {
            return;
        }
        let keys = sub.keys().clone();
        let reached = match &sub.state {
            State::Live => pos.max(sub.served),
            State::Behind(behind) => behind.cursor.max(sub.served),
        };
        if sub.served >= first {
            sub.served = end;
            // Still ahead of this node, at what is left of its own cursor.
            sub.ahead = (end > pos).then_some(cursor);
        }
        if sub.answer_at.is_some_and(cut_away) {
            sub.answer_at = Some(cursor);
        }
        if let State::Behind(behind) = &mut sub.state {
            for floor in &mut behind.floors {
                floor.owed = floor.owed.min(end);
                floor.joined = floor.joined.map(|joined| joined.min(end));
            }
            if let Some(opening) = &mut behind.opening {
                opening.asked_at = opening.asked_at.min(end);
            }
            if behind.cursor == UNDECIDED {
                return;
            }
            behind.cursor = behind.cursor.min(end);
        }
        if reached < first {
            return;
        }
        if let State::Behind(behind) = &mut sub.state
            && let Some(opening) = &mut behind.opening
        {
            opening.gap.get_or_insert(GapReason::Rewound);
            return;
        }
        let gaps: SmallVec<[Gap; 1]> = keys
            .iter()
            .map(|key| Gap {
                channel: key.clone(),
                reason: GapReason::Rewound,
                lost_through: None,
                cursor,
                id: Some(old.cursor(reached)),
            })
            .collect();
        self.write_gaps(slot, &gaps);
    }

    /// This node missed messages up to `through`. Who is behind will hear it
    /// from the log; who is live, here.
    pub(super) fn on_lost(&mut self, slot: Slot, through: Seq) {
        let pos = self.pos;
        let Some(sub) = self.sub(slot) else { return };
        if !matches!(sub.state, State::Live) || sub.ending.is_some() || sub.served >= through {
            return;
        }
        sub.served = through;
        let keys = sub.keys().clone();
        let gaps: SmallVec<[Gap; 1]> = keys
            .iter()
            .map(|key| {
                let loss = Loss {
                    channel: key.clone(),
                    lost_through: through,
                    reason: GapReason::Lost,
                };
                self.gap_of(&loss, pos, true)
            })
            .collect();
        self.write_gaps(slot, &gaps);
    }
}

/// The cursor of a subscriber whose start is still being asked for.
pub(super) const UNDECIDED: Seq = Seq(u64::MAX);
