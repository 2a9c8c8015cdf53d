//! What travels.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::cursor::{MessageId, Seq};
use crate::key::Key;
use crate::limits::MAX_EVENT;

/// A message's content, with the kind that it was published as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// JSON text, checked, kept byte for byte.
    Json(Bytes),
    /// UTF-8 text.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
    /// Several arguments: a JSON array in which `{"_placeholder":true,"num":n}`
    /// stands for attachment n.
    Args {
        /// The JSON array.
        json: Bytes,
        /// The binary parts, by number.
        attachments: Vec<Bytes>,
    },
}

/// An event's name: 1–255 bytes, none of the reserved ones.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct EventName(Arc<str>);

/// Why a text is not an event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEvent(pub &'static str);

/// The keys of a message or a stream: almost always one.
pub type Keys = SmallVec<[Key; 1]>;

/// A message as its publisher gave it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where it goes: 1–16 keys of one namespace, none twice.
    pub targets: Keys,
    /// Who does not hear it: at most 100 keys. A subscriber is excluded that is
    /// this socket, or that listens to this channel.
    pub except: Vec<Key>,
    /// The event; `message` by default.
    pub event: EventName,
    /// The content.
    pub body: Body,
    /// A verified identity of the publisher, if there is one.
    pub from: Option<Arc<str>>,
    /// The conflation key.
    pub key: Option<Arc<str>>,
}

/// A message with its place in the one order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its name.
    pub id: MessageId,
    /// Milliseconds since 1970 when it was sequenced.
    pub ts: u64,
    /// What was published.
    pub message: Message,
}

impl Stored {
    /// Its place.
    pub fn seq(&self) -> Seq {
        self.id.seq
    }

    /// Bytes it counts for against every byte bound.
    pub fn cost(&self) -> usize {
        self.message.cost()
    }
}

impl Message {
    /// A message to one key, event `message`.
    pub fn to(target: Key, body: Body) -> Self {
        Self {
            targets: SmallVec::from_iter([target]),
            except: Vec::new(),
            event: EventName::default(),
            body,
            from: None,
            key: None,
        }
    }

    /// Bytes it counts for against every byte bound: content, names and a flat
    /// share for the bookkeeping.
    pub fn cost(&self) -> usize {
        const BOOKKEEPING: usize = 160;
        let keys = self
            .targets
            .iter()
            .chain(&self.except)
            .map(|key| 32 + key.len_bytes());
        BOOKKEEPING
            + keys.sum::<usize>()
            + self.event.as_str().len()
            + self.body.len()
            + self.from.as_ref().map_or(0, |from| from.len())
            + self.key.as_ref().map_or(0, |key| key.len())
    }
}

impl Body {
    /// Bytes of the content.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::Text(bytes) | Self::Binary(bytes) => bytes.len(),
            Self::Args { json, attachments } => {
                json.len() + attachments.iter().map(Bytes::len).sum::<usize>()
            }
        }
    }

    /// True where there is no content at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kind's name in the envelope and in fingerprints.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::Text(_) => "text",
            Self::Binary(_) => "binary",
            Self::Args { .. } => "args",
        }
    }
}

impl EventName {
    /// Socket.IO's reserved names, and `open`, which `EventSource` owns.
    const RESERVED: [&'static str; 7] = [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
        "open",
    ];

    /// Checks a name that a publisher gave.
    ///
    /// # Errors
    /// [`InvalidEvent`]: empty, over 255 bytes, a leading `$`, CR, LF, NUL, or
    /// reserved.
    pub fn new(text: &str) -> Result<Self, InvalidEvent> {
        if text.is_empty() || text.len() > MAX_EVENT {
            return Err(InvalidEvent("an event name has 1 to 255 bytes"));
        }
        if text.starts_with('$') {
            return Err(InvalidEvent("a leading '$' is reserved for system events"));
        }
        if text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(InvalidEvent("an event name has no CR, LF or NUL"));
        }
        if Self::RESERVED.contains(&text) {
            return Err(InvalidEvent(
                "this event name is reserved by the clients' libraries",
            ));
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `message`, which a plain `EventSource` hears as `onmessage`.
    pub fn is_default(&self) -> bool {
        &*self.0 == "message"
    }
}

impl Default for EventName {
    fn default() -> Self {
        static MESSAGE: std::sync::OnceLock<Arc<str>> = std::sync::OnceLock::new();
        Self(MESSAGE.get_or_init(|| Arc::from("message")).clone())
    }
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidEvent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_e15_reserved_and_unprintable_event_names_are_refused() {
        for name in [
            "",
            "$ready",
            "a\rb",
            "a\nb",
            "a\0b",
            "connect",
            "open",
            "disconnecting",
        ] {
            assert!(EventName::new(name).is_err(), "{name:?}");
        }
        assert!(EventName::new(&"e".repeat(256)).is_err());
        for name in ["message", "error", "score", "\u{1f600}", "connected"] {
            assert!(EventName::new(name).is_ok(), "{name:?}");
        }
        assert!(EventName::new(&"e".repeat(255)).is_ok());
    }
}
