//! What the door gives out.

use std::fmt;
use std::sync::Arc;

use super::{Door, Subject, Verb};
use crate::clock::Instant;
use crate::error::Refusal;
use crate::key::Key;
use crate::message::Keys;

/// The right of one subject to one verb on some keys, none of them twice. Only
/// the door makes it. Some keys the subject asked for, and the door's rules let
/// it; others the server gave.
#[derive(Clone)]
pub struct Permit {
    door: Arc<Door>,
    subject: Subject,
    verb: Verb,
    keys: Keys,
    /// Which keys were given, by number; empty: none was.
    given: Vec<bool>,
}

impl Permit {
    pub(super) fn asked(door: Arc<Door>, subject: Subject, verb: Verb, keys: Keys) -> Self {
        Self {
            door,
            subject,
            verb,
            keys,
            given: Vec::new(),
        }
    }

    pub(super) fn given(door: Arc<Door>, subject: Subject, verb: Verb, keys: Keys) -> Self {
        let given = vec![true; keys.len()];
        Self {
            given,
            ..Self::asked(door, subject, verb, keys)
        }
    }

    /// Asks the door again: about the subject, and about each key that was not
    /// given.
    ///
    /// # Errors
    /// As [`Door::admit`] and [`Door::give`].
    pub fn check(&self) -> Result<(), Refusal> {
        self.door.known(&self.subject)?;
        self.keys
            .iter()
            .enumerate()
            .filter(|(number, _)| !self.is_given(*number))
            .try_for_each(|(_, key)| self.door.decide(&self.subject, self.verb, key))
    }

    /// Takes over the keys of another permit of the same holder for the same verb,
    /// but for those that it has. A key that is asked for in one and given in the
    /// other counts as given. False, and nothing changed, where the other is
    /// somebody else's or for something else.
    pub fn join(&mut self, other: Self) -> bool {
        if !self.fits(&other) {
            return false;
        }
        for (number, key) in other.keys.iter().enumerate() {
            let given = other.is_given(number);
            match self.keys.iter().position(|own| own == key) {
                Some(own) if given && !self.is_given(own) => self.note(own, true),
                Some(_) => {}
                None => {
                    self.keys.push(key.clone());
                    self.note(self.keys.len() - 1, given);
                }
            }
        }
        true
    }

    /// Gives up a key. The last one takes its number, which is returned; none
    /// where the permit has no such key.
    pub fn leave(&mut self, key: &Key) -> Option<usize> {
        let number = self.keys.iter().position(|own| own == key)?;
        self.keys.swap_remove(number);
        if !self.given.is_empty() {
            self.given.swap_remove(number);
        }
        Some(number)
    }

    /// Becomes another permit to the same keys, which keep their order. False, and
    /// nothing changed, where the other is to different ones.
    pub fn renew(&mut self, other: Self) -> bool {
        let numbers = self.keys.iter().map(|key| {
            let number = other.keys.iter().position(|own| own == key)?;
            Some(other.is_given(number))
        });
        let Some(given) = numbers.collect::<Option<Vec<bool>>>() else {
            return false;
        };
        if self.keys.len() != other.keys.len() {
            return false;
        }
        self.given = if other.given.is_empty() {
            Vec::new()
        } else {
            given
        };
        (self.subject, self.verb) = (other.subject, other.verb);
        true
    }

    /// True where another permit may be joined to this one: the same holder, be it
    /// by another token of the same user, and the same verb.
    pub fn fits(&self, other: &Self) -> bool {
        self.verb == other.verb && self.subject.is_holder(&other.subject)
    }

    fn is_given(&self, number: usize) -> bool {
        self.given.get(number).copied().unwrap_or(false)
    }

    fn note(&mut self, number: usize, given: bool) {
        if given || !self.given.is_empty() {
            self.given.resize(self.keys.len(), false);
            self.given[number] = given;
        }
    }

    /// True where the keys' namespace keeps only the newest value per key on
    /// catch-up.
    pub fn conflates(&self) -> bool {
        let namespaces = self.door.namespaces();
        self.keys
            .iter()
            .all(|key| namespaces.rules(key.namespace()).conflate)
    }

    /// Who holds it.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// When its holder's token ends; none where nothing ends.
    pub fn expires(&self) -> Option<Instant> {
        self.subject.user().and_then(|user| user.expires)
    }

    /// For what.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// On which keys, in the order asked for and joined.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Permit({:?} {:?} {:?})",
            self.subject, self.verb, self.keys
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Code;
    use crate::key::{Namespace, SocketId};
    use crate::namespace::{Access, Namespaces, Rules};
    use crate::policy::{Revoke, User};

    fn ada() -> Subject {
        Subject::User(Arc::new(User {
            id: "ada".into(),
            issued_ms: Some(100),
            ..User::default()
        }))
    }

