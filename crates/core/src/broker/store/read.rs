//! Reading: handles are taken under the lock, messages are merged outside.

use std::sync::Arc;

use super::chain::{Item, Segment};
use super::{Moment, Store};
use crate::broker::{Held, Loss, ReadReply, ReadRequest, Tail};
use crate::cursor::{GapReason, Seq};
use crate::key::Key;
use crate::message::Stored;
use crate::mutant;

/// The least that a message costs: how many messages a byte bound can hold.
pub(super) const LEAST_COST: usize = 160;

/// Some channels at one instant: everything that it says holds together.
pub(crate) struct Snapshot {
    top: Seq,
    parts: Vec<Part>,
}

struct Part {
    key: Key,
    lost: (Seq, GapReason),
    /// Messages held in all, of which `segments` may be a part.
    held: usize,
    oldest: Option<Seq>,
    segments: Vec<Arc<Segment>>,
}

/// A place in a part, going forward.
struct Reader<'a> {
    segments: &'a [Arc<Segment>],
    at: usize,
}

impl Store {
    /// Takes what [`Snapshot::read`] needs for `request`. Costs a handle for
    /// every 64 messages that the answer may have.
    pub(crate) fn snapshot(&mut self, moment: &Moment, request: &ReadRequest) -> Snapshot {
        let by_bytes = (request.max_bytes / LEAST_COST).saturating_add(1);
        // One more than is given, to tell whether anything is left.
        let enough = request.max_messages.min(by_bytes).saturating_add(1);
        self.parts(moment, &request.channels, |chain| {
            chain.after(request.after, request.upto, enough)
        })
    }

    /// Takes what [`Snapshot::tail`] needs. Costs a handle for every 64 of the
    /// `n` messages; none where every channel has fewer.
    pub(crate) fn tail_snapshot(&mut self, moment: &Moment, keys: &[Key], n: usize) -> Snapshot {
        self.parts(moment, keys, |chain| {
            if n == usize::MAX {
                Vec::new()
            } else {
                chain.newest(n.max(1))
            }
        })
    }

    /// How much each of `keys` holds now.
    pub(crate) fn held_of(&mut self, moment: &Moment, keys: &[Key]) -> Vec<Held> {
        self.now = self.now.max(moment.now);
        let held = keys.iter().map(|key| {
            let Some(at) = self.records.find(key) else {
                return Held::default();
            };
            self.trim(at, moment);
            let chain = self.records.get(at).map(|record| &record.chain);
            chain.map_or(Held::default(), |chain| Held {
                messages: chain.len(),
                bytes: chain.bytes(),
                last: chain.back().map(|item| item.stored.id),
            })
        });
        held.collect()
    }

    fn parts(
        &mut self,
        moment: &Moment,
        keys: &[Key],
        pick: impl Fn(&super::chain::Chain) -> Vec<Arc<Segment>>,
    ) -> Snapshot {
        self.now = self.now.max(moment.now);
        let parts = keys.iter().map(|key| {
            let at = self.records.find(key);
            if let Some(at) = at {
                self.trim(at, moment);
            }
            let record = at.and_then(|at| self.records.get(at));
            Part {
                key: key.clone(),
                lost: self.lost_through(key, record, moment.history(key)),
                held: record.map_or(0, |record| record.chain.len()),
                oldest: record
                    .and_then(|record| record.chain.front())
                    .map(Item::seq),
                segments: record.map(|record| pick(&record.chain)).unwrap_or_default(),
            }
        });
        Snapshot {
            parts: parts.collect(),
            top: self.top,
        }
    }
}

