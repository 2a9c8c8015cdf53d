//! Writing, signs of life, and endings.

use std::time::Duration;

use super::super::encode::End;
use super::super::writer::Flushed;
use super::catchup::UNDECIDED;
use super::late::Late;
use super::members::Slot;
use super::opening::jitter;
use super::sub::{Doing, State, Sub};
use super::{Shard, WRITES_PER_TURN};
use crate::clock::Instant;
use crate::cursor::{Cursor, CursorText};
use crate::error::{Code, Refusal};
use crate::hub::Start;
use crate::policy::Permit;

impl Shard {
    /// Writes to as many dirty connections as one turn may.
    pub(super) fn flush_some(&mut self) {
        self.bulk_turn = !self.bulk_turn;
        for _ in 0..WRITES_PER_TURN {
            let next = if self.bulk_turn {
                self.dirty_bulk
                    .pop_front()
                    .or_else(|| self.dirty_small.pop_front())
            } else {
                self.dirty_small
                    .pop_front()
                    .or_else(|| self.dirty_bulk.pop_front())
            };
            let Some(slot) = next else { return };
            self.guarded(slot, Self::flush);
        }
    }

    /// Writes what one connection has, once.
    fn flush(&mut self, slot: Slot) {
        let Some(sub) = self.sub(slot) else { return };
        sub.dirty = false;
        if sub.is_once() && sub.ending.is_none() {
            self.answer(slot);
        }
        let now = self.now;
        let Some(sub) = self.sub(slot) else { return };
        if sub.blocked {
            return;
        }
        let opening = matches!(&sub.state, State::Behind(behind) if behind.opening.is_some());
        if let Some(pong) = sub.pong.take_if(|_| !opening) {
            sub.outbox.push(pong);
        }
        let Some(sub) = self.slots[slot as usize].as_deref_mut() else {
            return;
        };
        let before = sub.outbox.bytes();
        let flushed = match (&mut sub.writer, before) {
            (_, 0) => Flushed::All,
            (Some(writer), _) => {
                self.tally.flushes += 1;
                writer.flush(&mut sub.outbox)
            }
            (None, _) => Flushed::Gone,
        };
        let taken = before - sub.outbox.bytes();
        self.tally.recount(sub);
        if taken > 0 {
            sub.progress = now;
            sub.last_write = now;
            if let Some((End::Answered, until)) = &mut sub.ending {
                *until = now + self.hub.limits.write_progress;
            }
        }
        match flushed {
            Flushed::Gone => self.remove(slot, End::Gone),
            Flushed::Blocked => {
                sub.blocked = true;
                self.schedule(slot);
            }
            Flushed::All => match sub.ending.take() {
                Some((end, _)) => self.remove(slot, end),
                None => self.feed(slot),
            },
        }
    }

    /// Makes a poll's answer of what was gathered, where there is something to
    /// tell.
    fn answer(&mut self, slot: Slot) {
        let pos = self.pos;
        let until = self.now + self.hub.limits.write_progress;
        let live = self.cursor(pos);
        let Some(sub) = self.sub(slot) else { return };
        if sub.answer_at.is_none() && (sub.units.is_empty() || !matches!(sub.state, State::Live)) {
            return;
        }
        let cursor = sub
            .answer_at
            .or(sub.ahead.filter(|_| sub.served > pos))
            .unwrap_or(live);
        let units = std::mem::take(&mut sub.units);
        sub.unit_bytes = 0;
        let preface = std::mem::take(&mut sub.preface);
        sub.ending = Some((End::Answered, until));
        let form = sub.form;
        let encoder = self.encoder(form);
        let answer = self.answers.of(form, preface, units, cursor, &*encoder);
        let Some(sub) = self.slots[slot as usize].as_deref_mut() else {
            return;
        };
        sub.outbox.push(answer);
        self.tally.recount(sub);
        if sub.outbox.is_empty() {
            // A form without bytes for an answer: nothing to wait for.
            self.remove(slot, End::Answered);
        }
    }

    /// A poll that has all there is and nothing to tell: waits, or answers at
    /// once where its time is up.
    pub(super) fn on_once_live(&mut self, slot: Slot) {
        let due = self
            .sub(slot)
            .and_then(|sub| sub.deadline)
            .is_some_and(|due| due <= self.now);
        if due {
            self.on_deadline(slot);
        } else {
            self.schedule(slot);
        }
    }

    /// A poll's time is up.
    fn on_deadline(&mut self, slot: Slot) {
        self.catch_position();
        let live = self.cursor(self.pos);
        let pos = self.pos;
        let Some(sub) = self.sub(slot) else { return };
        if sub.answer_at.is_some() || sub.ending.is_some() {
            return;
        }
        let at: Option<Cursor> = match &sub.state {
            State::Live => Some(sub.ahead.filter(|_| sub.served > pos).unwrap_or(live)),
            State::Behind(behind) if behind.cursor == UNDECIDED => {
                // The broker is silent: the client's own cursor is still good.
                match behind.opening.as_ref().map(|opening| opening.start) {
                    Some(Start::After(CursorText::Cursor(cursor))) => Some(cursor),
                    _ => None,
                }
            }
            State::Behind(behind) => {
                let from = behind.cursor;
                if !self.write_opening(slot, &[], from) {
                    return;
                }
                Some(self.cursor(from))
            }
        };
        match at {
            Some(cursor) => {
                if let Some(sub) = self.sub(slot) {
                    sub.answer_at = Some(cursor);
                }
                self.mark(slot, true);
            }
            None => {
                let sentence = "the broker cannot be reached; try again shortly";
                self.end(
                    slot,
                    End::Refused(Refusal::new(Code::Unavailable, sentence)),
                );
            }
        }
    }

