//! What is pending, and how it moves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::asks::Ask;
use super::faults::{ChaosCounts, Faults, Rng};
use super::follower::{Follower, Pending};
use super::{After, ChaosEvent};
use crate::broker::store::{Incoming, Moment, Ordered, Removal, Store};
use crate::broker::{AppendError, Appended, Fed, Top};
use crate::credit::Credit;
use crate::cursor::{Epoch, Seq};
use crate::key::Key;
use crate::limits::Limits;
use crate::ticket::Ticket;

/// Steps that a stall lasts at most.
const STALL: u64 = 20;

type Acked = Result<Appended, AppendError>;

/// An append that is not ordered yet; without a ticket it has been answered.
pub(super) struct Waiting {
    pub(super) incoming: Incoming,
    pub(super) credit: Option<Credit>,
    pub(super) ticket: Option<Ticket<Acked>>,
}

pub(super) struct State {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) counts: ChaosCounts,
    pub(super) history: Vec<ChaosEvent>,
    pub(super) followers: BTreeMap<u64, Follower>,
    pub(super) rng: Rng,
    appends: VecDeque<Waiting>,
    late: VecDeque<Waiting>,
    acks: VecDeque<(Ticket<Acked>, Acked)>,
    pub(super) asks: VecDeque<Ask>,
    /// Kept, and the publisher knows.
    acked: BTreeSet<Seq>,
    pub(super) next_follower: u64,
    /// How much of the history the last [`State::start`] knew.
    pub(super) started: Option<usize>,
}

