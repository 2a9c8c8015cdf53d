//! The one policy door: who may do what to which key.
//!
//! Publishing, subscribing and reading take a [`Permit`], and only
//! [`Door::admit`] makes one; so no transport can forget to ask. A permit is
//! asked again ([`Permit::check`]) at every replay, so that a right that was
//! withdrawn does not go on working for messages that were published before.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::sync::RwLock;

use crate::error::{Code, Refusal};
use crate::key::Key;
use crate::message::Keys;
use crate::namespace::{Access, Namespaces, Rules};

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Nobody in particular; told apart by the peer's address only.
    Anonymous(IpAddr),
    /// The holder of the API key of this name.
    Key(Arc<str>),
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Verb {
    /// Send a message to the keys.
    Publish,
    /// Hear what is sent from now on.
    Subscribe,
    /// Hear live and what was sent before: history, resume, rewind.
    Read,
}

/// The door. Shared by all transports; its rules can be replaced while it is in use.
pub struct Door {
    namespaces: RwLock<Arc<Namespaces>>,
}

/// The right of one subject to one verb on some keys. Only the door makes it.
#[derive(Clone)]
pub struct Permit {
    door: Arc<Door>,
    subject: Subject,
    verb: Verb,
    keys: Keys,
}

impl Subject {
    /// The scope of idempotency keys: nobody else shares it.
    pub fn publisher(&self) -> String {
        match self {
            Self::Anonymous(address) => format!("ip:{address}"),
            Self::Key(name) => format!("key:{name}"),
        }
    }

    /// The verified identity, shown to others as `from`.
    pub fn identity(&self) -> Option<Arc<str>> {
        match self {
            Self::Anonymous(_) => None,
            Self::Key(name) => Some(name.clone()),
        }
    }
}

impl Door {
    /// A door with these rules.
    pub fn new(namespaces: Namespaces) -> Arc<Self> {
        Arc::new(Self {
            namespaces: RwLock::new(Arc::new(namespaces)),
        })
    }

    /// The rules in force.
    pub fn namespaces(&self) -> Arc<Namespaces> {
        self.namespaces.read().clone()
    }

    /// Puts other rules in force, for permits already given too.
    pub fn replace(&self, namespaces: Namespaces) {
        *self.namespaces.write() = Arc::new(namespaces);
    }

    /// Asks for a permit.
    ///
    /// # Errors
    /// [`Code::Unauthorized`] where a key would help, [`Code::Forbidden`] where
    /// nothing would, naming the first channel refused. One refused key refuses all.
    pub fn admit(
        self: &Arc<Self>,
        subject: Subject,
        verb: Verb,
        keys: Keys,
    ) -> Result<Permit, Refusal> {
        let permit = Permit {
            door: self.clone(),
            subject,
            verb,
            keys,
        };
        permit.check()?;
        Ok(permit)
    }

    fn decide(&self, subject: &Subject, verb: Verb, key: &Key) -> Result<(), Refusal> {
        if matches!(key, Key::Socket(..)) {
            return Err(refused(
                Code::Forbidden,
                "a socket's own key has no URL",
                key,
            ));
        }
        let namespaces = self.namespaces();
        let rules = namespaces.rules(key.namespace());
        match (required(rules, verb), subject) {
            (Access::Anyone, _) | (Access::Keys, Subject::Key(_)) => Ok(()),
            (Access::Keys, Subject::Anonymous(_)) => Err(refused(
                Code::Unauthorized,
                "send an API key as 'Authorization: Bearer SECRET'",
                key,
            )),
            (Access::Nobody, _) => Err(refused(
                Code::Forbidden,
                "the namespace's rules close this to everyone",
                key,
            )),
        }
    }
}

fn required(rules: &Rules, verb: Verb) -> Access {
    match verb {
        Verb::Publish => rules.publish,
        Verb::Subscribe => rules.subscribe,
        // Reading the past is never easier than listening.
        Verb::Read => match (rules.subscribe, rules.history_access) {
            (Access::Nobody, _) | (_, Access::Nobody) => Access::Nobody,
            (Access::Keys, _) | (_, Access::Keys) => Access::Keys,
            (Access::Anyone, Access::Anyone) => Access::Anyone,
        },
    }
}

fn refused(code: Code, detail: &str, key: &Key) -> Refusal {
    Refusal::new(code, detail).at(key.to_string())
}

impl Permit {
    /// Asks the door again.
    ///
    /// # Errors
    /// As [`Door::admit`].
    pub fn check(&self) -> Result<(), Refusal> {
        self.keys
            .iter()
            .try_for_each(|key| self.door.decide(&self.subject, self.verb, key))
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

    /// For what.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// On which keys, in the order asked for.
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
    use crate::key::Namespace;
    use std::net::Ipv4Addr;

    fn anonymous() -> Subject {
        Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    fn keys(names: &[&str]) -> Keys {
        names
            .iter()
            .map(|name| Key::parse(name.as_bytes()).unwrap())
            .collect()
    }

    #[test]
    fn a19_anonymous_access_is_only_where_the_rules_say_so() {
        let open = Namespace::new("open").unwrap();
        let door = Door::new(Namespaces::default().with(open, Rules::open()));
        let ask = |subject, verb, names: &[&str]| door.admit(subject, verb, keys(names)).err();
        assert_eq!(
            ask(anonymous(), Verb::Subscribe, &["news"]).unwrap().code,
            Code::Unauthorized
        );
        assert_eq!(ask(anonymous(), Verb::Publish, &["open:a"]), None);
        assert_eq!(
            ask(Subject::Key("ops".into()), Verb::Publish, &["news"]),
            None
        );
    }

    #[test]
    fn one_denied_channel_refuses_all_and_is_named() {
        let open = Namespace::new("open").unwrap();
        let door = Door::new(Namespaces::default().with(open, Rules::open()));
        let refusal = door
            .admit(anonymous(), Verb::Read, keys(&["open:a", "b"]))
            .unwrap_err();
        assert_eq!(refusal.channel.as_deref(), Some("b"));
    }

    #[test]
    fn a20_a_permit_asked_again_follows_the_rules_in_force_now() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let permit = door.admit(anonymous(), Verb::Read, keys(&["a"])).unwrap();
        assert!(permit.check().is_ok());
        door.replace(Namespaces::all(Rules {
            history_access: Access::Nobody,
            ..Rules::open()
        }));
        assert_eq!(permit.check().unwrap_err().code, Code::Forbidden);
        assert!(
            door.admit(anonymous(), Verb::Subscribe, keys(&["a"]))
                .is_ok()
        );
    }

    #[test]
    fn socket_keys_pass_no_door() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let key = Key::Socket(Namespace::root(), crate::key::SocketId::new("x"));
        let refusal = door
            .admit(anonymous(), Verb::Subscribe, Keys::from_iter([key]))
            .unwrap_err();
        assert_eq!(refusal.code, Code::Forbidden);
    }
}
