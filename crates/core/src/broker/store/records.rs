//! Which channels the store knows: a record for each that was published to,
//! and one number for every 65,536th of those that it had to forget.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::{HashMap, HashTable};

use super::chain::Chain;
use crate::cursor::Seq;
use crate::key::Key;
use crate::limits::FORGOTTEN_BUCKETS;

/// Bytes that a record counts for, beside its names: its slot, its places in
/// the table and in the order of eviction, the allocations of its names and of
/// its log. With [`super::MESSAGE_COST`] it is what was measured: 750 bytes for
/// a channel that holds one message of 5.
pub(super) const RECORD_COST: usize = 416;

/// What is known of one channel.
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) chain: Chain,
    /// The newest message ever removed.
    pub(super) lost: Seq,
    /// The newest message ever appended and not cut: the order of eviction.
    pub(super) last: Seq,
    listened: bool,
}

/// All records.
pub(super) struct Records {
    hasher: FixedState,
    /// Hash and slot. The hash is kept so that growing touches no record.
    table: HashTable<(u64, usize)>,
    slots: Vec<Option<Record>>,
    free: Vec<usize>,
    /// Records without a listener, the least recently appended first.
    idle: BTreeSet<(Seq, usize)>,
    /// How often each channel is listened to; bounded by the subscriptions.
    listeners: HashMap<Key, usize, FixedState>,
    forgotten: Box<[Seq]>,
    swept: usize,
}

impl Record {
    /// Bytes that it counts for without its messages.
    pub(super) fn cost(&self) -> usize {
        RECORD_COST + self.key.len_bytes()
    }
}

impl Records {
    /// None; `seed` keeps strangers from choosing names that collide.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            idle: BTreeSet::new(),
            listeners: HashMap::with_hasher(FixedState::with_seed(!seed)),
            forgotten: vec![Seq(0); FORGOTTEN_BUCKETS].into_boxed_slice(),
            swept: 0,
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Where a channel's record is.
    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let found = self.table.find(hash, |(other, at)| {
            *other == hash && self.get(*at).is_some_and(|record| record.key == *key)
        });
        found.map(|(_, at)| *at)
    }

    /// The record at a place that [`Self::find`] or [`Self::insert`] gave.
    pub(super) fn get(&self, at: usize) -> Option<&Record> {
        self.slots.get(at)?.as_ref()
    }

    /// As [`Self::get`]. Whoever changes `last` does it by [`Self::appended`].
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Record> {
        self.slots.get_mut(at)?.as_mut()
    }

    /// Makes the record of a channel that has none. It begins with the loss of
    /// its bucket: the channel may be one of those forgotten.
    pub(super) fn insert(&mut self, key: &Key) -> usize {
        let hash = self.hasher.hash_one(key);
        let lost = self.forgotten[bucket(hash)];
        let record = Record {
            key: key.clone(),
            chain: Chain::default(),
            lost,
            last: lost,
            listened: self.listeners.contains_key(key),
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        if !record.listened {
            self.idle.insert((record.last, at));
        }
        self.slots[at] = Some(record);
        self.table
            .insert_unique(hash, (hash, at), |(hash, _)| *hash);
        at
    }

    /// Notes that a channel's newest message is `seq`.
    pub(super) fn appended(&mut self, at: usize, seq: Seq) {
        let Some(record) = self.slots.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        if !record.listened {
            self.idle.remove(&(record.last, at));
            self.idle.insert((seq, at));
        }
        record.last = seq;
    }

    /// The record that is evicted next: the least recently appended one without
    /// a listener, with its newest seq.
    pub(super) fn oldest_idle(&self) -> Option<(Seq, usize)> {
        self.idle.first().copied()
    }

    /// Forgets a record: its newest seq is folded into its bucket.
    pub(super) fn evict(&mut self, at: usize) -> Option<Record> {
        let record = self.slots.get_mut(at)?.take()?;
        let hash = self.hasher.hash_one(&record.key);
        if let Ok(entry) = self.table.find_entry(hash, |(_, other)| *other == at) {
            entry.remove();
        }
        self.idle.remove(&(record.last, at));
        self.free.push(at);
        let forgotten = &mut self.forgotten[bucket(hash)];
        *forgotten = (*forgotten).max(record.last).max(record.lost);
        Some(record)
    }

    /// The loss of a channel without a record.
    pub(super) fn forgotten(&self, key: &Key) -> Seq {
        self.forgotten[bucket(self.hasher.hash_one(key))]
    }

    /// Counts a listener up or down. True where the channel lost its last one:
    /// its record may be one too many now.
    pub(super) fn listening(&mut self, key: &Key, on: bool) -> bool {
        let changed = if on {
            let count = self.listeners.entry(key.clone()).or_insert(0);
            *count += 1;
            *count == 1
        } else if let Some(count) = self.listeners.get_mut(key) {
            *count -= 1;
            *count == 0
        } else {
            false
        };
        if !changed {
            return false;
        }
        if !on {
            self.listeners.remove(key);
        }
        if let Some(at) = self.find(key)
            && let Some(record) = self.slots[at].as_mut()
        {
            record.listened = on;
            if on {
                self.idle.remove(&(record.last, at));
            } else {
                self.idle.insert((record.last, at));
            }
        }
        !on
    }

    /// The next place to look at for messages that grew too old, round and round.
    pub(super) fn sweep(&mut self) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        self.swept = (self.swept + 1) % self.slots.len();
        Some(self.swept)
    }

    /// Nothing at `first` or after was ever there: `each` shortens a record's
    /// log and sets what it lost and its newest.
    pub(super) fn cut(&mut self, first: Seq, mut each: impl FnMut(&mut Record)) {
        self.idle.clear();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let Some(record) = slot else { continue };
            each(record);
            if !record.listened {
                self.idle.insert((record.last, at));
            }
        }
        for forgotten in &mut self.forgotten {
            *forgotten = (*forgotten).min(first.prev());
        }
    }
}

fn bucket(hash: u64) -> usize {
    (hash & (FORGOTTEN_BUCKETS as u64 - 1)) as usize
}
