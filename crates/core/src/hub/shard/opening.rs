//! How a stream begins: where its start is found, and what stands before the
//! first message.
//!
//! Every `$gap` of the opening stands before `$ready` and has no id: the cursor
//! that was refused stays in force until `$ready` arrives. `$ready` carries the
//! start, and nothing ahead of a message still owed.

use bytes::Bytes;

use super::super::attach::Start;
use super::super::encode::{End, Gap, GapForm, Ready};
use super::members::Slot;
use super::sub::{Behind, Doing, State};
use super::{Command, Shard};
use crate::broker::{Loss, Tail, Top, Unavailable};
use crate::cursor::{Cursor, CursorText, GapReason, GapStart, Lineage, Resolved, Seq};
use crate::message::Keys;
use crate::mutant;

impl Shard {
    /// Finds the start of a new subscriber.
    pub(super) fn open(&mut self, slot: Slot) {
        self.start(slot);
        // Only now: most are live in the same turn, and armed for that already.
        self.schedule(slot);
    }

    fn start(&mut self, slot: Slot) {
        let pos = self.pos;
        let Some(start) = self.start_of(slot) else {
            return;
        };
        match start {
            Start::Latest => self.begin(slot, pos),
            Start::Earliest => self.ask_tail(slot, usize::MAX),
            Start::Rewind(0) => self.begin(slot, pos),
            Start::Rewind(n) | Start::Newest(n) => self.ask_tail(slot, n),
            Start::After(CursorText::Empty) => self.begin_after_gap(slot, GapReason::Empty, pos),
            Start::After(CursorText::Malformed) => {
                self.begin_after_gap(slot, GapReason::Malformed, pos);
            }
            Start::After(CursorText::Cursor(cursor)) => {
                match self.lineage.resolve(cursor, pos) {
                    Resolved::At(seq) => self.begin(slot, seq),
                    // This node may simply not know yet: the broker's word counts.
                    Resolved::Ahead(_) | Resolved::Gap(..) => self.ask_top(slot),
                }
            }
        }
    }

    fn start_of(&mut self, slot: Slot) -> Option<Start> {
        self.behind(slot)?
            .opening
            .as_ref()
            .map(|opening| opening.start)
    }

    fn ask_top(&mut self, slot: Slot) {
        let Some(id) = self.set_doing(slot, Doing::Asking) else {
            return;
        };
        let question = self.hub.broker.top();
        let generation = self.generation;
        self.ask(id, question, move |top| Command::Top(generation, top));
    }

    fn ask_tail(&mut self, slot: Slot, n: usize) {
        if !self.still_permitted(slot) {
            return;
        }
        let Some(id) = self.set_doing(slot, Doing::Asking) else {
            return;
        };
        let Some(keys) = self.sub(slot).map(|sub| sub.keys().clone()) else {
            return;
        };
        let pos = self.pos;
        if let Some(opening) = self.behind(slot).and_then(|behind| behind.opening.as_mut()) {
            opening.asked_at = pos;
        }
        let question = self.hub.broker.tail(keys.clone(), n);
        let generation = self.generation;
        self.ask(id, question, move |tail| {
            Command::Tail(generation, keys, tail)
        });
    }

    pub(super) fn set_doing(&mut self, slot: Slot, doing: Doing) -> Option<u64> {
        self.behind(slot)?.doing = doing;
        self.sub(slot).map(|sub| sub.id)
    }

    /// The broker's own top and lineage judge a cursor that this node cannot.
    pub(super) fn on_top(&mut self, slot: Slot, top: Result<Top, Unavailable>) {
        let pos = self.pos;
        let Some(Start::After(CursorText::Cursor(cursor))) = self.start_of(slot) else {
            return;
        };
        let Ok(top) = top else {
            // An unreachable top is never a gap.
            return self.pause(slot, self.hub.limits.broker_retry);
        };
        if top.lineage.knows(cursor.epoch()) && !self.lineage.knows(cursor.epoch()) {
            // The feed has yet to tell of the cut: what this node stands on now is
            // not what the cursor means.
            return self.pause(slot, self.hub.limits.broker_retry);
        }
        match top.lineage.resolve(cursor, top.seq) {
            Resolved::At(seq) if seq <= pos => self.begin(slot, seq),
            Resolved::At(seq) => self.begin_ahead(slot, seq),
            Resolved::Ahead(_) => {
                self.note_gap(slot, GapReason::Future);
                self.begin_now(slot, pos);
            }
            Resolved::Gap(reason, GapStart::Now) => {
                self.note_gap(slot, reason);
                self.begin_now(slot, pos);
            }
            Resolved::Gap(reason, GapStart::After(seq)) => {
                self.begin_after_gap(slot, reason, seq.min(pos));
            }
            Resolved::Gap(reason, GapStart::Earliest) => {
                self.note_gap(slot, reason);
                self.ask_tail(slot, usize::MAX);
            }
        }
    }

