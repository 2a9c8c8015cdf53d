//! Where a message goes.

use std::fmt;
use std::sync::Arc;

use crate::limits::{MAX_NAME, MAX_NAMESPACE};

/// A namespace: 1–64 bytes of `[A-Za-z0-9_./-]`, or the default one, which is
/// written without a name. Carries the rules (see [`crate::namespace`]).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(Arc<str>);

/// The name of a channel: 1–255 bytes of UTF-8 without control characters,
/// compared byte by byte. Never `.`, `..` or starting with `@`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// What stands in the place of a name for everyone.
const ALL: &str = "@all";

/// The public id of one connection (`conn` in `$ready`, a Socket.IO socket
/// id): random, not secret, gone with the connection.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(Arc<str>);

/// Where a message goes: a typed value, never a joined string.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Key {
    /// A named stream; what Socket.IO calls a room.
    Channel(Namespace, Name),
    /// Everyone in a namespace.
    All(Namespace),
    /// One connection. Has no URL.
    Socket(Namespace, SocketId),
}

/// Why a text is not a key. The sentence says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidKey(pub &'static str);

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidKey {}

impl Namespace {
    /// The default namespace.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// A namespace by name; the empty text is refused (see [`Namespace::root`]).
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        if text.is_empty() || text.len() > MAX_NAMESPACE {
            return Err(InvalidKey("a namespace has 1 to 64 bytes"));
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-');
        if !text.bytes().all(legal) {
            return Err(InvalidKey("a namespace is made of A-Z a-z 0-9 _ . / -"));
        }
        Ok(Self(Arc::from(text)))
    }

    /// True for the default namespace.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The name; empty for the default namespace.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name {
    /// A channel name, checked by the rules above.
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        if text.is_empty() || text.len() > MAX_NAME {
            return Err(InvalidKey("a channel name has 1 to 255 bytes"));
        }
        if text == "." || text == ".." {
            return Err(InvalidKey("'.' and '..' are not channel names"));
        }
        if text.starts_with('@') {
            return Err(InvalidKey("a leading '@' is reserved; only @all exists"));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidKey("a channel name has no control characters"));
        }
        Ok(Self(Arc::from(text)))
    }

    /// A text to compare names with, unchecked: where a range of them begins.
    pub(crate) fn bound(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SocketId {
    /// A socket id as the server made it.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key {
    /// Reads the text form of one key, already percent-decoded:
    /// `lobby`, `chat:lobby`, `:user:5`, `@all`, `chat:@all`.
    ///
    /// # Errors
    /// [`InvalidKey`] with a sentence for the caller.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKey> {
        let text =
            std::str::from_utf8(text).map_err(|_| InvalidKey("a channel name is UTF-8 text"))?;
        let (namespace, name) = match text.split_once(':') {
            Some(("", name)) => (Namespace::root(), name),
            Some((namespace, name)) => (Namespace::new(namespace)?, name),
            None => (Namespace::root(), text),
        };
        if name == ALL {
            return Ok(Self::All(namespace));
        }
        Ok(Self::Channel(namespace, Name::new(name)?))
    }

    /// A channel of the default namespace: short form for tests and examples.
    ///
    /// # Errors
    /// As [`Name::new`].
    pub fn channel(name: &str) -> Result<Self, InvalidKey> {
        Ok(Self::Channel(Namespace::root(), Name::new(name)?))
    }

    /// The namespace whose rules hold.
    pub fn namespace(&self) -> &Namespace {
        match self {
            Self::Channel(namespace, _) | Self::All(namespace) | Self::Socket(namespace, _) => {
                namespace
            }
        }
    }

    /// Its place in the order of names: the namespace, then what stands behind the
    /// colon. None for connections.
    pub(crate) fn name(&self) -> Option<(Namespace, Name)> {
        match self {
            Self::Channel(namespace, name) => Some((namespace.clone(), name.clone())),
            Self::All(namespace) => Some((namespace.clone(), Name::bound(ALL))),
            Self::Socket(..) => None,
        }
    }

    /// The key that [`Self::name`] gave this for.
    pub(crate) fn of_name((namespace, name): (Namespace, Name)) -> Self {
        match name.as_str() {
            ALL => Self::All(namespace),
            _ => Self::Channel(namespace, name),
        }
    }

    /// Bytes of the names, for accounting.
    pub fn len_bytes(&self) -> usize {
        self.namespace().as_str().len()
            + match self {
                Self::Channel(_, name) => name.as_str().len(),
                Self::All(_) => 4,
                Self::Socket(_, id) => id.as_str().len(),
            }
    }
}

/// For lookups by reference that insert on a miss.
impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

/// The text form: [`Key::parse`] of it gives the key back, but for `Socket`,
/// which has no text form outside (shown as `ns:@socket/id`, which parse refuses).
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespace, name) = match self {
            Self::Channel(namespace, name) => (namespace, name.as_str()),
            Self::All(namespace) => (namespace, ALL),
            Self::Socket(namespace, id) => {
                return write!(f, "{}:@socket/{}", namespace.as_str(), id.as_str());
            }
        };
        if !namespace.is_root() {
            write!(f, "{}:{name}", namespace.as_str())
        } else if name.contains(':') {
            write!(f, ":{name}")
        } else {
            f.write_str(name)
        }
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(text: &str) -> Result<String, InvalidKey> {
        Key::parse(text.as_bytes()).map(|key| key.to_string())
    }

    #[test]
    fn the_first_colon_parts_namespace_from_name() {
        let lobby = Key::parse(b"chat:lobby").unwrap();
        assert_eq!(
            lobby,
            Key::Channel(Namespace::new("chat").unwrap(), Name::new("lobby").unwrap())
        );
        assert_eq!(shown("chat:a:b").unwrap(), "chat:a:b");
        assert_eq!(shown(":user:5").unwrap(), ":user:5");
        assert_eq!(
            Key::parse(b":lobby").unwrap(),
            Key::parse(b"lobby").unwrap()
        );
    }

    #[test]
    fn at_all_is_everyone_and_no_other_at_name_exists() {
        assert_eq!(Key::parse(b"@all").unwrap(), Key::All(Namespace::root()));
        assert_eq!(shown("chat:@all").unwrap(), "chat:@all");
        for refused in ["@", "@alls", "@ALL", "chat:@x", "@socket/5"] {
            assert!(shown(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn names_at_the_limit_pass_and_one_past_it_do_not() {
        assert!(shown(&"x".repeat(255)).is_ok());
        assert!(shown(&"x".repeat(256)).is_err());
        assert!(shown(&format!("{}:x", "n".repeat(64))).is_ok());
        assert!(shown(&format!("{}:x", "n".repeat(65))).is_err());
    }

    #[test]
    fn a16_names_are_byte_exact_and_traps_are_refused() {
        for refused in [
            "", ".", "..", "a\nb", "a\0b", "\u{85}", "chat:", "cha t:x", ":",
        ] {
            assert!(shown(refused).is_err(), "{refused:?}");
        }
        assert!(Key::parse(b"\xff").is_err());
        assert_ne!(shown("\u{e9}").unwrap(), shown("e\u{301}").unwrap());
        assert_ne!(shown("News").unwrap(), shown("news").unwrap());
        assert_eq!(shown("a/../b").unwrap(), "a/../b");
    }
}
