//! Engine.IO: payloads, queries, and a session under any inputs.

use fanwire_proto::engineio::query::{SID_BYTES, Transport};
use fanwire_proto::engineio::{
    Ask, Packet, Payload, PayloadLimits, Query, Wire, frames_to_polling,
};
use fanwire_proto::error::DecodeError;
use fanwire_proto::ws;

use crate::input::Input;

/// The same that the properties of `proto` run on random inputs.
#[path = "../../../crates/proto/tests/engineio/model.rs"]
mod model;

pub(super) use model::run as session;

/// Two bytes of limits, then the body of a POST.
pub(super) fn payload(data: &[u8]) {
    let mut input = Input::new(data);
    let limits = PayloadLimits {
        packets: usize::from(input.byte()) + 1,
        packet_bytes: usize::from(input.byte()) * 8,
    };
    let body = input.rest();
    let payload = match Payload::new(body, limits) {
        Ok(payload) => payload,
        Err(DecodeError::TooLarge { limit, got }) => {
            assert!(limit == limits.packets && got > limit as u64);
            return;
        }
        Err(_) => return assert!(std::str::from_utf8(body).is_err()),
    };
    let (mut polling, mut websocket, mut packets) = (Vec::new(), Vec::new(), Vec::new());
    for packet in payload {
        let Ok(packet) = packet else { break };
        if let Packet::Text(text) = packet {
            assert!(text.len() <= limits.packet_bytes);
        }
        Wire::Polling.packet(&packet, &mut polling);
        Wire::WebSocket.packet(&packet, &mut websocket);
        packets.push(packet);
    }
    assert!(packets.len() <= limits.packets);
    let mut moved = Vec::new();
    frames_to_polling(&websocket, &mut moved);
    assert_eq!(moved, polling);
    let Some(units) = polling.get(1..) else {
        return;
    };
    let again: Vec<_> = Payload::new(units, limits)
        .expect("as many as before")
        .map(|packet| packet.expect("what was written"))
        .collect();
    assert_eq!(again, packets);
    let limits = ws::Limits {
        max_message: data.len() + 10,
        ..ws::Limits::default()
    };
    let mut decoder = ws::Decoder::new(ws::Role::Client, limits);
    let mut rest = &websocket[..];
    for packet in &packets {
        let frame = decoder.decode(&mut rest).expect("legal frames");
        match frame.expect("a frame for each packet") {
            ws::Event::Text(text) => {
                assert_eq!(Packet::decode_text_bytes(&text), Ok(packet.clone()))
            }
            ws::Event::Binary(data) => assert_eq!(Packet::decode_binary(&data), *packet),
            other => panic!("{other:?}"),
        }
    }
    assert!(rest.is_empty());
}

/// The first byte is the method and the handshake, the rest the query.
pub(super) fn query(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let method = ["GET", "POST", "PUT", ""][usize::from(how % 4)];
    let websocket = how & 4 != 0;
    let Ok(query) = Query::parse(&text) else {
        return;
    };
    assert!(
        query
            .sid
            .is_none_or(|sid| (1..=SID_BYTES).contains(&sid.len()))
    );
    match query.ask(method, websocket) {
        Ok(Ask::OpenPolling) => assert!(method == "GET" && query.sid.is_none()),
        Ok(Ask::OpenWebSocket) => assert!(websocket && query.sid.is_none()),
        Ok(Ask::Poll(sid)) => assert!(method == "GET" && query.sid == Some(sid)),
        Ok(Ask::Post(sid)) => assert!(method == "POST" && query.sid == Some(sid)),
        Ok(Ask::Upgrade(sid)) => {
            assert!(websocket && query.sid == Some(sid));
            assert_eq!(query.transport, Transport::WebSocket);
        }
        Err(refusal) => assert_eq!(refusal.status(), 400),
    }
}
