//! Reading what a server sends: envelopes and system events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::args;
use super::command::Ref;
use super::json;
use crate::error::DecodeError;
use crate::limits::JSON_DEPTH;

/// One object from a stream or a poll.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// The stream starts after `cursor`.
    Ready {
        /// Where it starts.
        cursor: String,
        /// The channels it hears.
        channels: Vec<String>,
        /// This connection's public name.
        conn: String,
    },
    /// Nothing new; resume here.
    Cursor {
        /// The resume point.
        cursor: String,
    },
    /// Messages may be missing.
    Gap {
        /// Of this channel.
        channel: String,
        /// Why.
        reason: String,
        /// The newest message that is gone, where it is known.
        lost_through: Option<String>,
        /// Just past the loss.
        cursor: String,
    },
    /// The stream ends soon, and may be taken up again elsewhere.
    Drain {
        /// Within so many milliseconds.
        within_ms: u64,
        /// Why.
        reason: String,
    },
    /// A command was carried out.
    Ack {
        /// The command's mark.
        reference: Ref,
        /// The message's id; none for a volatile one.
        id: Option<String>,
    },
    /// A command was refused.
    Error {
        /// The command's mark, where the server could read it.
        reference: Option<Ref>,
        /// A code of section 8.
        code: String,
        /// What to do.
        message: String,
    },
    /// A system event of a later version: pass over it.
    Unknown(String),
}

/// A message, read.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id, which is also a cursor; none on a volatile message.
    pub id: Option<String>,
    /// The channel it came by; empty where it was sent to this client alone.
    pub channel: String,
    /// The event name.
    pub event: String,
    /// The body.
    pub body: MessageBody,
    /// Milliseconds since 1970, when it was sequenced.
    pub ts: Option<u64>,
    /// The publisher's verified identity.
    pub from: Option<String>,
    /// The conflation key.
    pub key: Option<String>,
}

/// A message's body, by kind.
#[derive(Debug, Clone)]
pub enum MessageBody {
    /// JSON text as the server wrote it.
    Json(Box<RawValue>),
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// Several arguments: an array, binary inside as `{"$bin":"<base64>"}`.
    Args(Box<RawValue>),
}

impl PartialEq for MessageBody {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) | (Self::Args(a), Self::Args(b)) => a.get() == b.get(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Binary(a), Self::Binary(b)) => a == b,
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    event: String,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(default)]
    ts: Option<u64>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    args: Option<u64>,
}

/// Keeps `"data":null`, a message whose body is null, apart from no data.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

#[derive(Deserialize)]
struct ReadyData {
    cursor: String,
    channels: Vec<String>,
    conn: String,
}

#[derive(Deserialize)]
struct CursorData {
    cursor: String,
}

#[derive(Deserialize)]
struct GapData {
    channel: String,
    reason: String,
    #[serde(default)]
    lost_through: Option<String>,
    cursor: String,
}

#[derive(Deserialize)]
struct DrainData {
    #[serde(rename = "in")]
    within_ms: u64,
    reason: String,
}

#[derive(Deserialize)]
struct AckData {
    #[serde(rename = "ref")]
    reference: Ref,
    #[serde(default)]
    id: Option<String>,
}

#[derive(Deserialize)]
struct ErrorData {
    #[serde(rename = "ref", default)]
    reference: Option<Ref>,
    code: String,
    message: String,
}

/// Reads one object: an envelope or a system event.
///
/// # Errors
/// `Malformed` where it is not of the form, `TooLarge` for nesting over the
/// limit. The caller bounds the bytes.
pub fn read(object: &[u8]) -> Result<Incoming, DecodeError> {
    // The deepest body that may be published, in its envelope.
    json::check_depth_of(object, JSON_DEPTH + 1)?;
    let text = std::str::from_utf8(object)
        .map_err(|e| DecodeError::malformed(e.valid_up_to(), "not UTF-8"))?;
    let wire: Wire<'_> = serde_json::from_str(text)
        .map_err(|e| DecodeError::malformed(json::offset(text, &e), "not an envelope"))?;
    // A Socket.IO event may not begin with a dollar sign either, so the name
    // alone tells a system event from a message.
    if wire.event.starts_with('$') {
        let data = wire.data.map_or("null", RawValue::get);
        return system(&wire.event, data);
    }
    message(wire).map(Incoming::Message)
}

