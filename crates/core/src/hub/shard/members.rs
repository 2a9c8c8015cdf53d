//! Who in this shard listens to which key.

use hashbrown::HashMap;

use super::sub::Sub;
use crate::key::Key;

/// A subscriber's slot in the shard.
pub(super) type Slot = u32;

/// The member lists. A subscriber remembers its place in each of its keys'
/// lists, so that leaving is O(1) in a list of any length.
#[derive(Default)]
pub(super) struct Members {
    lists: HashMap<Key, Vec<(Slot, u8)>, foldhash::fast::RandomState>,
}

impl Members {
    /// Adds a subscriber under its keys from number `first` on.
    pub(super) fn join(&mut self, slot: Slot, sub: &mut Sub, first: usize) {
        let (keys, places) = (sub.permit.keys(), &mut sub.places);
        for (number, key) in keys.iter().enumerate().skip(first) {
            let list = self.lists.entry_ref(key).or_default();
            places.push(list.len() as u32);
            list.push((slot, number as u8));
        }
    }

    /// Takes the member at `place` out of a key's list; who stands there now, and
    /// under which number of its own this key.
    pub(super) fn leave(&mut self, key: &Key, place: u32) -> Option<(Slot, u8)> {
        let list = self.lists.get_mut(key)?;
        list.swap_remove(place as usize);
        let moved = list.get(place as usize).copied();
        if list.is_empty() {
            self.lists.remove(key);
            // A flood of names must not be paid for when it is over.
            if self.lists.len() * 8 < self.lists.capacity() {
                self.lists.shrink_to(self.lists.len() * 2 + 64);
            }
        } else if list.capacity() > 64 && list.len() * 4 < list.capacity() {
            list.shrink_to(list.len() * 2);
        }
        moved
    }

    /// Notes that the key has another number with the member at `place`.
    pub(super) fn renumber(&mut self, key: &Key, place: u32, number: u8) {
        let list = self.lists.get_mut(key);
        if let Some(member) = list.and_then(|list| list.get_mut(place as usize)) {
            member.1 = number;
        }
    }

    /// Everyone under `key`.
    pub(super) fn of(&self, key: &Key) -> &[(Slot, u8)] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }
}
