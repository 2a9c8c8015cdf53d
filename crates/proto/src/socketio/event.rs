//! EVENT and BINARY_EVENT: a name and arguments.

use std::borrow::Cow;

use super::packet::Kind;
use super::scan::{self, Args};
use super::write;
use crate::engineio::Wire;
use crate::error::DecodeError;
use crate::native::json::write_str;
use crate::native::{Body, args};

/// Names that Socket.IO keeps for itself.
pub const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

pub(super) fn check(data: &str) -> Result<(), DecodeError> {
    if scan::first(data) != Some(b'[') {
        return Err(DecodeError::malformed(0, "an event is an array"));
    }
    scan::check(data)?;
    let (name, _) = split(data).ok_or(DecodeError::malformed(
        1,
        "an event begins with its name, a string",
    ))?;
    if RESERVED.contains(&&*name) {
        return Err(DecodeError::malformed(1, "a reserved event name"));
    }
    Ok(())
}

/// The name and the arguments of a checked array; none where it does not begin
/// with a string, or with one that is no text (a lone surrogate).
pub(super) fn split(data: &str) -> Option<(Cow<'_, str>, Args<'_>)> {
    let (first, rest) = Args::of(data).split_first()?;
    let inner = first.strip_prefix('"')?.strip_suffix('"')?;
    let name = if inner.contains('\\') {
        Cow::Owned(serde_json::from_str(first).ok()?)
    } else {
        Cow::Borrowed(inner)
    };
    Some((name, rest))
}

/// An event to write.
///
/// | body | the packet |
/// |---|---|
/// | Json `{"a":1}` | `2["score",{"a":1}]` |
/// | Text `hi` | `2["score","hi"]` |
/// | Binary | `51-["score",{"_placeholder":true,"num":0}]` and the bytes |
/// | Args `[1,{"_placeholder":true,"num":0}]` | `51-["score",1,{…}]` and its attachments |
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The namespace, with its slash.
    pub namespace: &'a str,
    /// Where an ack is asked for, its id.
    pub id: Option<u64>,
    /// The event's name; one that is [`RESERVED`] is refused by its reader.
    pub name: &'a str,
    /// The arguments, checked before. Text that is not UTF-8 is written with
    /// U+FFFD.
    pub body: Body<'a>,
    /// For recovery: a string after the last argument, which the client keeps.
    pub offset: Option<&'a str>,
}

impl Event<'_> {
    /// Appends the packet and its attachments as one unit.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) {
        write::unit_of(wire, out, self.body, |out| self.write_text(out));
    }

    /// Appends the text of the packet, without Engine.IO's `4` and without its
    /// attachments.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let attachments = write::attachments(&self.body);
        let kind = if attachments == 0 {
            Kind::Event
        } else {
            Kind::BinaryEvent
        };
        write::head(out, kind, attachments, self.namespace, self.id);
        out.push(b'[');
        write_str(out, self.name);
        write::elements(out, &self.body, true);
        if let Some(offset) = self.offset {
            out.push(b',');
            write_str(out, offset);
        }
        out.push(b']');
    }

    /// How many arguments the body is.
    #[must_use]
    pub fn arguments(&self) -> usize {
        match self.body {
            Body::Args { json, .. } => args::count(json),
            _ => 1,
        }
    }
}