/// Reads a system event from its name and its data, as SSE carries them apart.
///
/// # Errors
/// `Malformed` where the data is not what the name says.
pub fn system(name: &str, data: &str) -> Result<Incoming, DecodeError> {
    fn data_of<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, DecodeError> {
        serde_json::from_str(data)
            .map_err(|e| DecodeError::malformed(json::offset(data, &e), "not this event's data"))
    }
    Ok(match name {
        "$ready" => {
            let ReadyData {
                cursor,
                channels,
                conn,
            } = data_of(data)?;
            Incoming::Ready {
                cursor,
                channels,
                conn,
            }
        }
        "$cursor" => Incoming::Cursor {
            cursor: data_of::<CursorData>(data)?.cursor,
        },
        "$gap" => {
            let GapData {
                channel,
                reason,
                lost_through,
                cursor,
            } = data_of(data)?;
            Incoming::Gap {
                channel,
                reason,
                lost_through,
                cursor,
            }
        }
        "$drain" => {
            let DrainData { within_ms, reason } = data_of(data)?;
            Incoming::Drain { within_ms, reason }
        }
        "$ack" => {
            let AckData { reference, id } = data_of(data)?;
            Incoming::Ack { reference, id }
        }
        "$error" => {
            let ErrorData {
                reference,
                code,
                message,
            } = data_of(data)?;
            Incoming::Error {
                reference,
                code,
                message,
            }
        }
        other => Incoming::Unknown(other.to_owned()),
    })
}

fn message(wire: Wire<'_>) -> Result<Message, DecodeError> {
    let bad = |why| DecodeError::malformed(0, why);
    let data = wire.data.ok_or_else(|| bad("a message without data"))?;
    let string =
        || serde_json::from_str::<String>(data.get()).map_err(|_| bad("data is not a string"));
    let body = match (wire.kind.as_deref(), wire.args) {
        (None, None) => MessageBody::Json(data.to_owned()),
        (None, Some(n)) if n == args::count(data.get().as_bytes()) as u64 => {
            MessageBody::Args(data.to_owned())
        }
        (None, Some(_)) => return Err(bad("args does not match data")),
        (Some("text"), None) => MessageBody::Text(string()?),
        (Some("binary"), None) => MessageBody::Binary(
            STANDARD
                .decode(string()?)
                .map_err(|_| bad("data is not base64"))?
                .into(),
        ),
        _ => return Err(bad("a kind of message that is not known")),
    };
    let Wire {
        id,
        channel,
        event,
        ts,
        from,
        key,
        ..
    } = wire;
    Ok(Message {
        id,
        channel: channel.unwrap_or_default(),
        event,
        body,
        ts,
        from,
        key,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::native::envelope::{Body, Envelope};

    #[test]
    fn what_is_sent_to_one_reader_alone_has_no_channel() {
        let alone = Envelope {
            id: Some("e-7"),
            channel: None,
            event: "message",
            body: Body::Json(b"1"),
            ts: 1790,
            from: None,
            key: None,
        };
        let mut written = Vec::new();
        alone.write(&mut written);
        assert_eq!(
            written,
            br#"{"id":"e-7","event":"message","data":1,"ts":1790}"#
        );
        let Ok(Incoming::Message(message)) = read(&written) else {
            panic!("a message")
        };
        assert_eq!(message.channel, "");
    }

    #[test]
    fn the_deepest_body_that_may_be_published_is_read_in_its_envelope() {
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        let body = nested(JSON_DEPTH);
        json::check(&body).unwrap();
        let text = [&br#"{"channel":"c","event":"e","data":"#[..], &body, b"}"].concat();
        assert!(matches!(read(&text), Ok(Incoming::Message(_))));
        let body = nested(JSON_DEPTH + 1);
        let text = [&br#"{"channel":"c","event":"e","data":"#[..], &body, b"}"].concat();
        assert!(matches!(read(&text), Err(DecodeError::TooLarge { .. })));
    }
}
