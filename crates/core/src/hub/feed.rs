//! The feed lock: hands one step of the broker's feed to the shard queues, and
//! is where a subscriber begins. Between reading history and hearing live there
//! is no instant in which a message can be lost or doubled, because both sides
//! pass here.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::task::Waker;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::cursor::{Lineage, Seq};
use crate::key::{Key, Name, Namespace};

/// How many subscribers each shard has (or is about to have) on one key.
type Interest = SmallVec<[u32; 4]>;

/// Whom a hub takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taking {
    /// Everyone.
    All,
    /// Nobody who would stay: polls are answered at once.
    Polls,
    /// Nobody.
    Nobody,
}

/// What the feed lock guards.
pub(super) struct FeedState {
    /// The newest seq handed to the shard queues.
    pub(super) applied: Seq,
    /// The lineage as the feed told it.
    pub(super) lineage: Arc<Lineage>,
    /// Whom the hub still takes.
    pub(super) taking: Taking,
    interest: HashMap<Key, Interest, foldhash::fast::RandomState>,
    /// The names of what is listened to, in order: an operator leafs through them.
    names: BTreeSet<(Namespace, Name)>,
    waiting: Vec<(Seq, Waker)>,
}

impl FeedState {
    pub(super) fn new(applied: Seq, lineage: Lineage) -> Self {
        Self {
            applied,
            lineage: Arc::new(lineage),
            taking: Taking::All,
            interest: HashMap::default(),
            names: BTreeSet::new(),
            waiting: Vec::new(),
        }
    }

    /// Notes that `shard` has one more subscriber of `key`.
    pub(super) fn listen(&mut self, key: &Key, shard: usize, shards: usize) {
        let names = &mut self.names;
        let counts = self.interest.entry_ref(key).or_insert_with(|| {
            names.extend(key.name());
            SmallVec::from_elem(0, shards)
        });
        counts[shard] += 1;
    }

    /// Notes that `shard` has one fewer.
    pub(super) fn leave(&mut self, key: &Key, shard: usize) {
        if let Some(counts) = self.interest.get_mut(key) {
            counts[shard] = counts[shard].saturating_sub(1);
            if counts.iter().all(|count| *count == 0) {
                self.interest.remove(key);
                if let Some(name) = key.name() {
                    self.names.remove(&name);
                }
                // A flood of names must not be paid for when it is over.
                if self.interest.len() * 8 < self.interest.capacity() {
                    self.interest.shrink_to(self.interest.len() * 2 + 64);
                }
            }
        }
    }

    /// Marks in `marks` every shard that has a subscriber of one of `keys`.
    pub(super) fn interested(&self, keys: &[Key], marks: &mut [bool]) {
        for counts in keys.iter().filter_map(|key| self.interest.get(key)) {
            for (mark, count) in marks.iter_mut().zip(counts) {
                *mark |= *count > 0;
            }
        }
    }

    /// Keys that anyone listens to.
    pub(super) fn keys(&self) -> usize {
        self.interest.len()
    }

    /// How many subscribers `key` has.
    pub(super) fn subscribers(&self, key: &Key) -> usize {
        let counts = self.interest.get(key);
        counts.map_or(0, |counts| counts.iter().map(|count| *count as usize).sum())
    }

    /// The next names after `from`, at most `most`, with their subscribers.
    pub(super) fn names_from(
        &self,
        from: Bound<&(Namespace, Name)>,
        most: usize,
    ) -> Vec<((Namespace, Name), usize)> {
        let names = self.names.range((from, Bound::Unbounded)).take(most);
        let counted = names.map(|name| {
            let key = Key::of_name(name.clone());
            (name.clone(), self.subscribers(&key))
        });
        counted.collect()
    }

    /// Wakes `waker` once `seq` is applied.
    pub(super) fn wait(&mut self, seq: Seq, waker: Waker) {
        self.waiting.push((seq, waker));
    }

    /// Takes the wakers of all that waited for what is applied now.
    pub(super) fn take_reached(&mut self) -> Vec<Waker> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let applied = self.applied;
        let (reached, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(seq, _)| *seq <= applied);
        self.waiting = waiting;
        let reached: Vec<(Seq, Waker)> = reached;
        reached.into_iter().map(|(_, waker)| waker).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cursor::Epoch;
    use crate::key::SocketId;

    #[test]
    fn x5_the_table_of_names_shrinks_when_a_flood_is_over() {
        let mut feed = FeedState::new(Seq(0), Lineage::fresh(Epoch(1)));
        let key = |at: usize| Key::channel(&at.to_string()).unwrap();
        for at in 0..100_000 {
            feed.listen(&key(at), 1, 2);
        }
        assert_eq!(feed.keys(), 100_000);
        for at in 1..100_000 {
            feed.leave(&key(at), 1);
        }
        let capacity = feed.interest.capacity();
        assert!(feed.keys() == 1 && capacity < 256, "room for {capacity}");
        let mut marks = [false; 2];
        feed.interested(&[key(0)], &mut marks);
        assert_eq!(marks, [false, true]);
    }

    #[test]
    fn names_are_leafed_through_in_order_each_with_its_subscribers() {
        let mut feed = FeedState::new(Seq(0), Lineage::fresh(Epoch(1)));
        let keys = ["b", "a", "chat:x", "chat:@all", "@all", "a/b"];
        let keys = keys.map(|key| Key::parse(key.as_bytes()).unwrap());
        for (at, key) in keys.iter().enumerate() {
            feed.listen(key, at % 2, 2);
        }
        feed.listen(&keys[0], 0, 2);
        feed.listen(&Key::Socket(Namespace::root(), SocketId::new("1")), 0, 2);
        let mut seen = Vec::new();
        let mut from = Bound::Unbounded;
        loop {
            let names = feed.names_from(from.as_ref(), 2);
            let Some((last, _)) = names.last() else { break };
            from = Bound::Excluded(last.clone());
            let shown = |(name, count)| (Key::of_name(name).to_string(), count);
            seen.extend(names.into_iter().map(shown));
        }
        let expected = [
            ("@all", 1),
            ("a", 1),
            ("a/b", 1),
            ("b", 2),
            ("chat:@all", 1),
            ("chat:x", 1),
        ];
        assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
        for (at, key) in keys.iter().enumerate() {
            feed.leave(key, at % 2);
        }
        let left = feed.names_from(Bound::Unbounded, 9);
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
