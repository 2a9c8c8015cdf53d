//! Packets, payloads, queries and the handshake; sessions are in `tests/`.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::time::Duration;

use proptest::prelude::*;

use super::query::{SID_BYTES, Transport};
use super::*;
use crate::error::DecodeError;
use crate::ws::{self, Role};

fn payload(body: &[u8]) -> Result<Vec<Packet<'_>>, DecodeError> {
    Payload::new(body, PayloadLimits::of(1_000_000))?.collect()
}

fn binary(data: &[u8]) -> Packet<'static> {
    Packet::Binary(Cow::Owned(data.to_vec()))
}

/// What a client reads from these frames.
fn frames(mut bytes: &[u8]) -> Vec<Packet<'static>> {
    let limits = ws::Limits {
        max_message: 1 << 24,
        ..ws::Limits::default()
    };
    let mut decoder = ws::Decoder::new(Role::Client, limits);
    let mut packets = Vec::new();
    while let Some(event) = decoder.decode(&mut bytes).unwrap() {
        packets.push(match event {
            ws::Event::Text(text) => owned(&Packet::decode_text_bytes(&text).unwrap()),
            ws::Event::Binary(data) => binary(&data),
            other => panic!("{other:?}"),
        });
    }
    assert!(!decoder.is_mid_message());
    packets
}

fn owned(packet: &Packet<'_>) -> Packet<'static> {
    match packet {
        Packet::Text(text) => Packet::Text(text.to_string().leak()),
        Packet::Open(text) => Packet::Open(text.to_string().leak()),
        Packet::Binary(data) => binary(data),
        Packet::Close => Packet::Close,
        Packet::Ping { probe } => Packet::Ping { probe: *probe },
        Packet::Pong { probe } => Packet::Pong { probe: *probe },
        Packet::Upgrade => Packet::Upgrade,
        Packet::Noop => Packet::Noop,
    }
}

#[test]
fn every_kind_of_packet_is_read_from_a_frame() {
    let cases = [
        ("0{}", Packet::Open("{}")),
        ("1", Packet::Close),
        ("2", Packet::Ping { probe: false }),
        ("2probe", Packet::Ping { probe: true }),
        ("3", Packet::Pong { probe: false }),
        ("3probe", Packet::Pong { probe: true }),
        ("4hello", Packet::Text("hello")),
        ("4", Packet::Text("")),
        ("4€\u{10FFFF}", Packet::Text("€\u{10FFFF}")),
        ("5", Packet::Upgrade),
        ("6", Packet::Noop),
    ];
    for (text, packet) in cases {
        assert_eq!(Packet::decode_text(text), Ok(packet.clone()), "{text}");
        assert_eq!(
            Packet::decode_text_bytes(text.as_bytes()),
            Ok(packet.clone())
        );
        assert_eq!(payload(text.as_bytes()), Ok(vec![packet]), "{text}");
    }
    assert_eq!(Packet::decode_binary(&[1, 2]), binary(&[1, 2]));
    assert_eq!(Packet::decode_binary(&[]), binary(&[]));
    // Base64 is a poll's; in a frame it is no packet.
    assert!(Packet::decode_text("bAQIDBA==").is_err());
}

#[test]
fn a_payload_is_packets_between_separators() {
    let text = Packet::Text;
    assert_eq!(payload(b"4hello"), Ok(vec![text("hello")]));
    assert_eq!(
        payload(b"4test1\x1e4test2\x1e4test3"),
        Ok(vec![text("test1"), text("test2"), text("test3")])
    );
    assert_eq!(
        payload(b"4hello\x1ebAQIDBA=="),
        Ok(vec![text("hello"), binary(&[1, 2, 3, 4])])
    );
    assert_eq!(
        payload(b"4hello\x1e2\x1e4world"),
        Ok(vec![
            text("hello"),
            Packet::Ping { probe: false },
            text("world")
        ])
    );
    assert_eq!(payload(b"b"), Ok(vec![binary(&[])]));
}

#[test]
fn e7_unknown_types_empty_packets_and_bad_base64_are_refused_where_they_stand() {
    let bad: &[(&[u8], usize)] = &[
        (b"", 0),
        (b"abc", 0),
        (b"74", 0),
        (b"8", 0),
        (b"9", 0),
        (b"\x1e", 0),
        (b"4a\x1e", 3),
        (b"\x1e4a", 0),
        (b"4a\x1e\x1e4b", 3),
        (b"4a\x1e7", 3),
        (b"b!!", 1),
        (b"4a\x1ebAQI", 4),
        (b"bAQIDBA", 1),
        (b"b-_-_", 1),
        (b"1x", 1),
        (b"5x", 1),
        (b"6x", 1),
        (b"2prob", 1),
        (b"3probes", 1),
        (b"4\xFF", 1),
        ("€".as_bytes(), 0),
    ];
    for (body, at) in bad {
        let Err(DecodeError::Malformed { at: found, .. }) = payload(body) else {
            panic!("{body:?} was taken");
        };
        assert_eq!(found, *at, "{body:?}");
    }
    // What stood before it was read, and nothing after it is.
    let mut read = Payload::new(b"4a\x1e7\x1e4b", PayloadLimits::of(9)).unwrap();
    assert_eq!(read.next(), Some(Ok(Packet::Text("a"))));
    assert!(matches!(read.next(), Some(Err(_))));
    assert_eq!(read.next(), None);
}

#[test]
fn e6_a_million_packets_are_refused_before_the_first_is_read() {
    let body = b"4\x1e".repeat(1_000_000);
    let limit = crate::limits::ENGINEIO_PACKETS;
    assert_eq!(
        payload(&body),
        Err(DecodeError::TooLarge {
            limit,
            got: 1_000_001
        })
    );
    // Up to the limit they are read, one look at each byte.
    let mut body = b"4\x1e".repeat(limit - 1);
    body.push(b'4');
    assert_eq!(payload(&body).unwrap().len(), limit);
}

#[test]
fn each_packet_keeps_the_limit_too() {
    let read = |body: &'static [u8]| {
        let limits = PayloadLimits::of(3);
        Payload::new(body, limits)?.collect::<Result<Vec<_>, _>>()
    };
    assert!(read(b"4abc\x1ebAQID\x1e4abc").is_ok());
    for body in [&b"4abcd"[..], b"bAQIDBA==", b"bAQIDBAUG", b"0{  }"] {
        let Err(DecodeError::TooLarge { limit: 3, got }) = read(body) else {
            panic!("{body:?} was taken");
        };
        assert!(got > 3);
    }
    assert!(read(b"bAQI=\x1ebAQ==").is_ok());
}

