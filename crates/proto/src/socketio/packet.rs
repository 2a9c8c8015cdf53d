//! Any packet, taken apart.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::{self, Args};
use super::{ack, connect, connect_error, disconnect, event};
use crate::error::DecodeError;
use crate::limits::{SOCKETIO_ATTACHMENTS, SOCKETIO_NAMESPACE_BYTES};

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `0`
    Connect,
    /// `1`
    Disconnect,
    /// `2`
    Event,
    /// `3`
    Ack,
    /// `4`
    ConnectError,
    /// `5`
    BinaryEvent,
    /// `6`
    BinaryAck,
}

impl Kind {
    /// The digit on the wire.
    #[must_use]
    pub const fn digit(self) -> u8 {
        match self {
            Self::Connect => b'0',
            Self::Disconnect => b'1',
            Self::Event => b'2',
            Self::Ack => b'3',
            Self::ConnectError => b'4',
            Self::BinaryEvent => b'5',
            Self::BinaryAck => b'6',
        }
    }

    const fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Connect,
            b'1' => Self::Disconnect,
            b'2' => Self::Event,
            b'3' => Self::Ack,
            b'4' => Self::ConnectError,
            b'5' => Self::BinaryEvent,
            b'6' => Self::BinaryAck,
            _ => return None,
        })
    }

    /// Whether binary messages follow.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::BinaryEvent | Self::BinaryAck)
    }
}

/// Bounds of what is taken in.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most attachments of a packet. Default [`SOCKETIO_ATTACHMENTS`]; more than
    /// 64 are never taken.
    pub attachments: usize,
    /// Longest namespace in bytes. Default [`SOCKETIO_NAMESPACE_BYTES`].
    pub namespace_bytes: usize,
    /// Most bytes of a packet and its attachments together; the text alone is
    /// bounded by the transport. Default 1,000,000.
    pub packet_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attachments: SOCKETIO_ATTACHMENTS,
            namespace_bytes: SOCKETIO_NAMESPACE_BYTES,
            packet_bytes: 1_000_000,
        }
    }
}

/// Where the parts of a packet are in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    kind: Kind,
    pub(super) attachments: u8,
    /// Bit n: a placeholder names attachment n.
    referenced: u64,
    namespace: Range<usize>,
    id: Option<u64>,
    data: usize,
}

/// A packet that keeps every rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    text: &'a str,
    shape: Shape,
}

impl<'a> Packet<'a> {
    /// Reads the text of an Engine.IO message.
    ///
    /// A namespace begins with `/` and ends with a comma, or with the text
    /// (`0/custom`); a query in it is part of its name. An ack id is a decimal
    /// number without leading zeros that 64 bits hold. Binary kinds say first how
    /// many attachments follow, 1 to the limit.
    ///
    /// | kind | data |
    /// |---|---|
    /// | CONNECT | none, or an object |
    /// | DISCONNECT | none |
    /// | EVENT | an array: the event's name, a string that is not [reserved](super::RESERVED), then the arguments |
    /// | ACK | an array; an id |
    /// | CONNECT_ERROR | an object or a string |
    ///
    /// An event named by a number, which JavaScript's implementation takes, is
    /// refused: names are text on every other transport.
    ///
    /// # Errors
    /// `Malformed` for what is not of this form, a control character in the
    /// namespace, JSON that is none, and a placeholder in a binary kind that is
    /// not exactly `{"_placeholder":true,"num":n}` with n below the number of
    /// attachments; `TooLarge` for a namespace, a number of attachments or a
    /// nesting (128 levels) over the limit.
    pub fn decode(text: &'a str, limits: &Limits) -> Result<Self, DecodeError> {
        Shape::read(text, limits).map(|shape| Self { text, shape })
    }

    pub(super) const fn of(text: &'a str, shape: Shape) -> Self {
        Self { text, shape }
    }

    pub(super) fn into_shape(self) -> Shape {
        self.shape
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.shape.kind
    }

    /// How many attachments follow, or came.
    #[must_use]
    pub const fn attachments(&self) -> usize {
        self.shape.attachments as usize
    }

    /// Which attachments the data names: bit n for number n. One that is not
    /// named cannot be reached by the application.
    #[must_use]
    pub const fn referenced(&self) -> u64 {
        self.shape.referenced
    }

