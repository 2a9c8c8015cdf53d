//! What waits for one follower of the feed.

use std::collections::VecDeque;
use std::task::Waker;

use super::After;
use crate::broker::store::Store;
use crate::broker::{Fed, FeedEvent};
use crate::cursor::Seq;

/// Messages of one batch of the feed.
const BATCH_MESSAGES: usize = 256;
/// Bytes of one batch of the feed, but at least one message.
const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes that wait for one follower, or twice the publishers' credit where that
/// is more: so credit keeps the queue below it. Past the limit the follower is
/// sent back to the logs, and told [`FeedEvent::Lost`] for what they no longer
/// hold.
const FEED_BYTES: usize = 128 * 1024 * 1024;

/// One follower of the feed.
pub(super) struct Follower {
    /// The last seq that was handed out, or told lost.
    given: Seq,
    /// What is taken from the logs before the queue's turn comes: (given, this].
    replay: Seq,
    queue: VecDeque<Fed>,
    bytes: usize,
    most: usize,
    pub(super) waker: Option<Waker>,
}

impl Follower {
    /// One that is given (`given`, `replay`] from the logs, and then the queue;
    /// `credit` is the bytes that publishers may have under way.
    pub(super) fn new(given: Seq, replay: Seq, credit: usize) -> Self {
        Self {
            given,
            replay,
            queue: VecDeque::new(),
            bytes: 0,
            most: FEED_BYTES.max(credit.saturating_mul(2)),
            waker: None,
        }
    }

    /// Queues one message; `top` is the newest seq.
    pub(super) fn push(&mut self, fed: Fed, top: Seq, after: &mut After) {
        self.bytes += fed_cost(&fed);
        self.queue.push_back(fed);
        if self.bytes > self.most {
            after.queues.push(std::mem::take(&mut self.queue));
            self.bytes = 0;
            self.replay = top;
        }
    }

    /// The next step from the logs.
    pub(super) fn replayed(&mut self, store: &Store) -> Option<FeedEvent> {
        if self.given >= self.replay {
            return None;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for stored in store.held(self.given, self.replay) {
            bytes += stored.cost();
            let full = batch.len() == BATCH_MESSAGES || bytes > BATCH_BYTES;
            if stored.seq() != self.given.next() || (full && !batch.is_empty()) {
                break;
            }
            self.given = stored.seq();
            batch.push(Fed::Stored(stored.clone(), None));
        }
        if !batch.is_empty() {
            return Some(FeedEvent::Batch(batch));
        }
        let next = store.held(self.given, self.replay).next();
        let through = next.map_or(self.replay, |stored| stored.seq().prev());
        self.given = through;
        Some(FeedEvent::Lost { through })
    }

    /// The next step from the queue.
    pub(super) fn queued(&mut self) -> Option<FeedEvent> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(fed) = self.queue.front() {
            let cost = fed_cost(fed);
            let full = batch.len() == BATCH_MESSAGES || bytes + cost > BATCH_BYTES;
            if full && !batch.is_empty() {
                break;
            }
            bytes += cost;
            if let Fed::Stored(stored, _) = fed {
                self.given = stored.seq();
            }
            batch.extend(self.queue.pop_front());
        }
        self.bytes -= bytes;
        if self.queue.is_empty() {
            // A burst's capacity is given back.
            self.queue.shrink_to(BATCH_MESSAGES);
        }
        (!batch.is_empty()).then_some(FeedEvent::Batch(batch))
    }
}

/// Bytes that a step of the feed counts for.
fn fed_cost(fed: &Fed) -> usize {
    match fed {
        Fed::Stored(stored, _) => stored.cost(),
        Fed::Volatile(message, ..) => message.cost(),
    }
}