    /// Everything that time asks of one subscriber.
    pub(super) fn on_timer(&mut self, slot: Slot) {
        let now = self.now;
        let write_progress = self.hub.limits.write_progress;
        let applied_wait = self.hub.limits.applied_wait;
        let end_wait = self.hub.limits.end_wait;
        let late = self.late;
        let Some(sub) = self.sub(slot) else { return };
        if let Some((end, until)) = &mut sub.ending {
            if *until <= now && late.is_now(now) {
                *until = now + end_wait;
            } else if *until <= now {
                // Half an answer is none: its connection cannot be used again.
                let end = match end {
                    End::Answered => End::Slow,
                    end => end.clone(),
                };
                return self.remove(slot, end);
            }
        } else if stalled_at(sub, late, write_progress).is_some_and(|due| due <= now) {
            return self.end_at_once(slot, End::Slow);
        } else if sub.expires.is_some_and(|ends| ends <= now) {
            self.on_expiry(slot);
        } else if poll_due(sub, applied_wait).is_some_and(|due| due <= now) {
            self.on_deadline(slot);
        } else if let State::Behind(behind) = &sub.state
            && let Doing::Pausing(until) = behind.doing
            && until <= now
        {
            self.unpause(slot);
        } else {
            self.look_at_greeting(slot);
            self.show_life(slot);
        }
        self.schedule(slot);
    }

    /// The token has ended. A poll is answered with what it has, and its next one
    /// refused; a stream is told why it ends.
    fn on_expiry(&mut self, slot: Slot) {
        let Some(sub) = self.sub(slot) else { return };
        if sub.is_once() {
            return self.on_deadline(slot);
        }
        let sentence = "the token has expired; come back with a new one";
        let refusal = Refusal::new(Code::TokenExpired, sentence);
        self.end(slot, End::Refused(refusal));
    }

    /// Goes on by another permit. It is asked again: what it rests on may have been
    /// withdrawn while it was on its way.
    pub(super) fn on_renew(&mut self, slot: Slot, permit: Permit) {
        let Some(sub) = self.sub(slot) else { return };
        if sub.ending.is_some() || !sub.permit.renew(permit) {
            return;
        }
        sub.expires = sub.permit.expires();
        if self.still_permitted(slot) {
            self.schedule(slot);
        }
    }

    /// Pings, comments, `$cursor`; ends who gave no sign of life.
    fn show_life(&mut self, slot: Slot) {
        let now = self.now;
        let interval = self.hub.limits.cursor_interval;
        let late = self.late;
        let Some(sub) = self.sub(slot) else { return };
        let form = sub.form;
        if silent_at(sub, late).is_some_and(|due| due <= now) {
            return self.end(slot, End::Silent);
        }
        if sub.is_once() || !matches!(sub.state, State::Live) || !sub.outbox.is_empty() {
            return;
        }
        if quiet_at(sub, late, interval) <= now {
            sub.last_id = now;
            self.catch_position();
            let cursor = self.cursor(self.pos);
            let pos = self.pos;
            let reached = self.sub(slot).is_some_and(|sub| sub.served <= pos);
            if let Some(unit) = self.encoder(form).cursor(cursor).filter(|_| reached) {
                return self.append(slot, unit);
            }
        }
        let Some(sub) = self.sub(slot) else { return };
        if keep_alive_at(sub, late).is_some_and(|due| due <= now) {
            sub.last_ping = now;
            if let Some(unit) = self.encoder(form).keep_alive() {
                self.append(slot, unit);
            }
        }
    }

    /// Arms the timer for whatever comes first.
    pub(super) fn schedule(&mut self, slot: Slot) {
        let limits = &self.hub.limits;
        let late = self.late;
        let Some(sub) = self.slots[slot as usize].as_deref_mut() else {
            return;
        };
        let next: Option<Instant> = if let Some((_, until)) = sub.ending {
            Some(until)
        } else {
            let pausing = match &sub.state {
                State::Behind(behind) => match behind.doing {
                    Doing::Pausing(until) => Some(until),
                    Doing::Greeting(greeting) => Some(greeting.look_at),
                    _ => None,
                },
                State::Live => None,
            };
            let quiet = (!sub.is_once()).then(|| quiet_at(sub, late, limits.cursor_interval));
            let life = quiet.into_iter().chain(keep_alive_at(sub, late)).min();
            // Who is full, or catches up, is not shown life every tick until it can be.
            let held_up = is_waiting(sub) || matches!(sub.state, State::Behind(_));
            let life = life.map(|due| {
                if held_up {
                    due.max(self.now + HELD_UP)
                } else {
                    due
                }
            });
            [
                pausing,
                stalled_at(sub, late, limits.write_progress),
                sub.expires,
                poll_due(sub, limits.applied_wait),
                life,
                silent_at(sub, late),
            ]
            .into_iter()
            .flatten()
            .min()
        };
        if let Some(next) = next {
            // Never in the past: what is due but cannot be done yet waits a tick.
            let next = next.max(self.now + TICK);
            self.timers.arm(&mut sub.timer, sub.id, next);
        }
    }

