//! permessage-deflate on raw sockets: group D of the bad inputs, and H7 where
//! the server does compress. The tests' own client inflates with a library.

use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::ws::{Ws, deflate, frame};

use crate::table::modes;

modes!(
    h7_an_offer_is_answered_declined_or_passed_over_for_a_later_one,
    a_message_from_the_threshold_on_comes_compressed_to_those_who_agreed,
    a_window_that_a_client_asks_for_is_kept_to,
    what_comes_compressed_is_published_as_it_was,
    d1_a_bomb_is_1009_and_others_go_on,
    d2_d3_garbage_and_what_is_cut_is_1007,
    d4_stored_empty_and_final_blocks_are_taken,
    d5_rsv1_in_the_wrong_place_is_1002,
    d7_a_reference_to_what_was_before_is_1007,
);

const EXTENSION: &str = "Sec-WebSocket-Extensions";
const OFFER: &str = "permessage-deflate; client_max_window_bits";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// "Hello", compressed (RFC 7692, 7.2.3.1).
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

async fn start(variant: Variant) -> TestServer {
    TestServer::with(variant, |config| config.ws.deflate = true).await
}

async fn offering(server: &TestServer, target: &str, offer: &str) -> Ws {
    let headers: [(&str, &[u8]); 1] = [(EXTENSION, offer.as_bytes())];
    Ws::open(server.addr, target, &headers).await
}

async fn agreed(server: &TestServer, target: &str) -> Ws {
    let ws = offering(server, target, OFFER).await;
    assert_eq!(ws.head.header(EXTENSION), Some(ANSWER));
    ws
}

/// Sends `bytes` with compression agreed on and gives the close code; whoever
/// else listens goes on unharmed, and hears nothing of it.
async fn code_for(server: &TestServer, bytes: &[u8]) -> u16 {
    let mut witness = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let mut ws = agreed(server, "/c/a").await;
    ws.send(bytes).await;
    let (code, _) = ws.closed().await;
    server.publish("a", "witness").await;
    assert_eq!(witness.texts(1).await, ["witness"], "it was delivered");
    code
}

async fn h7_an_offer_is_answered_declined_or_passed_over_for_a_later_one(variant: Variant) {
    let server = start(variant).await;
    let small = format!("{ANSWER}; server_max_window_bits=9");
    for (offer, answer) in [
        ("permessage-deflate", Some(ANSWER)),
        (
            "permessage-deflate; client_max_window_bits=\"10\"",
            Some(ANSWER),
        ),
        (
            "permessage-deflate; server_max_window_bits=12",
            Some(&small),
        ),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            Some(ANSWER),
        ),
        (
            "x; y=\"a, b\", permessage-deflate; z, permessage-deflate",
            Some(ANSWER),
        ),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; a=\"quoted; value\"; a=1; a=2", None),
        (
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            None,
        ),
        ("x-webkit-deflate-frame, ;;;,=,\"", None),
    ] {
        let mut ws = offering(&server, "/c/a", offer).await;
        assert_eq!(ws.head.header(EXTENSION), answer, "{offer}");
        ws.text("hi").await;
        assert!(matches!(ws.next().await, Said::Heard(heard) if heard.text() == "hi"));
    }
}

async fn a_message_from_the_threshold_on_comes_compressed_to_those_who_agreed(variant: Variant) {
    let server = start(variant).await;
    let mut raw = agreed(&server, "/c/a").await;
    let mut plain = Ws::open(server.addr, "/c/a", &[]).await;
    let mut envelope = agreed(&server, "/c/a?format=envelope").await;
    assert!(
        envelope
            .frame()
            .await
            .unwrap()
            .payload
            .starts_with(b"{\"event\":\"$ready\"")
    );
    let long = "again and ".repeat(103);
    assert!(long.len() >= 1024);
    for text in ["short", &long] {
        server.publish("a", text).await;
        let (got, as_it_is) = (raw.frame().await.unwrap(), plain.frame().await.unwrap());
        let compressed = text.len() >= 1024;
        assert_eq!((got.opcode, got.deflated), (1, compressed));
        assert_eq!((as_it_is.opcode, as_it_is.deflated), (1, false));
        assert_eq!(as_it_is.payload, text.as_bytes());
        let wrapped = envelope.frame().await.unwrap();
        assert_eq!((wrapped.opcode, wrapped.deflated), (1, compressed));
        if compressed {
            assert!(got.payload.len() < text.len() / 4);
            assert_eq!(fanwire_tests::ws::inflate(&got.payload), text.as_bytes());
            let json = fanwire_tests::ws::inflate(&wrapped.payload);
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(json["data"], text);
        } else {
            assert_eq!(got.payload, text.as_bytes());
        }
    }
}

async fn a_window_that_a_client_asks_for_is_kept_to(variant: Variant) {
    let server = start(variant).await;
    let offer = "permessage-deflate; server_max_window_bits=9";
    let mut ws = offering(&server, "/c/a", offer).await;
    // Digits that repeat, but never within 512 bytes.
    let once: String = (0..1000)
        .map(|n: u32| n.wrapping_mul(2_654_435_761).to_string())
        .collect();
    let text = once.repeat(2);
    server.publish("a", &text).await;
    let frame = ws.frame().await.unwrap();
    assert!(frame.deflated);
    let mut out = Vec::with_capacity(text.len() + 1);
    let input = [&frame.payload[..], b"\x00\x00\xff\xff"].concat();
    flate2::Decompress::new_with_window_bits(false, 9)
        .decompress_vec(&input, &mut out, flate2::FlushDecompress::Sync)
        .unwrap();
    assert!(out == text.as_bytes());
}