    fn keys(names: &[&str]) -> Keys {
        names
            .iter()
            .map(|name| Key::parse(name.as_bytes()).unwrap())
            .collect()
    }

    fn closed() -> Rules {
        Rules {
            subscribe: Access::Nobody,
            history_access: Access::Nobody,
            ..Rules::open()
        }
    }

    #[test]
    fn what_the_server_gives_passes_closed_rules_and_names_sockets() {
        let door = Door::new(Namespaces::all(closed()));
        let socket = Key::Socket(Namespace::root(), SocketId::new("x"));
        let all = keys(&["room"]).into_iter().chain([socket]).collect();
        let permit = door.give(ada(), Verb::Read, all).unwrap();
        assert!(permit.check().is_ok());
        assert!(door.admit(ada(), Verb::Read, keys(&["room"])).is_err());
    }

    #[test]
    fn a14_a_given_permit_ends_with_its_subject() {
        let door = Door::new(Namespaces::all(closed()));
        let permit = door.give(ada(), Verb::Read, Keys::new()).unwrap();
        let what = Revoke::User {
            issuer: None,
            id: "ada".into(),
        };
        door.revoke(what, 100, 200).unwrap();
        assert_eq!(permit.check().unwrap_err().code, Code::Unauthorized);
        let again = door.give(ada(), Verb::Read, keys(&["room"]));
        assert_eq!(again.unwrap_err().code, Code::Unauthorized);
        let ops = door.give(Subject::Key("ops".into()), Verb::Read, Keys::new());
        door.set_keys([&"web".to_owned()]);
        assert_eq!(ops.unwrap().check().unwrap_err().code, Code::Unauthorized);
    }

    #[test]
    fn of_joined_permits_only_what_was_asked_for_is_asked_again() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let mut permit = door.admit(ada(), Verb::Read, keys(&["a", "b"])).unwrap();
        let given = door.give(ada(), Verb::Read, keys(&["c", "b", "d"]));
        assert!(permit.join(given.unwrap()));
        assert_eq!(*permit.keys(), keys(&["a", "b", "c", "d"]));
        door.replace(Namespaces::all(closed()));
        assert_eq!(permit.check().unwrap_err().channel.as_deref(), Some("a"));
        assert_eq!(permit.leave(&keys(&["a"])[0]), Some(0));
        assert_eq!(*permit.keys(), keys(&["d", "b", "c"]));
        assert!(permit.check().is_ok());
        assert_eq!(permit.leave(&keys(&["a"])[0]), None);
        // The other way round: what is asked for joins what was given.
        door.replace(Namespaces::all(Rules::open()));
        assert!(permit.join(door.admit(ada(), Verb::Read, keys(&["e", "b"])).unwrap()));
        door.replace(Namespaces::all(closed()));
        assert_eq!(permit.check().unwrap_err().channel.as_deref(), Some("e"));
    }

    #[test]
    fn a_renewed_permit_is_for_the_same_keys_in_its_own_order() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let mut permit = door.admit(ada(), Verb::Read, keys(&["a", "b"])).unwrap();
        let ops = || Subject::Key("ops".into());
        assert!(!permit.renew(door.give(ops(), Verb::Read, keys(&["a"])).unwrap()));
        assert!(
            !permit.renew(
                door.give(ops(), Verb::Read, keys(&["a", "b", "c"]))
                    .unwrap()
            )
        );
        assert_eq!(*permit.subject(), ada());
        let mut other = door.give(ops(), Verb::Read, keys(&["b"])).unwrap();
        assert!(other.join(door.admit(ops(), Verb::Read, keys(&["a"])).unwrap()));
        assert!(permit.renew(other));
        assert_eq!(
            (permit.subject(), permit.keys()),
            (&ops(), &keys(&["a", "b"]))
        );
        door.replace(Namespaces::all(closed()));
        assert_eq!(permit.check().unwrap_err().channel.as_deref(), Some("a"));
    }

    #[test]
    fn nobody_joins_the_permit_of_another_nor_one_for_something_else() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let mut permit = door.admit(ada(), Verb::Read, keys(&["a"])).unwrap();
        let other = Subject::Key("ops".into());
        assert!(!permit.join(door.give(other, Verb::Read, keys(&["b"])).unwrap()));
        assert!(!permit.join(door.give(ada(), Verb::Publish, keys(&["b"])).unwrap()));
        assert_eq!(*permit.keys(), keys(&["a"]));
        let newer = Subject::User(Arc::new(User {
            issued_ms: Some(900),
            ..User::clone(ada().user().unwrap())
        }));
        assert!(permit.join(door.give(newer, Verb::Read, keys(&["b"])).unwrap()));
    }
}
