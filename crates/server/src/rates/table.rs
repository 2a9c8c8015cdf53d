//! The buckets of all who are told apart by a key: addresses, users, namespaces.
//!
//! Keys are chosen by strangers, so there is room for a fixed number of them and
//! no more: a key has eight places, and where all are taken the bucket that owes
//! least makes room, which is mostly one that owes nothing and so says nothing.
//! **The newcomer takes over what that one owed.** So the sum of what a place was
//! charged only grows with what is taken: whoever lets his own bucket be pushed
//! out finds, when he comes back, one that owes at least as much. A flood of keys
//! can make a newcomer wait for what others took; it gives nobody a new bucket.

use std::time::Duration;

use parking_lot::Mutex;

use super::bucket;

/// Places of one key.
const WAYS: usize = 8;
/// Groups of places. With [`WAYS`]: 32,768 buckets, half a mebibyte.
const SETS: usize = 4096;

/// Every bucket of one limit.
pub(super) struct Table {
    sets: Box<[Mutex<Set>]>,
}

/// Keys, and until when each one's bucket is paid for. No key is 0.
#[derive(Default, Clone, Copy)]
struct Set {
    keys: [u64; WAYS],
    due: [u64; WAYS],
}

impl Table {
    pub(super) fn new() -> Self {
        Self::of(SETS)
    }

    fn of(sets: usize) -> Self {
        let sets = (0..sets).map(|_| Mutex::new(Set::default()));
        Self {
            sets: sets.collect(),
        }
    }

    /// See [`bucket::take`].
    pub(super) fn take(&self, key: u64, now: u64, price: u64, burst: u64) -> Result<(), Duration> {
        let mut set = self.set(key).lock();
        let at = match set.place(key) {
            Some(at) => at,
            None => {
                let at = set.least();
                set.keys[at] = key;
                at
            }
        };
        set.due[at] = bucket::take(set.due[at], now, price, burst)?;
        Ok(())
    }

    /// Gives back what was taken just now, if its bucket is still there.
    pub(super) fn give_back(&self, key: u64, price: u64) {
        let mut set = self.set(key).lock();
        if let Some(at) = set.place(key) {
            set.due[at] = set.due[at].saturating_sub(price);
        }
    }

    fn set(&self, key: u64) -> &Mutex<Set> {
        // The high bits: the low ones tell the keys of a set apart as well as any.
        let at = (key >> 32) as usize % self.sets.len();
        &self.sets[at]
    }
}

impl Set {
    fn place(&self, key: u64) -> Option<usize> {
        self.keys.iter().position(|known| *known == key)
    }

    /// Where least is owed.
    fn least(&self) -> usize {
        let places = self.due.iter().enumerate();
        places.min_by_key(|(_, due)| **due).map_or(0, |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn r4_a_million_keys_take_no_more_room_than_one() {
        let table = Table::new();
        for n in 1..=1_000_000_u64 {
            let key = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            // Whether it passes depends on what others owe.
            let _ = table.take(key, n, SECOND, SECOND);
        }
        // They spread over every place that there is.
        let taken = |set: &Mutex<Set>| set.lock().keys.iter().filter(|key| **key != 0).count();
        let taken: usize = table.sets.iter().map(taken).sum();
        assert_eq!(taken, 32_768);
        assert_eq!(size_of::<Set>() * table.sets.len(), 512 * 1024);
    }

    #[test]
    fn r4_whoever_is_pushed_out_finds_no_new_bucket() {
        let table = Table::of(1);
        let burst = 10 * SECOND;
        // He has taken everything.
        while table.take(1, 0, SECOND, burst).is_ok() {}
        // A flood of others, each of whom takes what there is: he is pushed out.
        for other in 2..200 {
            while table.take(other, 0, SECOND, burst).is_ok() {}
        }
        assert_eq!(table.set(1).lock().place(1), None);
        assert!(table.take(1, 0, SECOND, burst).is_err());
        // Time alone helps.
        assert!(table.take(1, SECOND + 1, SECOND, burst).is_ok());
    }

    #[test]
    fn who_owes_nothing_makes_room_for_one_who_then_owes_nothing() {
        let table = Table::of(1);
        for key in 1..=8 {
            assert!(table.take(key, 0, SECOND, SECOND).is_ok());
        }
        // All have paid by then.
        let later = 2 * SECOND;
        assert!(table.take(9, later, SECOND, SECOND).is_ok());
        assert!(table.take(9, later, SECOND, SECOND).is_err());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let table = Table::of(1);
        assert!(table.take(7, 0, SECOND, SECOND).is_ok());
        assert!(table.take(7, 0, SECOND, SECOND).is_err());
        table.give_back(7, SECOND);
        assert!(table.take(7, 0, SECOND, SECOND).is_ok());
        table.give_back(8, SECOND);
        assert!(table.take(7, 0, SECOND, SECOND).is_err());
    }

    /// A plain bucket of tokens for each key, counted in nanoseconds of credit.
    #[derive(Default)]
    struct Model {
        of: HashMap<u64, (u64, u64)>,
    }

    impl Model {
        fn take(&mut self, key: u64, now: u64, price: u64, burst: u64) -> bool {
            let (level, at) = self.of.entry(key).or_insert((0, now));
            *level = level.saturating_sub(now - *at);
            *at = now;
            let passes = *level < burst;
            *level += if passes { price } else { 0 };
            passes
        }
    }

    /// Small and plain: xorshift.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn r4_r5_r6_any_order_of_takers_is_as_in_a_plain_model_and_never_more_under_a_flood() {
        for seed in 1..=200_u64 {
            let mut dice = seed;
            // Few keys: exact. Many on few places: never more than the model.
            let keys = if seed % 2 == 0 { 8 } else { 40 };
            let (table, mut model) = (Table::of(1), Model::default());
            let mut now = 1;
            for step in 0..400 {
                now += random(&mut dice) % SECOND;
                let key = 1 + random(&mut dice) % keys;
                let price = 1 + random(&mut dice) % (3 * SECOND);
                let burst = 5 * SECOND;
                let passes = table.take(key, now, price, burst).is_ok();
                match keys {
                    8 => assert_eq!(
                        passes,
                        model.take(key, now, price, burst),
                        "seed {seed} step {step}"
                    ),
                    _ if passes => assert!(
                        model.take(key, now, price, burst),
                        "seed {seed} step {step}"
                    ),
                    _ => {}
                }
            }
        }
    }
}
