//! A shard: a part of the subscribers, and all writing to them.
//!
//! [`Shard::turn`] takes what is queued, appends each publication to *all* its
//! live subscribers before the next one, and then flushes: every dirty
//! connection once, with one vectored write, at most 64 in a turn; those made
//! dirty by small fan-outs first, the bulk guaranteed every other turn.

mod answers;
mod catchup;
mod deliver;
mod drain;
mod flush;
mod greeting;
mod late;
mod look;
mod members;
mod membership;
mod opening;
mod replies;
mod sub;
mod timers;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use hashbrown::HashMap;

use super::Hub;
use super::encode::{Encoder, End, FormId};
use super::publication::EncodeCache;
use super::queue::{Command, Entry, SubId};
use super::stats::{REASONS, ShardStats};
use crate::broker::BrokerFuture;
use crate::clock::Instant;
use crate::cursor::{Cursor, Lineage, Seq};
use crate::mutant;
use answers::Answers;
use drain::Draining;
use late::Late;
use members::{Members, Slot};
use sub::{Behind, State, Sub};
use timers::Timers;

/// Entries taken from the inbox before the shard writes again.
const ENTRIES_PER_TURN: usize = 1024;
/// Room for so many entries or subscribers is kept through quiet times.
const KEPT_ENTRIES: usize = 256;
/// Connections written to in one turn, before others get the core.
const WRITES_PER_TURN: usize = 64;
/// Up to so many subscribers, a publication counts as a small fan-out.
const SMALL_FAN_OUT: usize = 64;

/// What a turn leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// There is more to do at once: yield to others, then turn again.
    pub again: bool,
    /// Else sleep until work is queued ([`Shard::poll_work`]), or until then.
    pub sleep_until: Option<Instant>,
}

/// One shard. Plain data: nothing runs by itself.
pub struct Shard {
    hub: Arc<Hub>,
    index: usize,
    inbox: VecDeque<Entry>,
    /// Answers that a broker gave at once.
    answered: VecDeque<(SubId, Command)>,
    slots: Vec<Option<Box<Sub>>>,
    free: Vec<Slot>,
    by_id: HashMap<SubId, Slot, foldhash::fast::RandomState>,
    members: Members,
    timers: Timers,
    /// The seq of the last entry popped: everything up to it, for the keys that
    /// this shard listens to, has been seen.
    pos: Seq,
    lineage: Arc<Lineage>,
    dirty_small: VecDeque<Slot>,
    dirty_bulk: VecDeque<Slot>,
    bulk_turn: bool,
    /// Waiting for a read slot, first come first served.
    waiting_reads: VecDeque<SubId>,
    reads: usize,
    /// Counts cuts: what was read before one is not believed after it.
    generation: u64,
    volatiles: u64,
    cache: EncodeCache,
    answers: Answers,
    /// Streams are ending one after the other.
    draining: Option<Draining>,
    late: Late,
    now: Instant,
    tally: Tally,
}

/// Figures kept in plain integers and published once a turn.
#[derive(Default)]
struct Tally {
    subscribers: usize,
    behind: usize,
    outbox_bytes: usize,
    outbox_peak: usize,
    deliveries: u64,
    flushes: u64,
    /// By reason.
    gaps: [u64; REASONS],
    faults: u64,
}

impl Tally {
    /// Counts anew what one subscriber holds. Right also after something in
    /// serving it broke half-way.
    fn recount(&mut self, sub: &mut Sub) {
        let held = sub.outbox.bytes() + sub.unit_bytes;
        self.outbox_bytes = self.outbox_bytes - sub.counted + held;
        self.outbox_peak = self.outbox_peak.max(held);
        sub.counted = held;
    }
}

impl Shard {
    pub(super) fn new(hub: Arc<Hub>, index: usize) -> Self {
        let (pos, lineage) = {
            let feed = hub.feed.lock();
            (feed.applied, feed.lineage.clone())
        };
        let now = hub.clock.now();
        Self {
            hub,
            index,
            inbox: VecDeque::new(),
            answered: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::default(),
            members: Members::default(),
            timers: Timers::default(),
            pos,
            lineage,
            dirty_small: VecDeque::new(),
            dirty_bulk: VecDeque::new(),
            bulk_turn: false,
            waiting_reads: VecDeque::new(),
            reads: 0,
            generation: 0,
            volatiles: 0,
            cache: EncodeCache::new(),
            answers: Answers::default(),
            draining: None,
            late: Late::default(),
            now,
            tally: Tally::default(),
        }
    }

