//! The newest messages of the whole feed, shared by the shards of this node:
//! the last stretch of every catch-up is read here, inside the shard's turn.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cursor::Seq;
use crate::message::Stored;

/// Messages contiguous in feed order, bounded in bytes.
pub(super) struct Ring {
    entries: VecDeque<Arc<Stored>>,
    bytes: usize,
    limit: usize,
    /// Every message of this feed with a seq beyond this is here.
    complete_after: Seq,
}

impl Ring {
    /// A ring of `limit` bytes for a feed that begins after `start`.
    pub(super) fn new(limit: usize, start: Seq) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            limit,
            complete_after: start,
        }
    }

    /// Adds the next message; the oldest make room.
    pub(super) fn push(&mut self, stored: Arc<Stored>) {
        self.bytes += stored.cost();
        self.entries.push_back(stored);
        while self.bytes > self.limit {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.cost();
            self.complete_after = oldest.seq();
        }
    }

    /// Forgets what a cut took away.
    pub(super) fn cut(&mut self, first: Seq) {
        while self.entries.back().is_some_and(|last| last.seq() >= first) {
            if let Some(cut) = self.entries.pop_back() {
                self.bytes -= cut.cost();
            }
        }
        self.complete_after = self.complete_after.min(first.prev());
    }

    /// Starts anew after a loss: what was before is not contiguous any more.
    pub(super) fn lose(&mut self, through: Seq) {
        self.entries.clear();
        self.bytes = 0;
        self.complete_after = through;
    }

    /// True where a stream that stands at `after` had better read on: more than `most`
    /// messages came since, half of what the ring can hold, or more than it has.
    pub(super) fn is_far(&self, after: Seq, most: usize) -> bool {
        if after < self.complete_after {
            return true;
        }
        let later = self.entries.partition_point(|stored| stored.seq() <= after);
        let count = self.entries.len() - later;
        count > most || 2 * self.bytes > self.limit && 2 * count > self.entries.len()
    }

    /// The messages after `after` up to `upto`, or none where some of them may
    /// have left the ring.
    pub(super) fn range(
        &self,
        after: Seq,
        upto: Seq,
    ) -> Option<impl Iterator<Item = &Arc<Stored>>> {
        if after < self.complete_after {
            return None;
        }
        let from = self.entries.partition_point(|stored| stored.seq() <= after);
        Some(
            self.entries
                .range(from..)
                .take_while(move |stored| stored.seq() <= upto),
        )
    }
}
