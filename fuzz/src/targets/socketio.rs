//! Socket.IO: packets, and the state of attachments.

use bytes::Bytes;
use fanwire_proto::native::{Body, json};
use fanwire_proto::socketio::{Ack, Event, Kind, Limits, Packet, RESERVED, Reassembler};

use crate::input::Input;

/// All of it is a packet.
pub(super) fn packet(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let limits = Limits::default();
    let Ok(packet) = Packet::decode(&text, &limits) else {
        return;
    };
    let namespace = packet.namespace();
    assert!(namespace.starts_with('/') && namespace.len() <= limits.namespace_bytes);
    assert!(!namespace.contains(|c: char| c.is_ascii_control() || c == ','));
    assert_eq!(packet.kind().is_binary(), packet.attachments() > 0);
    assert!(packet.attachments() <= limits.attachments);
    assert_eq!(packet.referenced() >> packet.attachments(), 0);
    if !packet.data().is_empty() {
        json::check(packet.data().as_bytes()).expect("data is JSON");
    }
    let blanks = vec![Bytes::new(); packet.attachments()];
    let mut written = Vec::new();
    match packet.kind() {
        Kind::Event | Kind::BinaryEvent => {
            let (name, args) = packet.event().expect("an event");
            assert!(!RESERVED.contains(&&*name));
            let array = array(args.as_str(), args.count());
            let event = Event {
                namespace,
                id: packet.id(),
                name: &name,
                body: Body::Args {
                    json: array.as_bytes(),
                    attachments: &blanks,
                },
                offset: None,
            };
            event.write_text(&mut written);
        }
        Kind::Ack | Kind::BinaryAck => {
            let args = packet.ack().expect("an ack");
            let array = array(args.as_str(), args.count());
            let ack = Ack {
                namespace,
                id: packet.id().expect("an ack has an id"),
                body: Body::Args {
                    json: array.as_bytes(),
                    attachments: &blanks,
                },
            };
            ack.write_text(&mut written);
        }
        _ => return,
    }
    // As it was taken, so it is handed on.
    let written = String::from_utf8(written).expect("text");
    let again = Packet::decode(&written, &limits).expect("what was written");
    assert_eq!(again.kind(), packet.kind());
    assert_eq!((again.namespace(), again.id()), (namespace, packet.id()));
    assert_eq!(again.referenced(), packet.referenced());
    assert_eq!(again.event(), packet.event());
    assert_eq!(again.ack(), packet.ack());
}

/// The array of these elements, each of which is JSON.
fn array(elements: &str, count: usize) -> String {
    let array = format!("[{elements}]");
    json::check(array.as_bytes()).expect("elements of an array");
    let values: serde_json::Result<Vec<&serde_json::value::RawValue>> =
        serde_json::from_str(&array);
    assert_eq!(values.expect("an array").len(), count);
    array
}

/// A limit, then messages: a byte that says whether it is text, its length, and
/// the message.
pub(super) fn attachments(data: &[u8]) {
    let mut input = Input::new(data);
    let limits = Limits {
        packet_bytes: usize::from(input.byte()) * 4,
        ..Limits::default()
    };
    let mut state = Reassembler::new(limits);
    // What is awaited, and the bytes that came for it.
    let mut awaited: Option<(String, Vec<Vec<u8>>)> = None;
    while !input.is_empty() {
        if input.byte() & 1 == 0 {
            let text = input.text();
            match state.text(&text) {
                Ok(Some(packet)) => assert!(awaited.is_none() && !packet.kind().is_binary()),
                Ok(None) => {
                    assert!(awaited.is_none());
                    awaited = Some((text, Vec::new()));
                }
                Err(_) => awaited = None,
            }
        } else {
            let data = input.part();
            match (state.binary(Bytes::copy_from_slice(data)), &mut awaited) {
                (Ok(None), Some((_, parts))) => parts.push(data.to_vec()),
                (Ok(Some(whole)), Some((text, parts))) => {
                    parts.push(data.to_vec());
                    assert_eq!(Packet::decode(text, &limits), Ok(whole.packet()));
                    assert_eq!(whole.attachments, *parts);
                    assert_eq!(whole.packet().attachments(), parts.len());
                    awaited = None;
                }
                (Err(_), _) => awaited = None,
                (Ok(_), None) => panic!("an attachment of nothing was taken"),
            }
        }
        let held = awaited.as_ref().map_or(0, |(text, parts)| {
            text.len() + parts.iter().map(Vec::len).sum::<usize>()
        });
        assert_eq!(state.is_waiting(), awaited.is_some());
        assert_eq!(state.held_bytes(), held);
        assert!(held <= limits.packet_bytes);
    }
}
