//! One node's feed: what was ordered and has not been brought yet, and what has
//! been brought and not been taken.

use std::collections::VecDeque;
use std::task::Waker;

use super::faults::{ChaosCounts, Faults, Rng};
use crate::broker::{Fed, FeedEvent};
use crate::cursor::{Epoch, Seq};

/// Messages of one batch.
const BATCH_MESSAGES: usize = 256;

/// Something that happened and that the feed will bring.
pub(super) enum Pending {
    Fed(Fed),
    Cut { epoch: Epoch, first: Seq },
    Lost { through: Seq },
}

pub(super) struct Follower {
    /// The last seq brought, or told lost.
    pub(super) given: Seq,
    pub(super) pending: VecDeque<Pending>,
    pub(super) brought: VecDeque<FeedEvent>,
    /// Steps for which nothing is brought.
    pub(super) stalled: u64,
    pub(super) waker: Option<Waker>,
}

impl Follower {
    /// What a node that stands after `given` gets.
    pub(super) fn new(given: Seq, pending: VecDeque<Pending>) -> Self {
        Self {
            given,
            pending,
            brought: VecDeque::new(),
            stalled: 0,
            waker: None,
        }
    }

    /// `given`, less what pending cuts take back.
    pub(super) fn surviving(&self) -> Seq {
        let cuts = self.pending.iter().filter_map(|pending| match pending {
            Pending::Cut { first, .. } => Some(first.prev()),
            _ => None,
        });
        cuts.fold(self.given, Seq::min)
    }

    /// True where a new epoch has not been brought yet.
    pub(super) fn cut_pending(&self) -> bool {
        self.pending
            .iter()
            .any(|pending| matches!(pending, Pending::Cut { .. }))
    }

    /// Brings up to `count` of what is pending.
    pub(super) fn bring(
        &mut self,
        count: usize,
        faults: &Faults,
        rng: &mut Rng,
        counts: &mut ChaosCounts,
    ) -> Option<Waker> {
        let mut batch = Vec::new();
        let mut left = count.min(self.pending.len());
        while left > 0 {
            left -= 1;
            let event = match self.pending.pop_front() {
                None => break,
                Some(Pending::Fed(fed)) => {
                    if let Fed::Stored(stored, _) = &fed {
                        self.given = stored.seq();
                    }
                    batch.push(fed);
                    let split = left > 0 && rng.strikes(faults.split);
                    if split || batch.len() == BATCH_MESSAGES {
                        counts.batches_split += u64::from(split);
                        self.flush(&mut batch, counts);
                    }
                    continue;
                }
                Some(Pending::Cut { epoch, first }) => {
                    self.given = first.prev();
                    FeedEvent::Cut { epoch, first }
                }
                Some(Pending::Lost { through }) => {
                    self.given = self.given.max(through);
                    FeedEvent::Lost { through }
                }
            };
            self.flush(&mut batch, counts);
            self.brought.push_back(event);
        }
        self.flush(&mut batch, counts);
        if self.brought.is_empty() {
            return None;
        }
        self.waker.take()
    }

    fn flush(&mut self, batch: &mut Vec<Fed>, counts: &mut ChaosCounts) {
        if !batch.is_empty() {
            counts.batches_joined += u64::from(batch.len() > 1);
            let batch = std::mem::take(batch);
            self.brought.push_back(FeedEvent::Batch(batch));
        }
    }

    /// An epoch opens at `first`. With `unfed`, what is pending from there on is
    /// never brought; else the feed brings it and takes it back.
    pub(super) fn cut(&mut self, epoch: Epoch, first: Seq, unfed: bool) -> Vec<Pending> {
        let mut dropped = Vec::new();
        while unfed
            && self.pending.back().is_some_and(|pending| match pending {
                Pending::Fed(Fed::Stored(stored, _)) => stored.seq() >= first,
                Pending::Fed(Fed::Volatile(..)) => true,
                Pending::Cut { .. } | Pending::Lost { .. } => false,
            })
        {
            dropped.extend(self.pending.pop_back());
        }
        self.pending.push_back(Pending::Cut { epoch, first });
        dropped
    }

    /// Nothing through `through` is brought any more.
    pub(super) fn lose(&mut self, through: Seq) -> Vec<Pending> {
        // The last message of those lost that no pending cut takes back anyway:
        // with everything before it, it is not brought.
        let mut end = Seq(u64::MAX);
        let mut at = 0;
        for (index, pending) in self.pending.iter().enumerate().rev() {
            match pending {
                Pending::Cut { first, .. } => end = end.min(*first),
                Pending::Fed(Fed::Stored(stored, _))
                    if stored.seq() <= through && stored.seq() < end =>
                {
                    at = index + 1;
                    break;
                }
                _ => {}
            }
        }
        let rest = self.pending.split_off(at);
        let mut dropped = Vec::new();
        let mut missing = false;
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Fed(_) => {
                    missing = true;
                    dropped.push(pending);
                }
                Pending::Cut { first, .. } => {
                    // What is missing before a cut is told before it.
                    if missing {
                        let through = through.min(first.prev());
                        self.pending.push_back(Pending::Lost { through });
                    }
                    missing = false;
                    self.pending.push_back(pending);
                }
                Pending::Lost { .. } => self.pending.push_back(pending),
            }
        }
        self.pending.push_back(Pending::Lost { through });
        self.pending.extend(rest);
        dropped
    }
}