    /// Writes the last words after what waits, then lets go.
    pub(super) fn end(&mut self, slot: Slot, end: End) {
        let until = self.now + self.hub.limits.end_wait;
        let seed = self.hub.seed;
        let Some(sub) = self.sub(slot) else { return };
        if sub.ending.is_some() {
            return;
        }
        if sub.is_once() && end == End::Shutdown {
            return self.on_deadline(slot);
        }
        let (form, jitter) = (sub.form, jitter(seed, sub.id));
        let preface = std::mem::take(&mut sub.preface);
        if !sub.is_once() {
            self.append(slot, preface);
        }
        let words = self.encoder(form).end(&end, jitter);
        let Some(sub) = self.sub(slot) else { return };
        sub.outbox.push(words);
        sub.ending = Some((end, until));
        self.recount(slot);
        self.mark(slot, true);
        self.schedule(slot);
    }

    /// Withholds what waits, says the last words where they can still be
    /// understood, and lets go.
    pub(super) fn end_at_once(&mut self, slot: Slot, end: End) {
        let seed = self.hub.seed;
        let Some(sub) = self.sub(slot) else { return };
        let (form, jitter) = (sub.form, jitter(seed, sub.id));
        // After half a frame nothing can be understood.
        let withheld = sub.writer.as_mut().is_none_or(|writer| writer.withhold());
        let readable = withheld && !sub.outbox.is_partial();
        sub.outbox.clear();
        if readable {
            let words = self.encoder(form).end(&end, jitter);
            let Some(sub) = self.sub(slot) else { return };
            let preface = std::mem::take(&mut sub.preface);
            if !sub.is_once() {
                sub.outbox.push(preface);
            }
            sub.outbox.push(words);
            // What is not taken is forgotten with the subscriber.
            if let Some(writer) = &mut sub.writer {
                writer.flush(&mut sub.outbox);
            }
        }
        self.remove(slot, end);
    }
}

/// The clock's resolution, as far as timers are concerned.
const TICK: Instant = Instant::from_millis(1);

/// How often it is tried to show life to who could not be shown it in time.
pub(super) const HELD_UP: Instant = Instant::from_millis(50);

/// True where something waits for the peer to take it.
fn is_waiting(sub: &Sub) -> bool {
    sub.blocked && !sub.outbox.is_empty()
}

/// When a peer that takes nothing is let go.
fn stalled_at(sub: &Sub, late: Late, time: Duration) -> Option<Instant> {
    is_waiting(sub).then(|| late.after(sub.progress, time, sub.id))
}

/// When a stream that hears nothing is told where it stands.
fn quiet_at(sub: &Sub, late: Late, interval: Duration) -> Instant {
    late.due(sub.last_id + interval, interval, sub.id)
}

/// When a poll is answered whatever happens. One that is still being fed may
/// take a little longer: its broker is asked once at least.
fn poll_due(sub: &Sub, grace: Duration) -> Option<Instant> {
    let deadline = sub.deadline?;
    match sub.state {
        State::Live => Some(deadline),
        State::Behind(_) => Some(deadline + grace),
    }
}

/// When a keep-alive is due: where an answer is expected, after silence of the
/// peer, and not again before it came; else after silence of ours.
fn keep_alive_at(sub: &Sub, late: Late) -> Option<Instant> {
    let heartbeat = sub.heartbeat?;
    let quiet_since = match heartbeat.timeout {
        Some(_) if is_asked(sub) => return None,
        Some(_) => last_heard(sub).max(sub.last_ping),
        None => sub.last_write.max(sub.last_ping),
    };
    let interval = heartbeat.interval;
    Some(late.due(quiet_since + interval, interval, sub.id))
}

/// When a peer that was asked for a sign of life and gave none is let go.
/// Reading what it had been too full for is a sign of life; a peer that is too
/// full to be asked falls under the write-progress rule instead.
fn silent_at(sub: &Sub, late: Late) -> Option<Instant> {
    let timeout = sub.heartbeat?.timeout?;
    let asked = is_asked(sub) && !is_waiting(sub);
    asked.then(|| late.after(sub.last_ping, timeout, sub.id))
}

/// True where a sign of life was asked for and has not come.
fn is_asked(sub: &Sub) -> bool {
    sub.last_ping > last_heard(sub).max(sub.last_drained)
}

fn last_heard(sub: &Sub) -> Instant {
    sub.writer
        .as_ref()
        .map_or(Instant::ZERO, |writer| writer.last_heard())
}
