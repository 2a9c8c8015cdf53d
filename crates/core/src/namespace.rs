//! The rules that a namespace carries.

use std::time::Duration;

use hashbrown::HashMap;

use crate::key::Namespace;
use crate::users::UserRules;

/// Who may do a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// Whoever reaches the server.
    Anyone,
    /// Whoever shows an API key, or any valid token.
    Users,
    /// Whoever shows an API key, or a token that grants it.
    #[default]
    Keys,
    /// No one through a door; only the server's own code.
    Nobody,
}

/// How much of a channel is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// Messages per channel (1,000); 0: the namespace keeps no history.
    pub messages: usize,
    /// Bytes per channel (1 MiB), counted by [`crate::message::Message::cost`].
    pub bytes: usize,
    /// Age (10 min).
    pub ttl: Duration,
}

/// The rules of one namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// Who may publish.
    pub publish: Access,
    /// Who may listen, live.
    pub subscribe: Access,
    /// Who may read what was (history, resume, rewind).
    pub history_access: Access,
    /// Where these ask for keys: what every verified user may besides.
    pub users: UserRules,
    /// How much is kept.
    pub history: History,
    /// A later message with the same key replaces earlier ones on catch-up.
    pub conflate: bool,
}

/// The rules of all namespaces. One that is not named follows the default
/// namespace's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Namespaces {
    root: Rules,
    named: HashMap<Namespace, Rules, foldhash::fast::RandomState>,
    rooms: Rooms,
}

/// Which namespaces close their channels, as rooms, to URLs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rooms {
    /// What is said of single namespaces.
    named: HashMap<Namespace, bool, foldhash::fast::RandomState>,
    /// All whose name begins so, unless something is said of the one.
    prefixes: Vec<Box<str>>,
    /// All others, the default one included.
    others: bool,
}

impl History {
    /// True where nothing is kept.
    pub fn is_off(&self) -> bool {
        self.messages == 0
    }

    /// Keeps nothing.
    pub const OFF: Self = Self {
        messages: 0,
        bytes: 0,
        ttl: Duration::ZERO,
    };
}

impl Default for History {
    fn default() -> Self {
        Self {
            messages: 1_000,
            bytes: 1024 * 1024,
            ttl: Duration::from_secs(600),
        }
    }
}

impl Rules {
    /// Rules under which whoever reaches the server may do everything.
    pub fn open() -> Self {
        Self {
            publish: Access::Anyone,
            subscribe: Access::Anyone,
            history_access: Access::Anyone,
            ..Self::default()
        }
    }
}

impl Namespaces {
    /// All namespaces under the same rules.
    pub fn all(root: Rules) -> Self {
        Self {
            root,
            named: HashMap::default(),
            rooms: Rooms::default(),
        }
    }

    /// Gives one namespace rules of its own.
    #[must_use]
    pub fn with(mut self, namespace: Namespace, rules: Rules) -> Self {
        if namespace.is_root() {
            self.root = rules;
        } else {
            self.named.insert(namespace, rules);
        }
        self
    }

    /// Closes channels to URLs.
    #[must_use]
    pub fn with_rooms(mut self, rooms: Rooms) -> Self {
        self.rooms = rooms;
        self
    }

    /// Whether the channels of `namespace` are closed to URLs. API keys are let in.
    pub fn closes(&self, namespace: &Namespace) -> bool {
        self.rooms.closes(namespace)
    }

    /// The rules that hold in `namespace`.
    pub fn rules(&self, namespace: &Namespace) -> &Rules {
        self.named.get(namespace).unwrap_or(&self.root)
    }
}

impl Rooms {
    /// Closes, or opens, all namespaces of which nothing else is said.
    pub fn all(closed: bool) -> Self {
        Self {
            others: closed,
            ..Self::default()
        }
    }

    /// Closes or opens one.
    #[must_use]
    pub fn with(mut self, namespace: Namespace, closed: bool) -> Self {
        self.named.insert(namespace, closed);
        self
    }

    /// Closes all whose name begins so.
    #[must_use]
    pub fn closing_prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(prefix.into());
        self
    }

    fn closes(&self, namespace: &Namespace) -> bool {
        self.named.get(namespace).copied().unwrap_or_else(|| {
            let mut prefixes = self.prefixes.iter();
            self.others
                || !namespace.is_root()
                    && prefixes.any(|prefix| namespace.as_str().starts_with(&**prefix))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_said_of_one_namespace_wins() {
        let name = |text: &str| Namespace::new(text).unwrap();
        let rooms = Rooms::all(false)
            .closing_prefix("room-")
            .with(name("room-open"), false)
            .with(Namespace::root(), true);
        let namespaces = Namespaces::default().with_rooms(rooms);
        assert!(namespaces.closes(&Namespace::root()));
        assert!(namespaces.closes(&name("room-1")));
        assert!(!namespaces.closes(&name("room-open")));
        assert!(!namespaces.closes(&name("chat")));
        let every = Namespaces::default().with_rooms(Rooms::all(true).closing_prefix(""));
        assert!(every.closes(&name("chat")));
    }
}