    fn note_gap(&mut self, slot: Slot, reason: GapReason) {
        if let Some(opening) = self.behind(slot).and_then(|behind| behind.opening.as_mut()) {
            opening.gap = Some(reason);
        }
    }

    /// `keys` are those that were asked for; others may have been joined or left
    /// since.
    pub(super) fn on_tail(&mut self, slot: Slot, keys: Keys, tail: Result<Tail, Unavailable>) {
        let pos = self.pos;
        let Some(start) = self.start_of(slot) else {
            return;
        };
        let Ok(tail) = tail else {
            return self.pause(slot, self.hub.limits.broker_retry);
        };
        // With nothing held there was nothing to replay: from then on.
        let Some(union) = tail.union else {
            let opening = self.behind(slot).and_then(|behind| behind.opening.as_ref());
            let asked_at = opening.map_or(pos, |opening| opening.asked_at);
            return self.begin_now(slot, asked_at.min(pos));
        };
        let from = if matches!(start, Start::Newest(_)) {
            union
        } else {
            let least = tail.floors.iter().copied().min().unwrap_or(union);
            let Some(sub) = self.sub(slot) else { return };
            let State::Behind(behind) = &mut sub.state else {
                return;
            };
            for (key, owed) in keys.iter().zip(tail.floors) {
                let own = sub.permit.keys().iter().position(|own| own == key);
                // One that was joined meanwhile begins there.
                if let Some(floor) = own.and_then(|own| behind.floors.get_mut(own))
                    && floor.joined.is_none()
                {
                    floor.owed = owed;
                }
            }
            least
        };
        self.begin_now(slot, from.min(pos));
    }

    /// A start that came of an answer, not of the client's cursor: not after where
    /// keys were joined while it was waited for.
    fn begin_now(&mut self, slot: Slot, from: Seq) {
        let Some(behind) = self.behind(slot) else {
            return;
        };
        let joined = behind.floors.iter().filter_map(|floor| floor.joined).min();
        let from = joined.map_or(from, |joined| joined.min(from));
        self.begin(slot, from);
    }

    /// A cursor of a feed that has not come here yet: nothing up to it is
    /// delivered again, and there is no gap.
    fn begin_ahead(&mut self, slot: Slot, seq: Seq) {
        let Some(Start::After(CursorText::Cursor(cursor))) = self.start_of(slot) else {
            return;
        };
        if let Some(sub) = self.sub(slot) {
            sub.served = seq;
            sub.ahead = Some(cursor);
        }
        let pos = self.pos;
        self.begin(slot, pos);
    }

    fn begin_after_gap(&mut self, slot: Slot, reason: GapReason, from: Seq) {
        self.note_gap(slot, reason);
        self.begin(slot, from);
    }

    /// The start is known: feed from there.
    fn begin(&mut self, slot: Slot, from: Seq) {
        let (lineage, pos) = (self.lineage.clone(), self.pos);
        let Some(behind) = self.behind(slot) else {
            return;
        };
        if let Some(opening) = &mut behind.opening {
            let since = std::mem::take(&mut opening.since);
            for (floor, since) in behind.floors.iter_mut().zip(since) {
                let at = since.and_then(|at| place(&lineage, at, pos));
                if let Some(at) = at.filter(|_| !mutant::active("resume-forgets-since")) {
                    floor.raise(at);
                }
            }
        }
        behind.cursor = from;
        behind.doing = Doing::Nothing;
        self.feed(slot);
    }

