//! Keys that a subscriber joins while it listens: where it begins to hear them,
//! and that every listen has its leave.

use super::Hub;
use super::feed::Taking;
use super::queue::{Entry, SubId};
use crate::cursor::Cursor;
use crate::error::{Code, Refusal};
use crate::limits::MAX_KEYS;
use crate::message::Keys;
use crate::mutant;
use crate::policy::Permit;

impl Hub {
    /// As an attach does: the shard's interest, what is applied and the entry in its
    /// queue are one step under the feed lock. The shard takes back what was too
    /// much: keys held already, and all of them where the subscriber is gone.
    pub(super) fn join(&self, shard: usize, id: SubId, permit: Permit) -> Cursor {
        for key in permit.keys() {
            self.broker.listening(key, true);
        }
        let (cursor, waker) = {
            let mut feed = self.feed.lock();
            let (at, cursor) = (feed.applied, feed.lineage.cursor(feed.applied));
            if feed.taking == Taking::Nobody {
                // No shard is driven that would see it.
                drop(feed);
                for key in permit.keys() {
                    self.broker.listening(key, false);
                }
                return cursor;
            }
            for key in permit.keys() {
                feed.listen(key, shard, self.queues.len());
            }
            let permit = Box::new(permit);
            (
                cursor,
                self.queues[shard].push([Entry::Join { id, permit, at }]),
            )
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        cursor
    }

    /// Takes back what was listened to, once for each key.
    pub(super) fn release(&self, shard: usize, keys: &[crate::key::Key]) {
        if keys.is_empty() {
            return;
        }
        {
            let mut feed = self.feed.lock();
            for key in keys {
                feed.leave(key, shard);
            }
        }
        for key in keys {
            self.broker.listening(key, false);
        }
    }

    /// A join that meets nobody.
    pub(super) fn release_late(&self, shard: usize, keys: &Keys) {
        if !mutant::active("late-join-leaks-interest") {
            self.release(shard, keys);
        }
    }
}

/// The refusal of a subscriber that would have too many keys.
pub(super) fn too_many() -> Refusal {
    let sentence = format!("at most {MAX_KEYS} channels on one subscription");
    Refusal::new(Code::TooManyChannels, sentence)
}