    /// Leaves a waker for when work is queued; true where there is some already.
    pub fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        self.hub.queues[self.index].register(cx.waker()) || !self.inbox.is_empty()
    }

    /// One turn, bounded in work.
    pub fn turn(&mut self) -> Turn {
        self.now = self.hub.clock.now();
        self.late.begin(self.now);
        while let Some(id) = self.timers.due(self.now) {
            if let Some(slot) = self.by_id.get(&id).copied() {
                if let Some(sub) = self.slots[slot as usize].as_mut() {
                    sub.timer = None;
                }
                self.guarded(slot, Self::on_timer);
            }
        }
        if self.inbox.is_empty() {
            let hub = self.hub.clone();
            hub.queues[self.index].take(&mut self.inbox);
        }
        for _ in 0..ENTRIES_PER_TURN {
            let Some(entry) = self.inbox.pop_front() else {
                break;
            };
            self.on_entry(entry);
            self.on_answered();
        }
        self.on_answered();
        self.drain_some();
        self.flush_some();
        self.on_answered();
        self.answers.rest();
        self.publish_tally();
        let again =
            !self.inbox.is_empty() || !self.dirty_small.is_empty() || !self.dirty_bulk.is_empty();
        if !again {
            self.give_back();
        }
        let sleep_until = self.timers.next().into_iter().chain(self.drains_at()).min();
        self.late
            .rest(if again { Some(self.now) } else { sleep_until });
        Turn { again, sleep_until }
    }

    /// Gives back what a flood has left, where nothing waits.
    fn give_back(&mut self) {
        if self.inbox.capacity() > KEPT_ENTRIES {
            self.inbox = VecDeque::new();
        }
        let idle = self.tally.subscribers == 0 && self.draining.is_none();
        if idle && self.slots.capacity() > KEPT_ENTRIES {
            // Nobody is in line to be written to: no slot is named anywhere.
            self.slots = Vec::new();
            self.free = Vec::new();
            self.by_id = HashMap::default();
            self.dirty_small = VecDeque::new();
            self.dirty_bulk = VecDeque::new();
        }
    }

    fn on_answered(&mut self) {
        while let Some((id, command)) = self.answered.pop_front() {
            self.on_entry(Entry::Command(id, command));
        }
    }

    fn on_entry(&mut self, entry: Entry) {
        match entry {
            Entry::Publication(publication) => self.deliver(&publication),
            Entry::Subscribe { id, attach, at } => {
                self.pos = at;
                let slot = self.admit(Sub::new(id, *attach, self.now));
                self.guarded(slot, Self::open);
            }
            Entry::Join { id, permit, at } => {
                self.pos = at;
                match self.by_id.get(&id).copied() {
                    Some(slot) => self.guarded(slot, |shard, slot| shard.on_join(slot, *permit)),
                    None => self.hub.release_late(self.index, permit.keys()),
                }
            }
            Entry::Cut { epoch, first } => {
                let old = self.lineage.clone();
                Arc::make_mut(&mut self.lineage).open(epoch, first);
                self.generation += 1;
                self.cache.clear();
                self.for_all(|shard, slot| shard.on_cut(slot, first, &old));
                self.pos = self.pos.min(first.prev());
            }
            Entry::Lost { through } => {
                if through > self.pos {
                    self.for_all(|shard, slot| shard.on_lost(slot, through));
                    self.pos = through;
                }
            }
            Entry::Recheck => self.for_all(|shard, slot| {
                let refused = shard.sub(slot).and_then(|sub| sub.permit.check().err());
                if let Some(refusal) = refused {
                    // Unsent bytes are withheld too: the right is gone now.
                    shard.end_at_once(slot, End::Refused(refusal));
                }
            }),
            Entry::Dismiss(told) => self.for_all(|shard, slot| {
                let (whom, end) = &*told;
                let meant = |sub: &mut Sub| whom.is(sub.permit.subject(), &sub.conn);
                if shard.sub(slot).is_some_and(meant) {
                    shard.end_at_once(slot, end.clone());
                }
            }),
            Entry::Look(look) => self.look(*look),
            Entry::Drain(window) => self.on_drain(window),
            Entry::Command(id, command) => {
                let Some(slot) = self.by_id.get(&id).copied() else {
                    if let Command::Read(..) = command {
                        self.read_over();
                    }
                    return;
                };
                self.guarded(slot, |shard, slot| shard.on_command(slot, command));
            }
        }
    }

    fn on_command(&mut self, slot: Slot, command: Command) {
        match command {
            Command::Writable => {
                let now = self.now;
                if let Some(sub) = self.sub(slot) {
                    sub.blocked = false;
                    sub.last_drained = now;
                }
                self.mark(slot, true);
            }
            Command::Send(unit) => self.on_send(slot, unit),
            Command::Emit(unit) => self.on_emit(slot, unit),
            Command::Greeted => self.on_greeted(slot),
            Command::Leave(keys) => self.on_leave(slot, &keys),
            Command::Pong(unit) => self.on_pong(slot, unit),
            Command::Renew(permit) => self.on_renew(slot, *permit),
            Command::End(End::Gone) => self.remove(slot, End::Gone),
            Command::End(End::Fault) => self.fault(slot),
            Command::End(end) => self.end(slot, end),
            // The last words stand in the outbox: nothing comes after them.
            Command::Top(..) | Command::Tail(..) if self.is_ending(slot) => {}
            Command::Read(..) if self.is_ending(slot) => self.read_over(),
            // Asked before a cut: what the answer says may be gone.
            Command::Top(generation, _) | Command::Tail(generation, ..)
                if generation != self.generation =>
            {
                self.open(slot);
            }
            Command::Top(_, top) => self.on_top(slot, top),
            Command::Tail(_, keys, tail) => self.on_tail(slot, keys, tail),
            Command::Read(generation, reply) => {
                self.read_over();
                self.on_read(slot, generation, reply);
            }
        }
    }

    /// Runs something for one subscriber; a panic in it costs that subscriber
    /// its connection and nobody else anything.
    fn guarded(&mut self, slot: Slot, work: impl FnOnce(&mut Self, Slot)) {
        if catch_unwind(AssertUnwindSafe(|| work(self, slot))).is_err() {
            self.fault(slot);
        }
    }

    fn fault(&mut self, slot: Slot) {
        self.tally.faults += 1;
        if catch_unwind(AssertUnwindSafe(|| self.end_at_once(slot, End::Fault))).is_err() {
            // Even its last words fail: forget it without them.
            let silent = catch_unwind(AssertUnwindSafe(|| self.remove(slot, End::Fault)));
            debug_assert!(silent.is_ok() || self.slots[slot as usize].is_none());
        }
    }

    fn for_all(&mut self, mut work: impl FnMut(&mut Self, Slot)) {
        for slot in 0..self.slots.len() as Slot {
            if self.slots[slot as usize].is_some() {
                self.guarded(slot, |shard, slot| work(shard, slot));
            }
        }
    }

    fn admit(&mut self, mut sub: Sub) -> Slot {
        if mutant::active("skip-handover") {
            let mut feed = self.hub.feed.lock();
            for key in sub.keys() {
                feed.listen(key, self.index, self.hub.queues.len());
            }
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as Slot
        });
        self.members.join(slot, &mut sub, 0);
        self.by_id.insert(sub.id, slot);
        self.tally.subscribers += 1;
        self.tally.behind += 1;
        self.slots[slot as usize] = Some(Box::new(sub));
        slot
    }

    /// Lets a subscriber go: nothing more is written. Its writer hears why.
    fn remove(&mut self, slot: Slot, end: End) {
        let Some(mut sub) = self.slots[slot as usize].take() else {
            return;
        };
        self.by_id.remove(&sub.id);
        self.free.push(slot);
        self.tally.subscribers -= 1;
        if matches!(sub.state, State::Behind(_)) {
            self.tally.behind -= 1;
        }
        self.tally.outbox_bytes -= sub.counted;
        self.timers.disarm(&mut sub.timer, sub.id);
        self.drop_memberships(sub.permit.keys(), &sub.places);
        self.hub.release(self.index, sub.keys());
        if let Some(writer) = sub.writer.take() {
            writer.ended(end);
        }
    }

    fn sub(&mut self, slot: Slot) -> Option<&mut Sub> {
        self.slots[slot as usize].as_deref_mut()
    }

    fn is_ending(&mut self, slot: Slot) -> bool {
        self.sub(slot).is_some_and(|sub| sub.ending.is_some())
    }

    fn encoder(&self, form: FormId) -> Arc<dyn Encoder> {
        self.hub.encoders[usize::from(form.0)].clone()
    }

    /// Puts a subscriber in line to be written to.
    fn mark(&mut self, slot: Slot, small: bool) {
        if let Some(sub) = self.slots[slot as usize].as_deref_mut()
            && !sub.dirty
        {
            sub.dirty = true;
            if small {
                &mut self.dirty_small
            } else {
                &mut self.dirty_bulk
            }
            .push_back(slot);
        }
    }

    fn cursor(&self, seq: Seq) -> Cursor {
        self.lineage.cursor(seq)
    }

    /// Moves `pos` to all that this node has applied, where nothing is queued
    /// that would have to be seen first.
    fn catch_position(&mut self) {
        if self.inbox.is_empty() {
            let feed = self.hub.feed.lock();
            if self.hub.queues[self.index].len() == 0 {
                self.pos = self.pos.max(feed.applied);
            }
        }
    }

    /// Asks the broker. An answer that is there at once is taken up in this
    /// turn; else a side task brings it as a command.
    fn ask<T: Send + 'static>(
        &mut self,
        id: SubId,
        mut question: BrokerFuture<T>,
        answer: impl FnOnce(T) -> Command + Send + 'static,
    ) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(reply) = question.as_mut().poll(&mut cx) {
            self.answered.push_back((id, answer(reply)));
            return;
        }
        let queue = self.hub.queues[self.index].clone();
        self.hub.runtime.spawn(Box::pin(async move {
            let reply = question.await;
            queue.send(Entry::Command(id, answer(reply)));
        }));
    }

    fn publish_tally(&mut self) {
        let stats: &ShardStats = &self.hub.shard_stats[self.index];
        let tally = &self.tally;
        stats.subscribers.store(tally.subscribers, Relaxed);
        stats.behind.store(tally.behind, Relaxed);
        stats.outbox_bytes.store(tally.outbox_bytes, Relaxed);
        stats.outbox_peak.store(tally.outbox_peak, Relaxed);
        stats.reads.store(self.reads, Relaxed);
        stats.deliveries.store(tally.deliveries, Relaxed);
        stats.flushes.store(tally.flushes, Relaxed);
        for (stat, gaps) in stats.gaps.iter().zip(tally.gaps) {
            stat.store(gaps, Relaxed);
        }
        stats.faults.store(tally.faults, Relaxed);
    }

    fn behind(&mut self, slot: Slot) -> Option<&mut Behind> {
        match &mut self.sub(slot)?.state {
            State::Behind(behind) => Some(behind),
            State::Live => None,
        }
    }

    /// From catching up to live.
    fn go_live(&mut self, slot: Slot) {
        let pos = self.pos;
        if let Some(sub) = self.sub(slot) {
            sub.state = State::Live;
            sub.served = sub.served.max(pos);
            self.tally.behind -= 1;
        }
    }

    /// From live to catching up after `cursor`.
    #[cold]
    fn fall_behind(sub: &mut Sub, tally: &mut Tally, cursor: Seq) {
        let behind = Behind {
            cursor,
            doing: sub::Doing::Nothing,
            opening: None,
            floors: smallvec::SmallVec::from_elem(sub::Floor::default(), sub.keys().len()),
            dry: false,
        };
        sub.state = State::Behind(Box::new(behind));
        tally.behind += 1;
    }
}
