//! Socket.IO: one subscriber is one socket in one namespace. Units are WebSocket
//! frames on either transport; Engine.IO makes polling answers of them.
//!
//! With recovery, every event ends with a string that stands for a cursor: stock
//! clients remember the last argument of every event, if it is a string, and show it
//! when they come back.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::hub::{Delivery, Encoder, End, Gap, GapForm, Ready};
use fanwire_core::key::{Key, Namespace};
use fanwire_proto::engineio::Wire;
use fanwire_proto::native::envelope::Body;
use fanwire_proto::socketio::{Connected, Event};

use super::parts;
use super::pid::Pids;

/// By it a cursor is told from any other last argument.
const OFFSET: &str = "fw~";

/// One of both forms.
pub(super) struct SocketIo {
    /// With recovery: the secret names of its sockets.
    pub(super) pids: Option<Arc<Pids>>,
}

/// A namespace as clients write it.
pub(crate) fn written(namespace: &Namespace) -> String {
    format!("/{}", namespace.as_str())
}

/// The string that stands for a cursor.
pub(crate) fn offset(cursor: Cursor) -> String {
    format!("{OFFSET}{cursor}")
}

/// The cursor of a client's offset; none where it is not one of ours.
pub(crate) fn read_offset(text: &str) -> Option<Cursor> {
    match Cursor::read(text.strip_prefix(OFFSET)?.as_bytes()) {
        CursorText::Cursor(cursor) => Some(cursor),
        CursorText::Empty | CursorText::Malformed => None,
    }
}

/// An event as a unit.
pub(crate) fn event(
    namespace: &str,
    name: &str,
    body: Body<'_>,
    id: Option<u64>,
    at: Option<Cursor>,
) -> Bytes {
    let offset = at.map(offset);
    let mut unit = Vec::with_capacity(64);
    Event {
        namespace,
        id,
        name,
        body,
        offset: offset.as_deref(),
    }
    .write(Wire::WebSocket, &mut unit);
    unit.into()
}

fn room(key: &Key) -> serde_json::Value {
    match key {
        Key::Channel(_, name) => name.as_str().into(),
        Key::All(_) => "@all".into(),
        Key::Socket(..) => serde_json::Value::Null,
    }
}

impl Encoder for SocketIo {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        let namespace = written(delivery.channel.namespace());
        let message = delivery.message;
        let at = self.pids.is_some().then_some(delivery.cursor);
        let body = parts::body(&message.body);
        event(&namespace, message.event.as_str(), body, None, at)
    }

    fn gap(&self, gap: &Gap) -> GapForm {
        // A recovery that is not whole is none: the socket is begun anew.
        let Some(before) = gap.id else {
            return GapForm::Ends;
        };
        let told = serde_json::json!({
            "room": room(&gap.channel),
            "reason": gap.reason.as_str(),
            "lost_through": gap.lost_through.map(|cursor| cursor.to_string()),
            "cursor": gap.cursor.to_string(),
        });
        let namespace = written(gap.channel.namespace());
        let at = self.pids.is_some().then_some(before);
        let told = told.to_string();
        let body = Body::Json(told.as_bytes());
        GapForm::Unit(event(&namespace, "$gap", body, None, at))
    }

    fn ready(&self, ready: &Ready<'_>) -> Bytes {
        let root = Namespace::root();
        let namespace = ready.channels.first().map_or(&root, Key::namespace);
        let pids = self.pids.as_ref();
        let pid = pids.map(|pids| pids.of(namespace, ready.conn));
        let mut unit = Vec::with_capacity(128);
        Connected {
            namespace: &written(namespace),
            sid: ready.conn.as_str(),
            pid: pid.as_deref(),
        }
        .write(Wire::WebSocket, &mut unit);
        unit.into()
    }

    fn replies_wait(&self) -> bool {
        true
    }

    fn cursor(&self, _: Cursor) -> Option<Bytes> {
        None
    }

    /// Engine.IO pings.
    fn keep_alive(&self) -> Option<Bytes> {
        None
    }

    /// What is said at the end depends on who ends it, and is the session's.
    fn end(&self, _: &End, _: u64) -> Bytes {
        Bytes::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::parts::samples::*;
    use super::*;
    use fanwire_core::key::SocketId;
    use fanwire_core::message::Body as Kept;

    fn recovering() -> SocketIo {
        SocketIo {
            pids: Some(Arc::new(Pids::new([7; 32]))),
        }
    }

    const PLAIN: SocketIo = SocketIo { pids: None };

    fn text(unit: &Bytes) -> &str {
        assert_eq!(unit[0], 0x81);
        std::str::from_utf8(&unit[2..2 + usize::from(unit[1])]).unwrap()
    }

    #[test]
    fn every_event_ends_with_its_offset_where_sockets_are_recovered() {
        let channel = Key::parse(b"chat:lobby").unwrap();
        let message = message("score", super::super::parts::samples::text("hi"));
        let unit = PLAIN.message(delivery(&channel, &message));
        assert_eq!(text(&unit), r#"42/chat,["score","hi"]"#);
        let unit = recovering().message(delivery(&channel, &message));
        assert_eq!(text(&unit), r#"42/chat,["score","hi","fw~a-7"]"#);
        assert_eq!(read_offset("fw~a-7"), Some(at(7)));
        for other in ["a-7", "fw~", "fw~a-07", "fw~x", ""] {
            assert_eq!(read_offset(other), None, "{other}");
        }
    }

    #[test]
    fn binary_follows_in_the_same_unit() {
        let channel = news();
        let bytes = Kept::Binary(Bytes::from_static(b"\x01\x02"));
        let unit = recovering().message(delivery(&channel, &message("b", bytes)));
        let head = r#"451-["b",{"_placeholder":true,"num":0},"fw~a-7"]"#;
        assert_eq!(text(&unit), head);
        assert_eq!(&unit[2 + head.len()..], b"\x82\x02\x01\x02");
    }

    #[test]
    fn p3_a_recovery_that_is_not_whole_ends_and_a_gap_in_mid_stream_is_an_event() {
        assert_eq!(recovering().gap(&gap(None)), GapForm::Ends);
        let GapForm::Unit(unit) = recovering().gap(&gap(Some(at(5)))) else {
            panic!("there is a place for it");
        };
        let written = String::from_utf8_lossy(&unit);
        assert!(written.contains("42[\"$gap\",{"), "{written}");
        assert!(written.ends_with(",\"fw~a-5\"]"), "{written}");
    }

    #[test]
    fn the_connect_reply_says_the_public_name_and_the_secret_one() {
        let keys = [Key::parse(b"chat:@all").unwrap()];
        let conn = SocketId::new("public");
        let ready = Ready {
            cursor: at(1),
            channels: &keys,
            conn: &conn,
            jitter: 0,
        };
        assert_eq!(text(&PLAIN.ready(&ready)), r#"40/chat,{"sid":"public"}"#);
        let recovering = recovering();
        let unit = recovering.ready(&ready);
        let pids = recovering.pids.unwrap();
        let pid = pids.of(keys[0].namespace(), &conn);
        let expected = format!(r#"40/chat,{{"sid":"public","pid":"{pid}"}}"#);
        assert_eq!(text(&unit), expected);
    }
}