impl State {
    pub(super) fn new(limits: &Limits, epoch: Epoch, seed: u64, faults: Faults) -> Self {
        let mut store = Store::new(limits, epoch, seed);
        store.note_removals();
        Self {
            store,
            faults,
            counts: ChaosCounts::default(),
            history: Vec::new(),
            followers: BTreeMap::new(),
            rng: Rng::new(seed),
            appends: VecDeque::new(),
            late: VecDeque::new(),
            acks: VecDeque::new(),
            asks: VecDeque::new(),
            acked: BTreeSet::new(),
            next_follower: 0,
            started: None,
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        let fed = self
            .followers
            .values()
            .all(|follower| follower.pending.is_empty());
        fed && self.appends.is_empty()
            && self.late.is_empty()
            && self.acks.is_empty()
            && self.asks.is_empty()
    }

    pub(super) fn start(&mut self) -> Top {
        self.started = Some(self.history.len());
        self.store.top()
    }

    pub(super) fn listening(&mut self, channel: &Key, on: bool) {
        self.store.listening(channel, on);
        self.note_removals();
    }

    pub(super) fn append(&mut self, batch: Vec<Waiting>, moment: &Moment, after: &mut After) {
        self.appends.extend(batch);
        if self.rng.strikes(self.faults.hold_append) {
            self.counts.held_appends += 1;
        } else {
            self.order(usize::MAX, moment, after);
        }
    }

    /// Orders up to `count` appends, in the order in which they came.
    fn order(&mut self, count: usize, moment: &Moment, after: &mut After) {
        for _ in 0..count {
            let Some(mut waiting) = self.appends.pop_front() else {
                break;
            };
            let [reject, kept, lost] = [
                self.faults.reject,
                self.faults.unknown_kept,
                self.faults.unknown_lost,
            ]
            .map(|chances| self.rng.strikes(chances));
            let refused = if reject {
                self.counts.rejected += 1;
                AppendError::Unavailable
            } else if kept || lost {
                AppendError::OutcomeUnknown
            } else {
                self.place(waiting, moment, after);
                continue;
            };
            if let Some(ticket) = waiting.ticket.take() {
                self.acknowledge(ticket, Err(refused), after);
            }
            if kept && !reject {
                self.counts.unknown_kept += 1;
                self.late.push_back(waiting);
            } else {
                self.counts.unknown_lost += u64::from(!reject);
                after.credits.extend(waiting.credit);
            }
        }
    }

    /// One append takes its place.
    fn place(&mut self, waiting: Waiting, moment: &Moment, after: &mut After) {
        let outcome = self.store.append(moment, waiting.incoming);
        let mut credit = waiting.credit;
        if let Some(ordered) = outcome.fed {
            self.counts.appended += 1;
            self.history.push(match &ordered {
                Ordered::Stored(stored) => ChaosEvent::Appended(stored.clone()),
                Ordered::Volatile(message, _) => ChaosEvent::Volatile(message.clone()),
            });
            for follower in self.followers.values_mut() {
                let fed = ordered.fed(credit.take());
                follower.pending.push_back(Pending::Fed(fed));
            }
        } else {
            self.counts.duplicates += u64::from(outcome.answer.is_ok());
        }
        after.credits.extend(credit);
        self.note_removals();
        // Which comes first, the acknowledgement or the feed, is a coin's turn
        // where neither is held.
        let feed_first = self.rng.strikes(500);
        if feed_first {
            self.bring_or_hold(after);
        }
        if let Some(ticket) = waiting.ticket {
            self.acknowledge(ticket, outcome.answer, after);
        }
        if !feed_first {
            self.bring_or_hold(after);
        }
    }

    fn acknowledge(&mut self, ticket: Ticket<Acked>, answer: Acked, after: &mut After) {
        // Acknowledgements keep no order among each other.
        if self.rng.strikes(self.faults.hold_ack) {
            self.acks.push_back((ticket, answer));
        } else {
            self.acknowledge_now(ticket, answer, after);
        }
    }

    fn acknowledge_now(&mut self, ticket: Ticket<Acked>, answer: Acked, after: &mut After) {
        if let Ok(Appended::Kept { id, duplicate }) = answer {
            let lineage = self.store.top().lineage;
            if id.epoch != lineage.current() && id.seq >= lineage.current_first() {
                self.counts.acked_then_cut += 1;
            } else {
                self.acked.insert(id.seq);
            }
            if !duplicate && !self.followers.is_empty() {
                if self.followers.values().all(|one| one.given >= id.seq) {
                    self.counts.acks_after_feed += 1;
                } else {
                    self.counts.acks_before_feed += 1;
                }
            }
            self.note_epoch();
        }
        after.wake.extend(ticket.answer(answer));
    }

    pub(super) fn bring_or_hold(&mut self, after: &mut After) {
        for follower in self.followers.values_mut() {
            if !self.rng.strikes(self.faults.hold_feed) && follower.stalled == 0 {
                let faults = &self.faults;
                let woken = follower.bring(usize::MAX, faults, &mut self.rng, &mut self.counts);
                after.wake.extend(woken);
            }
        }
    }

    pub(super) fn note_epoch(&mut self) {
        let ahead = self.followers.values().any(Follower::cut_pending);
        self.counts.epochs_ahead_of_feed += u64::from(ahead);
    }

    pub(super) fn note_removals(&mut self) {
        let removals = self.store.take_removals().into_iter();
        self.history.extend(removals.map(|removal| match removal {
            Removal::Trimmed(channel, through) => ChaosEvent::Trimmed { channel, through },
            Removal::Evicted(channel, through) => ChaosEvent::Evicted { channel, through },
        }));
    }

    pub(super) fn step(&mut self, moment: &Moment, after: &mut After) {
        if self.rng.strikes(self.faults.cut) {
            let k = self.rng.upto(self.faults.cut_most);
            self.cut(k, after);
        }
        if self.rng.strikes(self.faults.lose) {
            let k = self.rng.upto(self.faults.lose_most);
            self.lose(k, after);
        }
        for _ in 0..self.late.len() {
            let Some(late) = self.late.pop_front() else {
                break;
            };
            match self.rng.strikes(300) {
                true => self.place(late, moment, after),
                false => self.late.push_back(late),
            }
        }
        let count = self.rng.upto(self.appends.len() as u64);
        self.order(count as usize, moment, after);
        self.step_feeds(after);
        for _ in 0..self.acks.len() {
            let Some(ack) = self.acks.pop_front() else {
                break;
            };
            match self.rng.strikes(400) {
                true => self.acknowledge_now(ack.0, ack.1, after),
                false => self.acks.push_back(ack),
            }
        }
        for _ in 0..self.asks.len() {
            let Some(ask) = self.asks.pop_front() else {
                break;
            };
            match self.rng.strikes(400) {
                true => self.answer(ask, moment, after),
                false => self.asks.push_back(ask),
            }
        }
    }

    fn step_feeds(&mut self, after: &mut After) {
        for follower in self.followers.values_mut() {
            if follower.stalled > 0 {
                follower.stalled -= 1;
            } else if self.rng.strikes(self.faults.stall) {
                self.counts.stalls += 1;
                follower.stalled = 1 + self.rng.upto(STALL - 1);
            } else {
                let count = self.rng.upto(follower.pending.len() as u64) as usize;
                let faults = &self.faults;
                let woken = follower.bring(count, faults, &mut self.rng, &mut self.counts);
                after.wake.extend(woken);
            }
        }
    }

    pub(super) fn settle(&mut self, moment: &Moment, after: &mut After) {
        self.faults = Faults::none();
        for follower in self.followers.values_mut() {
            follower.stalled = 0;
        }
        while let Some(late) = self.late.pop_front() {
            self.place(late, moment, after);
        }
        self.order(usize::MAX, moment, after);
        self.bring_or_hold(after);
        while let Some((ticket, answer)) = self.acks.pop_front() {
            self.acknowledge_now(ticket, answer, after);
        }
        while let Some(ask) = self.asks.pop_front() {
            self.answer(ask, moment, after);
        }
    }

    pub(super) fn cut(&mut self, k: u64, after: &mut After) {
        let first = Seq(self.store.top_seq().0.saturating_sub(k)).next();
        let epoch = Epoch(self.rng.next());
        self.store.cut(epoch, first);
        self.history.push(ChaosEvent::Cut { epoch, first });
        self.counts.cuts += 1;
        self.counts.acked_then_cut += self.acked.split_off(&first).len() as u64;
        for (_, answer) in &mut self.acks {
            if matches!(answer, Ok(Appended::Kept { id, .. }) if id.seq >= first)
                && self.rng.strikes(500)
            {
                self.counts.acks_unknown_by_cut += 1;
                *answer = Err(AppendError::OutcomeUnknown);
            }
        }
        let unfed = self.rng.strikes(500);
        for follower in self.followers.values_mut() {
            let dropped = follower.cut(epoch, first, unfed);
            self.counts.cut_unfed += count_stored(&dropped);
            after.pending.extend(dropped);
        }
        self.bring_or_hold(after);
    }

    pub(super) fn lose(&mut self, k: u64, after: &mut After) {
        let top = self.store.top_seq();
        let slowest = self.followers.values().map(Follower::surviving).min();
        let through = Seq(slowest.unwrap_or(Seq(0)).0.saturating_add(k)).min(top);
        if through == Seq(0) {
            return;
        }
        self.store.lose(through);
        self.history.push(ChaosEvent::Lost { through });
        self.note_removals();
        self.counts.losses += 1;
        for follower in self.followers.values_mut() {
            let dropped = follower.lose(through);
            self.counts.lost_unfed += count_stored(&dropped);
            after.pending.extend(dropped);
        }
        self.bring_or_hold(after);
    }
}

fn count_stored(pending: &[Pending]) -> u64 {
    let stored = |one: &&Pending| matches!(one, Pending::Fed(Fed::Stored(..)));
    pending.iter().filter(stored).count() as u64
}
