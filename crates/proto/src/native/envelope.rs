//! A message in its envelope (`PROTOCOL.md`, section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::args;
use super::json::write_str;

/// A message's body, by kind.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// JSON text, checked when it was published.
    Json(&'a [u8]),
    /// UTF-8 text.
    Text(&'a [u8]),
    /// Bytes.
    Binary(&'a [u8]),
    /// A JSON array with placeholders, and what they stand for; see [`args`].
    Args {
        /// The array.
        json: &'a [u8],
        /// The binary parts.
        attachments: &'a [Bytes],
    },
}

impl Body<'_> {
    /// Appends the body as raw SSE carries it: Json and Text as they are,
    /// Binary as base64, Args as the surface form of its array.
    pub fn write_raw_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Json(bytes) | Self::Text(bytes) => out.extend_from_slice(bytes),
            Self::Binary(bytes) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
            Self::Args { json, attachments } => args::write_surface(out, json, attachments),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::Text(bytes) => bytes.len(),
            Self::Binary(bytes) => bytes.len() / 3 * 4 + 4,
            Self::Args { json, attachments } => {
                json.len()
                    + attachments
                        .iter()
                        .map(|a| a.len() / 3 * 4 + 4)
                        .sum::<usize>()
            }
        }
    }
}

/// What an envelope is written from.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The message id; none on a volatile message.
    pub id: Option<&'a str>,
    /// The first of the message's targets that the reader asked for, as text; none of
    /// one that was sent to its reader alone.
    pub channel: Option<&'a str>,
    /// The event name.
    pub event: &'a str,
    /// The body.
    pub body: Body<'a>,
    /// Milliseconds since 1970, when the message was sequenced.
    pub ts: u64,
    /// The publisher, where its identity was verified.
    pub from: Option<&'a str>,
    /// The conflation key.
    pub key: Option<&'a str>,
}

impl Envelope<'_> {
    /// Appends the envelope: one JSON object on one line. Line ends between the
    /// tokens of a JSON body become spaces; every other byte of it stays. Text
    /// that is not UTF-8 (none is published) is written with U+FFFD.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.size_hint());
        out.push(b'{');
        if let Some(id) = self.id {
            member(out, "id", id);
            out.push(b',');
        }
        if let Some(channel) = self.channel {
            member(out, "channel", channel);
            out.push(b',');
        }
        member(out, "event", self.event);
        out.extend_from_slice(b",\"data\":");
        self.write_data(out);
        out.extend_from_slice(b",\"ts\":");
        out.extend_from_slice(self.ts.to_string().as_bytes());
        for (name, value) in [("from", self.from), ("key", self.key)] {
            if let Some(value) = value {
                out.push(b',');
                member(out, name, value);
            }
        }
        match self.body {
            Body::Json(_) => {}
            Body::Text(_) => out.extend_from_slice(b",\"kind\":\"text\""),
            Body::Binary(_) => out.extend_from_slice(b",\"kind\":\"binary\""),
            Body::Args { json, .. } => {
                out.extend_from_slice(b",\"args\":");
                out.extend_from_slice(args::count(json).to_string().as_bytes());
            }
        }
        out.push(b'}');
    }

    /// About how long the envelope will be, in bytes.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        let names = [self.id, self.channel, Some(self.event), self.from, self.key];
        96 + self.body.len() + names.iter().flatten().map(|s| s.len()).sum::<usize>()
    }

    fn write_data(&self, out: &mut Vec<u8>) {
        match self.body {
            Body::Json(json) => one_line(out, |out| out.extend_from_slice(json)),
            Body::Text(text) => write_str(out, &String::from_utf8_lossy(text)),
            Body::Binary(bytes) => {
                out.push(b'"');
                out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                out.push(b'"');
            }
            Body::Args { json, attachments } => {
                one_line(out, |out| args::write_surface(out, json, attachments));
            }
        }
    }
}

/// In JSON a raw CR or LF can only be white space between tokens; an envelope
/// has to be one line, for `data:` and for readers of lines.
fn one_line(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let from = out.len();
    write(out);
    for byte in &mut out[from..] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_str(out, value);
}