impl Snapshot {
    /// Merges the channels by seq. `request` is the one that the snapshot was
    /// taken for.
    pub(crate) fn read(&self, request: &ReadRequest) -> ReadReply {
        let end = request.upto.min(self.top);
        let mut after = request.after;
        if mutant::active("replay-off-by-one") {
            after = after.next();
        }
        let mut readers: Vec<_> = self
            .parts
            .iter()
            .map(|part| Reader::after(&part.segments, after))
            .collect();
        let mut messages: Vec<Arc<Stored>> = Vec::new();
        let mut bytes = 0usize;
        let complete_through = loop {
            let next = readers
                .iter()
                .filter_map(Reader::peek)
                .min_by_key(|item| item.seq());
            let Some(item) = next.filter(|item| item.seq() <= end) else {
                break end;
            };
            let (seq, cost) = (item.seq(), item.stored.cost());
            let full = messages.len() >= request.max_messages
                || (!messages.is_empty() && bytes.saturating_add(cost) > request.max_bytes);
            if full {
                break messages.last().map_or(request.after, |last| last.seq());
            }
            bytes = bytes.saturating_add(cost);
            messages.push(item.stored.clone());
            for reader in &mut readers {
                reader.pass(seq);
            }
        };
        ReadReply {
            messages,
            complete_through,
            lost: self.losses(request.after),
        }
    }

    fn losses(&self, after: Seq) -> Vec<Loss> {
        let mut losses: Vec<Loss> = Vec::new();
        for part in &self.parts {
            let (lost_through, reason) = part.lost;
            if lost_through > after && losses.iter().all(|loss| loss.channel != part.key) {
                losses.push(Loss {
                    channel: part.key.clone(),
                    lost_through,
                    reason,
                });
            }
        }
        losses
    }

    /// Finds where the last `n` messages begin, as [`Tail`] has it. The last 0
    /// begin after the newest.
    pub(crate) fn tail(&self, n: usize) -> Tail {
        Tail {
            floors: self.parts.iter().map(|part| part.floor(n)).collect(),
            union: self.union(n),
        }
    }

    fn union(&self, n: usize) -> Option<Seq> {
        let oldest = self.parts.iter().filter_map(|part| part.oldest).min()?;
        let held = self
            .parts
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.held));
        if n >= held {
            return Some(oldest.prev());
        }
        let mut left: Vec<_> = self.parts.iter().map(Part::newest_first).collect();
        let mut heads: Vec<Option<Seq>> = left.iter_mut().map(Iterator::next).collect();
        for count in 0.. {
            let Some(newest) = heads.iter().flatten().max().copied() else {
                break;
            };
            if n == 0 {
                return Some(newest);
            }
            if count + 1 == n {
                return Some(newest.prev());
            }
            for (head, left) in heads.iter_mut().zip(&mut left) {
                if *head == Some(newest) {
                    *head = left.next();
                }
            }
        }
        Some(oldest.prev())
    }
}

impl Part {
    fn floor(&self, n: usize) -> Seq {
        let lost = self.lost.0;
        let Some(oldest) = self.oldest else {
            return lost;
        };
        if n >= self.held {
            return oldest.prev().max(lost);
        }
        let floor = match n.checked_sub(1) {
            Some(skip) => self.newest_first().nth(skip).map(Seq::prev),
            None => self.newest_first().next(),
        };
        floor.unwrap_or(lost).max(lost)
    }

    fn newest_first(&self) -> impl Iterator<Item = Seq> {
        let segments = self.segments.iter().rev();
        segments.flat_map(|segment| segment.iter().rev().map(Item::seq))
    }
}

impl<'a> Reader<'a> {
    fn after(segments: &'a [Arc<Segment>], after: Seq) -> Self {
        let mut reader = Self { segments, at: 0 };
        while let Some(first) = reader.segments.first() {
            reader.at = first.partition_point(|item| item.seq() <= after);
            if reader.at < first.len() {
                break;
            }
            reader.segments = &reader.segments[1..];
            reader.at = 0;
        }
        reader
    }

    fn peek(&self) -> Option<&'a Item> {
        self.segments.first()?.get(self.at)
    }

    /// Goes on if it stands at `seq`.
    fn pass(&mut self, seq: Seq) {
        if self.peek().is_none_or(|item| item.seq() != seq) {
            return;
        }
        self.at += 1;
        if self
            .segments
            .first()
            .is_some_and(|segment| self.at >= segment.len())
        {
            self.segments = &self.segments[1..];
            self.at = 0;
        }
    }
}
