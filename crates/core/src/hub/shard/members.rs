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
    /// Adds a subscriber under all its keys.
    pub(super) fn join(&mut self, slot: Slot, sub: &mut Sub) {
        let keys = sub.keys().clone();
        for (number, key) in keys.iter().enumerate() {
            let list = self.lists.entry_ref(key).or_default();
            sub.places.push(list.len() as u32);
            list.push((slot, number as u8));
        }
    }

    /// Takes a subscriber out; `moved` is told who stands elsewhere now:
    /// (slot, number of the key, new place).
    pub(super) fn leave(&mut self, sub: &Sub, mut moved: impl FnMut(Slot, u8, u32)) {
        for (key, place) in sub.keys().iter().zip(&sub.places) {
            let Some(list) = self.lists.get_mut(key) else {
                continue;
            };
            list.swap_remove(*place as usize);
            if let Some((slot, number)) = list.get(*place as usize) {
                moved(*slot, *number, *place);
            }
            if list.is_empty() {
                self.lists.remove(key);
                // A flood of names must not be paid for when it is over.
                if self.lists.len() * 8 < self.lists.capacity() {
                    self.lists.shrink_to(self.lists.len() * 2 + 64);
                }
            } else if list.capacity() > 64 && list.len() * 4 < list.capacity() {
                list.shrink_to(list.len() * 2);
            }
        }
    }

    /// Everyone under `key`.
    pub(super) fn of(&self, key: &Key) -> &[(Slot, u8)] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }
}