    /// The namespace as written, `/` where none is.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        match self.shape.namespace.clone() {
            none if none.is_empty() => "/",
            range => &self.text[range],
        }
    }

    /// The ack id.
    #[must_use]
    pub const fn id(&self) -> Option<u64> {
        self.shape.id
    }

    /// The data as written, JSON; empty where there is none.
    #[must_use]
    pub fn data(&self) -> &'a str {
        &self.text[self.shape.data..]
    }

    /// The name and the arguments of an event; none for other kinds.
    #[must_use]
    pub fn event(&self) -> Option<(Cow<'a, str>, Args<'a>)> {
        matches!(self.kind(), Kind::Event | Kind::BinaryEvent)
            .then(|| event::split(self.data()))
            .flatten()
    }

    /// The arguments of an ack; none for other kinds.
    #[must_use]
    pub fn ack(&self) -> Option<Args<'a>> {
        matches!(self.kind(), Kind::Ack | Kind::BinaryAck).then(|| Args::of(self.data()))
    }
}

impl Shape {
    fn read(text: &str, limits: &Limits) -> Result<Self, DecodeError> {
        let bytes = text.as_bytes();
        let kind = bytes
            .first()
            .and_then(|digit| Kind::from_digit(*digit))
            .ok_or(DecodeError::malformed(0, "a packet of no known type"))?;
        let mut at = 1;
        let attachments = if kind.is_binary() {
            attachments(bytes, &mut at, limits)?
        } else {
            0
        };
        let namespace = namespace(bytes, &mut at, limits)?;
        let id = number(bytes, &mut at)?;
        let mut shape = Self {
            kind,
            attachments,
            referenced: 0,
            namespace,
            id,
            data: at,
        };
        let data = &text[at..];
        let checked = match kind {
            Kind::Connect => connect::check(data, id),
            Kind::Disconnect => disconnect::check(data, id),
            Kind::Event | Kind::BinaryEvent => event::check(data),
            Kind::Ack | Kind::BinaryAck => ack::check(data, id),
            Kind::ConnectError => connect_error::check(data, id),
        };
        checked.map_err(|error| behind(at, error))?;
        if kind.is_binary() {
            shape.referenced =
                scan::placeholders(data, shape.attachments).map_err(|error| behind(at, error))?;
        }
        Ok(shape)
    }
}

/// An error in the data is told with its place in the packet.
fn behind(from: usize, error: DecodeError) -> DecodeError {
    match error {
        DecodeError::Malformed { at, why } => DecodeError::malformed(from + at, why),
        other => other,
    }
}

/// The number that begins at `at`, which moves past it; none where there is no
/// digit.
fn number(bytes: &[u8], at: &mut usize) -> Result<Option<u64>, DecodeError> {
    let start = *at;
    let mut value = 0_u64;
    while let Some(digit) = bytes.get(*at).filter(|b| b.is_ascii_digit()) {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .ok_or(DecodeError::malformed(start, "a number over 64 bits"))?;
        *at += 1;
    }
    if *at - start > 1 && bytes[start] == b'0' {
        return Err(DecodeError::malformed(start, "a number with leading zeros"));
    }
    Ok((*at > start).then_some(value))
}

fn attachments(bytes: &[u8], at: &mut usize, limits: &Limits) -> Result<u8, DecodeError> {
    let start = *at;
    let count = number(bytes, at)?.unwrap_or(0);
    if bytes.get(*at) != Some(&b'-') || count == 0 {
        return Err(DecodeError::malformed(
            start,
            "a binary packet without its number of attachments",
        ));
    }
    *at += 1;
    let limit = limits.attachments.min(64);
    match u8::try_from(count) {
        Ok(count) if usize::from(count) <= limit => Ok(count),
        _ => Err(DecodeError::TooLarge { limit, got: count }),
    }
}

fn namespace(bytes: &[u8], at: &mut usize, limits: &Limits) -> Result<Range<usize>, DecodeError> {
    let start = *at;
    if bytes.get(start) != Some(&b'/') {
        return Ok(start..start);
    }
    let rest = &bytes[start..];
    let len = rest.iter().position(|b| *b == b',').unwrap_or(rest.len());
    if len > limits.namespace_bytes {
        return Err(DecodeError::TooLarge {
            limit: limits.namespace_bytes,
            got: len as u64,
        });
    }
    // It is written back in answers, where one could end a packet.
    if let Some(odd) = rest[..len].iter().position(u8::is_ascii_control) {
        return Err(DecodeError::malformed(
            start + odd,
            "a control character in a namespace",
        ));
    }
    *at = bytes.len().min(start + len + 1);
    Ok(start..start + len)
}