#[test]
fn a_unit_stands_alone_on_either_wire() {
    let packets = [
        Packet::Text("hello"),
        binary(&[1, 2, 3, 4]),
        Packet::Ping { probe: false },
        Packet::Pong { probe: true },
        Packet::Noop,
        Packet::Close,
        Packet::Upgrade,
        Packet::Open("{}"),
        Packet::Text(""),
        binary(&[]),
    ];
    let (mut polling, mut websocket) = (Vec::new(), Vec::new());
    for packet in &packets {
        Wire::Polling.packet(packet, &mut polling);
        Wire::WebSocket.packet(packet, &mut websocket);
    }
    assert!(polling.starts_with(b"\x1e4hello\x1ebAQIDBA==\x1e2\x1e3probe\x1e6\x1e1"));
    assert_eq!(payload(&polling[1..]).unwrap(), packets);
    assert_eq!(frames(&websocket), packets);
    assert!(websocket.starts_with(b"\x81\x064hello\x82\x04\x01\x02\x03\x04"));
    // What was written for one goes over to the other as a whole.
    let mut moved = b"before".to_vec();
    frames_to_polling(&websocket, &mut moved);
    assert_eq!(moved[6..], polling);
}

#[test]
fn frames_of_every_length_have_their_header() {
    for len in [
        0, 1, 123, 124, 125, 126, 65_533, 65_534, 65_535, 65_536, 100_000,
    ] {
        let text = "x".repeat(len);
        let mut out = b"kept".to_vec();
        Wire::WebSocket.packet(&Packet::Text(&text), &mut out);
        assert_eq!(frames(&out[4..]), [Packet::Text(&text)]);
        assert_eq!(&out[..4], b"kept");
    }
}

#[test]
fn a_separator_in_a_text_cannot_smuggle_a_packet_into_a_poll() {
    let mut out = Vec::new();
    Wire::Polling.packet(&Packet::Text("a\x1e1"), &mut out);
    assert_eq!(payload(&out[1..]), Ok(vec![Packet::Text("a 1")]));
}

#[test]
fn the_handshake_has_exactly_its_five_members() {
    let mut open = Open {
        sid: "lv_VI97HAXpY6yYWAAAC",
        upgrade: true,
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        max_payload: 1_000_000,
    };
    let mut out = Vec::new();
    open.write(&mut out);
    assert_eq!(
        std::str::from_utf8(&out).unwrap(),
        "0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[\"websocket\"],\
         \"pingInterval\":300,\"pingTimeout\":200,\"maxPayload\":1000000}"
    );
    open.upgrade = false;
    out.clear();
    Wire::WebSocket.text(&mut out, |out| open.write(out));
    let [Packet::Open(json)] = frames(&out)[..] else {
        panic!("not a handshake")
    };
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let mut names: Vec<_> = value.as_object().unwrap().keys().collect();
    names.sort();
    let five = [
        "maxPayload",
        "pingInterval",
        "pingTimeout",
        "sid",
        "upgrades",
    ];
    assert_eq!(names, five);
    assert_eq!(value["upgrades"], serde_json::json!([]));
}

fn ask<'a>(query: &'a str, method: &str, websocket: bool) -> Result<Ask<'a>, Refusal> {
    Query::parse(query)?.ask(method, websocket)
}