async fn what_comes_compressed_is_published_as_it_was(variant: Variant) {
    let server = start(variant).await;
    let mut plain = Ws::open(server.addr, "/c/a", &[]).await;
    let mut ws = agreed(&server, "/c/a").await;
    let text = "said once, ".repeat(2_000);
    let small = deflate(text.as_bytes());
    let (first, rest) = small.split_at(small.len() / 2);
    ws.send(&frame(0xc1, &small)).await;
    ws.send(&[frame(0x42, first), frame(0x89, b"p"), frame(0x80, rest)].concat())
        .await;
    ws.text("as it is").await;
    for expected in [(1, &text[..]), (2, &text[..]), (1, "as it is")] {
        let heard = plain.frame().await.unwrap();
        assert_eq!(heard.opcode, expected.0);
        assert!(heard.payload == expected.1.as_bytes());
    }
}

async fn d1_a_bomb_is_1009_and_others_go_on(variant: Variant) {
    let server = start(variant).await;
    let bomb = deflate(&vec![0; 32 << 20]);
    assert!(
        bomb.len() < 64 * 1024,
        "small enough to be sent: {}",
        bomb.len()
    );
    assert_eq!(code_for(&server, &frame(0xc2, &bomb)).await, 1009);
    let over = deflate(&vec![b'x'; 64 * 1024 + 1]);
    assert_eq!(code_for(&server, &frame(0xc1, &over)).await, 1009);
    // Without an end: what is kept of it is bounded before it is inflated.
    let head = [
        &[0xc2, 0x80 | 127][..],
        &(1u64 << 20).to_be_bytes(),
        &[0; 4],
    ]
    .concat();
    assert_eq!(code_for(&server, &head).await, 1009);
    let mut ws = agreed(&server, "/c/a").await;
    let largest = vec![b'x'; 64 * 1024];
    ws.send(&frame(0xc1, &deflate(&largest))).await;
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.data == largest));
}

async fn d2_d3_garbage_and_what_is_cut_is_1007(variant: Variant) {
    let server = start(variant).await;
    let words: String = (0..500).map(|n| format!("{n} ")).collect();
    let whole = deflate(words.as_bytes());
    for (what, payload) in [
        ("nothing", &b""[..]),
        ("a reserved block", b"\x07"),
        ("garbage", b"not deflate"),
        ("a broken length", b"\x00\x05\x00\x00\x00Hello"),
        ("half a stored block", b"\x00\x05\x00\xfa\xffHel"),
        ("half a message", &whole[..whole.len() / 2]),
        ("a message without its last byte", &whole[..whole.len() - 1]),
    ] {
        assert_eq!(
            code_for(&server, &frame(0xc2, payload)).await,
            1007,
            "{what}"
        );
    }
    let not_text = deflate(&[0xff; 100]);
    assert_eq!(code_for(&server, &frame(0xc1, &not_text)).await, 1007);
}

async fn d4_stored_empty_and_final_blocks_are_taken(variant: Variant) {
    let server = start(variant).await;
    let mut ws = agreed(&server, "/c/a").await;
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let two = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    for (payload, text) in [
        (HELLO, "Hello"),
        (b"\x00\x05\x00\xfa\xffHello\x00", "Hello"),
        (&[&last[..], &[0x00]].concat(), "Hello"),
        (&[&last[..], &last, &[0x00]].concat(), "HelloHello"),
        (&two, "Hello"),
        (b"\x00", ""),
    ] {
        ws.send(&frame(0xc1, payload)).await;
        assert!(
            matches!(ws.next().await, Said::Heard(h) if h.text() == text),
            "{payload:x?}"
        );
    }
}

async fn d5_rsv1_in_the_wrong_place_is_1002(variant: Variant) {
    let server = start(variant).await;
    for (what, bytes) in [
        ("ping", frame(0xc9, b"")),
        ("pong", frame(0xca, b"")),
        ("close", frame(0xc8, b"\x03\xe8")),
        (
            "continuation",
            [frame(0x41, &HELLO[..3]), frame(0xc0, &HELLO[3..])].concat(),
        ),
        ("rsv2", frame(0xe1, HELLO)),
        ("rsv3", frame(0xd1, HELLO)),
    ] {
        assert_eq!(code_for(&server, &bytes).await, 1002, "{what}");
    }
    // Where it was not agreed on, nothing of it is.
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.send(&frame(0xc1, HELLO)).await;
    assert_eq!(ws.closed().await.0, 1002);
}

async fn d7_a_reference_to_what_was_before_is_1007(variant: Variant) {
    let server = start(variant).await;
    let words = b"some words of the first message";
    let mut compressor = flate2::Compress::new(flate2::Compression::new(6), false);
    let mut message = || {
        let mut out = Vec::with_capacity(1024);
        compressor
            .compress_vec(words, &mut out, flate2::FlushCompress::Sync)
            .unwrap();
        out.truncate(out.len() - 4);
        out
    };
    let (first, second) = (message(), message());
    let mut ws = agreed(&server, "/c/a").await;
    ws.send(&frame(0xc1, &first)).await;
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.data == words));
    ws.send(&frame(0xc1, &second)).await;
    assert_eq!(ws.closed().await.0, 1007);
}
