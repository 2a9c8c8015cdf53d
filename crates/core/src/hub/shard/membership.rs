//! Keys joined and left while a subscriber listens.
//!
//! A join stands in the queue where the subscriber begins to hear its keys: a
//! live one is a member from there on; one that is behind, or is being opened,
//! gets them with that place as their floor. Whatever there is per key (the
//! permit's keys, places, floors) keeps one numbering.

use smallvec::SmallVec;

use super::super::encode::End;
use super::super::membership::too_many;
use super::Shard;
use super::members::Slot;
use super::sub::{Floor, State};
use crate::error::{Code, Refusal};
use crate::key::Key;
use crate::limits::MAX_KEYS;
use crate::message::Keys;
use crate::mutant;
use crate::policy::Permit;

impl Shard {
    /// `shard.pos` is where the keys begin. What was listened to in vain is
    /// released: keys that it has, and all where it does not take them.
    pub(super) fn on_join(&mut self, slot: Slot, permit: Permit) {
        let pos = self.pos;
        let keys = permit.keys().clone();
        let Some(sub) = self.sub(slot) else {
            return self.hub.release_late(self.index, &keys);
        };
        let deaf = sub.ending.is_some() || sub.is_once();
        let fits = sub.permit.fits(&permit);
        let is_new = |key: &&Key| !sub.keys().contains(key);
        let (new, held): (Keys, Keys) = keys.iter().cloned().partition(|key| is_new(&key));
        let end = if !fits {
            let sentence = "the permit is somebody else's, or for something else";
            Some(Refusal::new(Code::Forbidden, sentence))
        } else if sub.keys().len() + new.len() > MAX_KEYS {
            Some(too_many())
        } else {
            // What it rests on may have been withdrawn while it was on its way.
            permit.check().err()
        };
        if deaf || end.is_some() {
            self.hub.release_late(self.index, &keys);
            if let Some(refusal) = end.filter(|_| !deaf) {
                self.end(slot, End::Refused(refusal));
            }
            return;
        }
        let first = sub.keys().len();
        sub.permit.join(permit);
        if let State::Behind(behind) = &mut sub.state {
            let mut floor = Floor::default();
            if !mutant::active("join-forgets-floor") {
                floor.raise(pos);
            }
            behind.floors.extend(new.iter().map(|_| floor));
            if let Some(opening) = &mut behind.opening
                && !opening.since.is_empty()
            {
                opening.since.extend(new.iter().map(|_| None));
            }
        }
        let Some(sub) = self.slots[slot as usize].as_deref_mut() else {
            return;
        };
        self.members.join(slot, sub, first);
        self.hub.release(self.index, &held);
    }

    /// It hears these keys no more.
    pub(super) fn on_leave(&mut self, slot: Slot, keys: &Keys) {
        let mut left = Keys::new();
        for key in keys {
            let Some(sub) = self.sub(slot).filter(|sub| sub.ending.is_none()) else {
                break;
            };
            let Some(number) = sub.permit.leave(key) else {
                continue;
            };
            if let State::Behind(behind) = &mut sub.state {
                behind.floors.swap_remove(number);
                if let Some(opening) = &mut behind.opening
                    && !opening.since.is_empty()
                {
                    opening.since.swap_remove(number);
                }
            }
            let place = sub.places.swap_remove(number);
            // The last key has this number now.
            let renumbered: Option<(Key, u32)> = sub
                .keys()
                .get(number)
                .cloned()
                .zip(sub.places.get(number).copied());
            self.drop_member(key, place);
            if let Some((key, place)) = renumbered
                && !mutant::active("leave-keeps-number")
            {
                self.members.renumber(&key, place, number as u8);
            }
            left.push(key.clone());
        }
        self.hub.release(self.index, &left);
    }

    /// Takes one member out of a list and tells the one that stands there now.
    pub(super) fn drop_member(&mut self, key: &Key, place: u32) {
        if let Some((moved, number)) = self.members.leave(key, place)
            && let Some(other) = self.slots[moved as usize].as_mut()
        {
            other.places[usize::from(number)] = place;
        }
    }

    /// Takes a subscriber that is gone out of all its lists.
    pub(super) fn drop_memberships(&mut self, keys: &Keys, places: &SmallVec<[u32; 1]>) {
        for (key, place) in keys.iter().zip(places) {
            self.drop_member(key, *place);
        }
    }
}
