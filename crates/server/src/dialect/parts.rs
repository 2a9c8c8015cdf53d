//! Core's values as proto's writers want them.

use std::time::Duration;

use fanwire_core::hub::{Delivery, Gap, Ready};
use fanwire_core::key::Key;
use fanwire_core::message::Body as Kept;
use fanwire_proto::native::envelope::{Body, Envelope};
use fanwire_proto::native::system::System;

/// A body, borrowed.
pub(super) fn body(body: &Kept) -> Body<'_> {
    match body {
        Kept::Json(bytes) => Body::Json(bytes),
        Kept::Text(bytes) => Body::Text(bytes),
        Kept::Binary(bytes) => Body::Binary(bytes),
        Kept::Args { json, attachments } => Body::Args { json, attachments },
    }
}

/// Appends the envelope of a message.
pub(super) fn envelope(delivery: &Delivery<'_>, out: &mut Vec<u8>) {
    let id = delivery.id.map(|id| id.to_string());
    let channel = match delivery.channel {
        // It is for this one client, which knows no channel of that kind.
        Key::Socket(..) => None,
        channel => Some(channel.to_string()),
    };
    let message = delivery.message;
    Envelope {
        id: id.as_deref(),
        channel: channel.as_deref(),
        event: message.event.as_str(),
        body: body(&message.body),
        ts: delivery.ts,
        from: message.from.as_deref(),
        key: message.key.as_deref(),
    }
    .write(out);
}

/// Hands a `$gap` to `write`.
pub(super) fn with_gap<T>(gap: &Gap, write: impl FnOnce(System<'_>) -> T) -> T {
    let channel = gap.channel.to_string();
    let lost_through = gap.lost_through.map(|cursor| cursor.to_string());
    let cursor = gap.cursor.to_string();
    write(System::Gap {
        channel: &channel,
        reason: gap.reason.as_str(),
        lost_through: lost_through.as_deref(),
        cursor: &cursor,
    })
}

/// Hands a `$ready` to `write`.
pub(super) fn with_ready<T>(ready: &Ready<'_>, write: impl FnOnce(System<'_>) -> T) -> T {
    let cursor = ready.cursor.to_string();
    let channels = ready.channels.iter();
    let channels = channels.filter(|key| !matches!(key, Key::Socket(..)));
    let channels: Vec<String> = channels.map(ToString::to_string).collect();
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    write(System::Ready {
        cursor: &cursor,
        channels: &channels,
        conn: ready.conn.as_str(),
    })
}

/// Hands a `$drain` to `write`.
pub(super) fn with_drain<T>(within: Duration, write: impl FnOnce(System<'_>) -> T) -> T {
    write(System::Drain {
        within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
        reason: "shutdown",
    })
}

/// A number in `range` (milliseconds), chosen by `jitter`.
pub(super) fn jittered(range: (Duration, Duration), jitter: u64) -> u64 {
    let (low, high) = (range.0.as_millis() as u64, range.1.as_millis() as u64);
    low + jitter % (high.saturating_sub(low) + 1)
}

/// Values that several encoders' tests write.
#[cfg(test)]
pub(super) mod samples {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use fanwire_core::cursor::{Cursor, Epoch, GapReason, MessageId, Seq};
    use fanwire_core::hub::{Delivery, Gap};
    use fanwire_core::key::Key;
    use fanwire_core::message::{Body, EventName, Message};

    pub(in crate::dialect) fn news() -> Key {
        Key::channel("news").unwrap()
    }

    pub(in crate::dialect) fn message(event: &str, body: Body) -> Message {
        let mut message = Message::to(news(), body);
        message.event = EventName::new(event).unwrap();
        message
    }

    pub(in crate::dialect) fn delivery<'a>(channel: &'a Key, message: &'a Message) -> Delivery<'a> {
        Delivery {
            id: Some(MessageId {
                epoch: Epoch(10),
                seq: Seq(7),
            }),
            ts: 1_790_000_000_000,
            cursor: at(7),
            channel,
            message,
        }
    }

    pub(in crate::dialect) fn text(text: &'static str) -> Body {
        Body::Text(Bytes::from_static(text.as_bytes()))
    }

    pub(in crate::dialect) fn at(seq: u64) -> Cursor {
        Cursor::new(Epoch(10), Seq(seq))
    }

    pub(in crate::dialect) fn gap(id: Option<Cursor>) -> Gap {
        Gap {
            channel: news(),
            reason: GapReason::Trimmed,
            lost_through: Some(at(40)),
            cursor: at(40),
            id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_range_ends_included() {
        let range = (Duration::from_millis(10), Duration::from_millis(12));
        let seen: Vec<u64> = (0..4).map(|n| jittered(range, n)).collect();
        assert_eq!(seen, [10, 11, 12, 10]);
        assert_eq!(jittered((range.1, range.0), 99), 12);
    }
}
