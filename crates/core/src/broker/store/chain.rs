//! One channel's log: a chain of segments that readers share.
//!
//! A reader clones the segments' handles under the broker's lock and walks
//! them outside. Nothing that a reader holds changes under it: a segment that
//! is held is copied (at most [`SEGMENT`] handles) before it is written.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Instant;
use crate::cursor::Seq;
use crate::message::Stored;

/// Messages of one segment.
pub(super) const SEGMENT: usize = 64;

/// A message with the time at which it was appended, for its age.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) stored: Arc<Stored>,
    pub(super) at: Instant,
}

/// Neighbours in one log, by seq.
pub(super) type Segment = VecDeque<Item>;

/// A log: messages by seq, none twice.
#[derive(Default)]
pub(super) struct Chain {
    /// None of them empty.
    segments: VecDeque<Arc<Segment>>,
    len: usize,
    bytes: usize,
}

impl Chain {
    /// Messages held.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Their [`Stored::cost`].
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest.
    pub(super) fn front(&self) -> Option<&Item> {
        self.segments.front()?.front()
    }

    /// The newest.
    pub(super) fn back(&self) -> Option<&Item> {
        self.segments.back()?.back()
    }

    /// Adds a message newer than all others.
    pub(super) fn push(&mut self, item: Item) {
        self.len += 1;
        self.bytes += item.stored.cost();
        match self.segments.back_mut() {
            Some(open) if open.len() < SEGMENT => Arc::make_mut(open).push_back(item),
            _ => self.segments.push_back(Arc::new(Segment::from([item]))),
        }
    }

    /// Takes the oldest out.
    pub(super) fn pop_front(&mut self) -> Option<Item> {
        let front = self.segments.front_mut()?;
        let item = if front.len() == 1 {
            let item = front.front().cloned();
            self.segments.pop_front();
            item?
        } else {
            Arc::make_mut(front).pop_front()?
        };
        self.took(&item);
        Some(item)
    }

    /// Takes the newest out.
    pub(super) fn pop_back(&mut self) -> Option<Item> {
        let back = self.segments.back_mut()?;
        let item = if back.len() == 1 {
            let item = back.back().cloned();
            self.segments.pop_back();
            item?
        } else {
            Arc::make_mut(back).pop_back()?
        };
        self.took(&item);
        Some(item)
    }

    fn took(&mut self, item: &Item) {
        self.len -= 1;
        self.bytes -= item.stored.cost();
        if self.segments.is_empty() {
            // An empty channel gives everything back but its record.
            self.segments = VecDeque::new();
        }
    }

    /// The segments that hold messages after `after` and not beyond `upto`,
    /// from the oldest on, until they hold `enough` of them.
    pub(super) fn after(&self, after: Seq, upto: Seq, enough: usize) -> Vec<Arc<Segment>> {
        let first = self
            .segments
            .partition_point(|segment| segment.back().is_none_or(|item| item.seq() <= after));
        let mut found = 0;
        let mut picked = Vec::new();
        for segment in self.segments.range(first..) {
            if found >= enough || segment.front().is_none_or(|item| item.seq() > upto) {
                break;
            }
            found += segment.len() - segment.partition_point(|item| item.seq() <= after);
            picked.push(segment.clone());
        }
        picked
    }

    /// The segments that hold the newest `n` messages, or all.
    pub(super) fn newest(&self, n: usize) -> Vec<Arc<Segment>> {
        let mut found = 0;
        let mut first = self.segments.len();
        for segment in self.segments.iter().rev() {
            if found >= n {
                break;
            }
            found += segment.len();
            first -= 1;
        }
        self.segments.range(first..).cloned().collect()
    }
}

impl Item {
    pub(super) fn seq(&self) -> Seq {
        self.stored.seq()
    }
}
