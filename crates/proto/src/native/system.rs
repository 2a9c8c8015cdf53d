//! System events (`PROTOCOL.md`, section 7): what the server says in-band.

use serde::Serialize;

use super::command::Ref;
use super::json::write_str;

/// One system event. The SSE form is its [`name`](System::name) as `event:` and
/// its [`data`](System::write_data) as `data:`; everywhere else it is the
/// [object](System::write) of both.
#[derive(Debug, Clone, Copy)]
pub enum System<'a> {
    /// The stream starts after `cursor`.
    Ready {
        /// Where the stream starts.
        cursor: &'a str,
        /// The channels it hears, as text.
        channels: &'a [&'a str],
        /// The connection's public name, for `exclude=`.
        conn: &'a str,
    },
    /// Nothing new; resume here.
    Cursor {
        /// The resume point.
        cursor: &'a str,
    },
    /// Messages may be missing.
    Gap {
        /// Of this channel.
        channel: &'a str,
        /// Why: one of the reasons of section 7.
        reason: &'a str,
        /// The newest message that is gone, where it is known.
        lost_through: Option<&'a str>,
        /// Just past the loss.
        cursor: &'a str,
    },
    /// The stream ends soon, and may be taken up again elsewhere.
    Drain {
        /// Within so many milliseconds.
        within_ms: u64,
        /// Why: `shutdown`.
        reason: &'a str,
    },
    /// A command was carried out.
    Ack {
        /// The command's own mark.
        reference: &'a Ref,
        /// The message's id; none for a volatile one.
        id: Option<&'a str>,
    },
    /// A command was handled by code.
    Reply {
        /// The command's own mark.
        reference: &'a Ref,
        /// What the code answers, as JSON text.
        data: &'a str,
    },
    /// A command was refused.
    Error {
        /// The command's own mark, where it could be read.
        reference: Option<&'a Ref>,
        /// The code of section 8.
        code: &'a str,
        /// What to do.
        message: &'a str,
        /// After so many milliseconds the same may succeed, where that is known.
        retry_in: Option<u64>,
        /// The place of what is wrong within the command, where it is one.
        at: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct ReadyData<'a> {
    cursor: &'a str,
    channels: &'a [&'a str],
    conn: &'a str,
}

#[derive(Serialize)]
struct CursorData<'a> {
    cursor: &'a str,
}

#[derive(Serialize)]
struct GapData<'a> {
    channel: &'a str,
    reason: &'a str,
    lost_through: Option<&'a str>,
    cursor: &'a str,
}

#[derive(Serialize)]
struct DrainData<'a> {
    #[serde(rename = "in")]
    within_ms: u64,
    reason: &'a str,
}

#[derive(Serialize)]
struct AckData<'a> {
    #[serde(rename = "ref")]
    reference: &'a Ref,
    id: Option<&'a str>,
}

#[derive(Serialize)]
struct ReplyData<'a> {
    #[serde(rename = "ref")]
    reference: &'a Ref,
    data: Option<&'a serde_json::value::RawValue>,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a Ref>,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a str>,
}

impl System<'_> {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "$ready",
            Self::Cursor { .. } => "$cursor",
            Self::Gap { .. } => "$gap",
            Self::Drain { .. } => "$drain",
            Self::Ack { .. } | Self::Reply { .. } => "$ack",
            Self::Error { .. } => "$error",
        }
    }

    /// Appends its data, one JSON object on one line.
    pub fn write_data(&self, out: &mut Vec<u8>) {
        // Strings and lists of strings: writing them to a Vec cannot fail.
        let _ = match *self {
            Self::Ready {
                cursor,
                channels,
                conn,
            } => serde_json::to_writer(
                out,
                &ReadyData {
                    cursor,
                    channels,
                    conn,
                },
            ),
            Self::Cursor { cursor } => serde_json::to_writer(out, &CursorData { cursor }),
            Self::Gap {
                channel,
                reason,
                lost_through,
                cursor,
            } => serde_json::to_writer(
                out,
                &GapData {
                    channel,
                    reason,
                    lost_through,
                    cursor,
                },
            ),
            Self::Drain { within_ms, reason } => {
                serde_json::to_writer(out, &DrainData { within_ms, reason })
            }
            Self::Ack { reference, id } => serde_json::to_writer(out, &AckData { reference, id }),
            Self::Reply { reference, data } => {
                let data = serde_json::from_str(data).ok();
                serde_json::to_writer(out, &ReplyData { reference, data })
            }
            Self::Error {
                reference,
                code,
                message,
                retry_in,
                at,
            } => serde_json::to_writer(
                out,
                &ErrorData {
                    reference,
                    code,
                    message,
                    retry_in,
                    at,
                },
            ),
        };
    }

    /// Appends `{"event":…,"channel":…?,"data":…}`, one JSON object on one line.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"event\":");
        write_str(out, self.name());
        if let Self::Gap { channel, .. } = self {
            out.extend_from_slice(b",\"channel\":");
            write_str(out, channel);
        }
        out.extend_from_slice(b",\"data\":");
        self.write_data(out);
        out.push(b'}');
    }
}