#[test]
fn what_a_request_asks_for() {
    let (polling, websocket) = ("EIO=4&transport=polling", "EIO=4&transport=websocket");
    assert_eq!(ask(polling, "GET", false), Ok(Ask::OpenPolling));
    assert_eq!(ask(websocket, "GET", true), Ok(Ask::OpenWebSocket));
    let sid = "transport=polling&t=Ou3xyz&foo&EIO=4&sid=a_b-C1";
    assert_eq!(ask(sid, "GET", false), Ok(Ask::Poll("a_b-C1")));
    assert_eq!(ask(sid, "POST", false), Ok(Ask::Post("a_b-C1")));
    let sid = "transport=websocket&EIO=4&sid=a_b-C1";
    assert_eq!(ask(sid, "GET", true), Ok(Ask::Upgrade("a_b-C1")));
    assert_eq!(
        Query::parse(sid),
        Ok(Query {
            transport: Transport::WebSocket,
            sid: Some("a_b-C1")
        })
    );
}

#[test]
fn e1_wrong_versions_transports_and_methods_have_their_codes() {
    let (polling, websocket) = ("EIO=4&transport=polling", "EIO=4&transport=websocket");
    let long = format!("EIO=4&transport=polling&sid={}", "x".repeat(SID_BYTES + 1));
    let cases: &[(&str, &str, bool, u8)] = &[
        ("", "GET", false, 0),
        ("EIO=4", "GET", false, 0),
        ("EIO=4&transport=abc", "GET", false, 0),
        ("EIO=4&transport=webtransport", "GET", false, 0),
        ("EIO=abc&transport=abc", "GET", false, 0),
        ("transport=polling", "GET", false, 5),
        ("EIO=3&transport=polling", "GET", false, 5),
        ("EIO=5&transport=polling", "GET", false, 5),
        ("EIO=abc&transport=polling", "GET", false, 5),
        ("EIO=04&transport=websocket", "GET", true, 5),
        (polling, "POST", false, 2),
        (polling, "PUT", false, 2),
        (websocket, "POST", true, 2),
        (websocket, "GET", false, 3),
        (polling, "GET", true, 3),
        ("EIO=4&transport=websocket&sid=x", "GET", false, 3),
        ("EIO=4&transport=polling&sid=x", "GET", true, 3),
        ("EIO=4&transport=polling&sid=x", "PUT", false, 3),
        ("EIO=4&transport=websocket&sid=x", "POST", false, 3),
        ("EIO=4&transport=polling&j=0", "GET", false, 3),
        ("EIO=4&EIO=4&transport=polling", "GET", false, 3),
        ("EIO=4&transport=polling&sid=a&sid=b", "GET", false, 3),
        ("EIO=4&transport=polling&sid=", "GET", false, 1),
        (&long, "GET", false, 1),
    ];
    for (query, method, websocket, code) in cases {
        let refusal = ask(query, method, *websocket).unwrap_err();
        assert_eq!(refusal.code(), *code, "{method} {query}");
        assert_eq!(refusal.status(), 400);
    }
}

#[test]
fn refusals_have_a_body_with_their_number_and_sentence() {
    let all = [
        Refusal::TransportUnknown,
        Refusal::SessionUnknown,
        Refusal::BadHandshakeMethod,
        Refusal::BadRequest,
        Refusal::Forbidden,
        Refusal::UnsupportedVersion,
    ];
    for (code, refusal) in all.into_iter().enumerate() {
        let body: serde_json::Value = serde_json::from_str(refusal.body()).unwrap();
        let expected = serde_json::json!({"code": code, "message": refusal.message()});
        assert_eq!(body, expected);
        assert_eq!(usize::from(refusal.code()), code);
    }
    assert_eq!(Refusal::Forbidden.status(), 403);
}

fn any_packet() -> impl Strategy<Value = Packet<'static>> {
    let text = "[^\u{1e}]{0,40}".prop_map(|text: String| &*text.leak());
    prop_oneof![
        text.prop_map(Packet::Text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|data| binary(&data)),
        any::<bool>().prop_map(|probe| Packet::Ping { probe }),
        any::<bool>().prop_map(|probe| Packet::Pong { probe }),
        Just(Packet::Close),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back_on_either_wire(
        packets in prop::collection::vec(any_packet(), 1..12),
    ) {
        let (mut polling, mut websocket, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        for packet in &packets {
            Wire::Polling.packet(packet, &mut polling);
            Wire::WebSocket.packet(packet, &mut websocket);
        }
        prop_assert_eq!(&payload(&polling[1..]).unwrap(), &packets);
        prop_assert_eq!(&frames(&websocket), &packets);
        frames_to_polling(&websocket, &mut moved);
        prop_assert_eq!(moved, polling);
    }

    #[test]
    fn any_payload_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = payload(&body);
    }

    #[test]
    fn any_query_is_read_or_refused(query in ".{0,80}") {
        let _ = Query::parse(&query);
    }
}

#[test]
fn a_session_is_small() {
    // One for each client, beside its subscriber.
    assert!(size_of::<Session>() <= 192, "{}", size_of::<Session>());
}