    /// Writes the opening block, with what the first read found lost. `before`
    /// is the place just before the first message that will come. False where
    /// the stream ends here.
    pub(super) fn write_opening(&mut self, slot: Slot, lost: &[Loss], before: Seq) -> bool {
        let Some(behind) = self.behind(slot) else {
            return false;
        };
        let Some(opening) = behind.opening.take() else {
            return true;
        };
        let replays = matches!(opening.start, Start::Earliest | Start::Rewind(_))
            || opening.gap == Some(GapReason::EpochUnknown);
        let start = if replays {
            before.max(behind.cursor)
        } else {
            behind.cursor
        };
        let Some(sub) = self.sub(slot) else {
            return false;
        };
        let keys = sub.keys().clone();
        let cursor = sub.ahead.unwrap_or(self.lineage.cursor(start));
        let mut gaps = Vec::new();
        if let Some(reason) = opening.gap {
            gaps.extend(keys.iter().map(|key| Gap {
                channel: key.clone(),
                reason,
                lost_through: None,
                cursor,
                id: None,
            }));
        }
        gaps.extend(lost.iter().map(|loss| self.gap_of(loss, start, false)));
        let seed = self.hub.seed;
        let Some(sub) = self.sub(slot) else {
            return false;
        };
        let (form, once) = (sub.form, sub.is_once());
        let conn = sub.conn.clone();
        let jitter = jitter(seed, sub.id);
        if !once {
            let preface = std::mem::take(&mut sub.preface);
            self.append(slot, preface);
        }
        if !self.write_gaps(slot, &gaps) {
            return false;
        }
        if !once {
            let ready = Ready {
                cursor,
                channels: &keys,
                conn: &conn,
                jitter,
            };
            let unit = self.encoder(form).ready(&ready);
            self.append(slot, unit);
            self.tell_drain(slot);
            self.let_out(slot, opening.held, cursor);
        }
        true
    }

    /// Writes gaps; false where the form has no place for them and the stream
    /// ends instead.
    pub(super) fn write_gaps(&mut self, slot: Slot, gaps: &[Gap]) -> bool {
        let Some(form) = self.sub(slot).map(|sub| sub.form) else {
            return false;
        };
        let encoder = self.encoder(form);
        for gap in gaps {
            self.tally.gaps[gap.reason as usize] += 1;
            match encoder.gap(gap) {
                GapForm::Unit(unit) => self.append(slot, unit),
                GapForm::Ends => {
                    self.end(slot, End::Gap(gap.cursor));
                    return false;
                }
            }
        }
        true
    }

    /// A loss as it is told; `told_at` is where the stream stands.
    pub(super) fn gap_of(&self, loss: &Loss, told_at: Seq, mid_stream: bool) -> Gap {
        Gap {
            channel: loss.channel.clone(),
            reason: loss.reason,
            lost_through: Some(self.cursor(loss.lost_through)),
            cursor: self.cursor(loss.lost_through.max(told_at)),
            id: mid_stream.then(|| self.cursor(told_at)),
        }
    }

    /// Appends a unit of the stream's own, whatever the outbox holds: these are
    /// few and bounded by what causes them.
    pub(super) fn append(&mut self, slot: Slot, unit: Bytes) {
        let now = self.now;
        let Some(sub) = self.sub(slot) else { return };
        if sub.is_drained() {
            sub.progress = now;
        }
        super::deliver::put(sub, unit);
        self.recount(slot);
        self.mark(slot, true);
    }

    pub(super) fn recount(&mut self, slot: Slot) {
        if let Some(sub) = self.slots[slot as usize].as_deref_mut() {
            self.tally.recount(sub);
        }
    }

    /// Asks the door again.
    pub(super) fn still_permitted(&mut self, slot: Slot) -> bool {
        let Some(sub) = self.sub(slot) else {
            return false;
        };
        match sub.permit.check() {
            Ok(()) => true,
            Err(refusal) => {
                self.end_at_once(slot, End::Refused(refusal));
                false
            }
        }
    }
}

/// Where a place of an earlier connection is now; none where nobody knows.
fn place(lineage: &Lineage, at: Cursor, pos: Seq) -> Option<Seq> {
    match lineage.resolve(at, pos) {
        Resolved::At(seq) | Resolved::Ahead(seq) => Some(seq.min(pos)),
        Resolved::Gap(_, GapStart::After(seq)) => Some(seq.min(pos)),
        Resolved::Gap(..) => None,
    }
}

/// A number that differs from connection to connection.
pub(super) fn jitter(seed: u64, id: u64) -> u64 {
    let mut mixed = seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 32;
    mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

impl Behind {
    /// Marks losses as told: no second gap for the same.
    pub(super) fn told(&mut self, number: usize, lost_through: Seq) {
        if let Some(floor) = self.floors.get_mut(number) {
            floor.owed = floor.owed.max(lost_through);
        }
    }
}
