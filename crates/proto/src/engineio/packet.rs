//! One packet: a digit that says what it is, and what it carries.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::DecodeError;

/// What a probing ping or pong carries.
const PROBE: &str = "probe";

/// A packet. Text borrows from the input; so does binary, but where it came as
/// base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the server's handshake, as JSON; see [`Open`](super::Open).
    Open(&'a str),
    /// `1`: the session ends.
    Close,
    /// `2`: from the server, asks for a pong; `2probe`, from the client, tries a
    /// new transport.
    Ping {
        /// Whether it is `2probe`.
        probe: bool,
    },
    /// `3`: answers a ping.
    Pong {
        /// Whether it is `3probe`.
        probe: bool,
    },
    /// `4`: a message of text.
    Text(&'a str),
    /// A message of bytes: a binary frame, or `b` and base64 in a poll.
    Binary(Cow<'a, [u8]>),
    /// `5`: the client moves to the transport that this came by.
    Upgrade,
    /// `6`: nothing; ends a poll.
    Noop,
}

impl<'a> Packet<'a> {
    /// Reads a WebSocket text frame.
    ///
    /// # Errors
    /// `Malformed` for an empty frame, a type that is not 0–6, and anything
    /// after a packet that carries nothing.
    pub fn decode_text(text: &'a str) -> Result<Self, DecodeError> {
        let Some(&kind) = text.as_bytes().first() else {
            return Err(DecodeError::malformed(0, "an empty packet"));
        };
        // A type is ASCII, so what follows begins on a character.
        let rest = |why| match text.len() {
            1 => Ok(()),
            _ => Err(DecodeError::malformed(1, why)),
        };
        Ok(match kind {
            b'0' => Self::Open(&text[1..]),
            b'1' => rest("something after a close packet").map(|()| Self::Close)?,
            b'2' => Self::Ping {
                probe: probe(&text[1..])?,
            },
            b'3' => Self::Pong {
                probe: probe(&text[1..])?,
            },
            b'4' => Self::Text(&text[1..]),
            b'5' => rest("something after an upgrade packet").map(|()| Self::Upgrade)?,
            b'6' => rest("something after a noop packet").map(|()| Self::Noop)?,
            _ => return Err(DecodeError::malformed(0, "a packet of no known type")),
        })
    }

    /// [`decode_text`](Self::decode_text) of bytes that are to be text.
    ///
    /// # Errors
    /// As there, and `Malformed` where they are not UTF-8.
    pub fn decode_text_bytes(text: &'a [u8]) -> Result<Self, DecodeError> {
        let text = simdutf8::compat::from_utf8(text)
            .map_err(|e| DecodeError::malformed(e.valid_up_to(), "not UTF-8"))?;
        Self::decode_text(text)
    }

    /// Reads a WebSocket binary frame: all of it is the message.
    #[must_use]
    pub const fn decode_binary(data: &'a [u8]) -> Self {
        Self::Binary(Cow::Borrowed(data))
    }

    /// Reads one packet of a polling payload, what stands between two record
    /// separators: as a text frame, but that `b` and base64 (standard alphabet,
    /// padded) is binary.
    ///
    /// # Errors
    /// `Malformed` as [`decode_text`](Self::decode_text), and for what is not
    /// base64.
    pub fn decode_polling(text: &'a str) -> Result<Self, DecodeError> {
        match text.as_bytes().split_first() {
            Some((b'b', encoded)) => STANDARD
                .decode(encoded)
                .map(|data| Self::Binary(Cow::Owned(data)))
                .map_err(|_| DecodeError::malformed(1, "a binary packet that is not base64")),
            _ => Self::decode_text(text),
        }
    }

    /// Appends the packet as a text frame carries it. Binary, which has no such
    /// form, is written as `b` and base64, the form of a poll.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (kind, rest) = match self {
            Self::Open(json) => (b'0', *json),
            Self::Close => (b'1', ""),
            Self::Ping { probe } => (b'2', if *probe { PROBE } else { "" }),
            Self::Pong { probe } => (b'3', if *probe { PROBE } else { "" }),
            Self::Text(text) => (b'4', *text),
            Self::Binary(data) => {
                out.push(b'b');
                let from = out.len();
                out.resize(from + data.len().div_ceil(3) * 4, 0);
                // The room is exact.
                let _ = STANDARD.encode_slice(data, &mut out[from..]);
                return;
            }
            Self::Upgrade => (b'5', ""),
            Self::Noop => (b'6', ""),
        };
        out.push(kind);
        out.extend_from_slice(rest.as_bytes());
    }
}

fn probe(data: &str) -> Result<bool, DecodeError> {
    match data {
        "" => Ok(false),
        PROBE => Ok(true),
        _ => Err(DecodeError::malformed(
            1,
            "a ping or pong with anything but probe",
        )),
    }
}
