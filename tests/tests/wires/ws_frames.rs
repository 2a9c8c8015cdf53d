//! WebSocket frames on raw sockets: groups F, G, U and C of the bad inputs. What
//! counts is what is seen on the wire: the close code, and that the close frame
//! comes before the end of the connection.

use std::time::Duration;

use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::until;
use fanwire_tests::ws::{Ws, close, frame};

use crate::table::{modes, once};

modes!(
    f1_f2_f3_f4_f5_broken_framing_is_1002,
    f6_a_length_over_the_limit_is_1009_before_its_payload,
    f8_binary_on_an_envelope_is_1003,
    f9_a_flood_of_pings_gets_the_latest_pong_and_hurts_nobody,
    f10_unsolicited_pongs_are_ignored,
    f11_frames_split_at_every_byte_are_the_same_frames,
    f12_what_follows_a_close_frame_is_ignored,
    f13_empty_text_frames_are_messages,
    g1_g2_fragments_out_of_place_are_1002,
    g3_a_ping_between_fragments_is_answered_at_once,
    g4_g5_too_many_fragments_are_1009,
    g6_fragments_over_the_limit_are_1009_at_the_crossing_one,
    g7_a_close_in_mid_message_discards_it,
    u1_text_that_is_not_utf8_is_1007,
    u2_a_character_split_over_frames_is_delivered,
    u3_a_close_reason_that_is_not_utf8_is_1007,
    c1_c2_bad_close_codes_are_1002,
    c3_an_empty_close_is_answered,
    c4_a_peer_that_never_echoes_is_let_go,
    c5_c6_a_fin_or_a_reset_lets_the_subscriber_go,
);
once!(f7_a_body_that_never_comes_keeps_nothing_alive_for_ever);
once!(f7_a_message_that_drips_is_cut_and_many_quick_ones_are_not);

/// Sends `bytes` on a socket of its own and gives the close code; whoever else
/// listens goes on unharmed, and hears nothing of it.
async fn code_for(server: &TestServer, bytes: &[u8]) -> u16 {
    let mut witness = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.send(bytes).await;
    let (code, _) = ws.closed().await;
    server.publish("a", "witness").await;
    assert_eq!(
        witness.texts(1).await,
        ["witness"],
        "{bytes:?} was delivered"
    );
    code
}

/// A frame head as it should not be: these bytes, a mask, a payload of `count`.
fn odd(head: &[u8], count: usize) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend(std::iter::repeat_n(b'x', count));
    bytes
}

async fn f1_f2_f3_f4_f5_broken_framing_is_1002(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("f1 unmasked text".into(), b"\x81\x02hi".to_vec()),
        ("f1 unmasked ping".into(), b"\x89\x00".to_vec()),
        ("f2 rsv1".into(), frame(0xc1, b"hi")),
        ("f2 rsv2".into(), frame(0xa1, b"hi")),
        ("f2 rsv3".into(), frame(0x91, b"hi")),
        ("f2 rsv1 on a ping".into(), frame(0xc9, b"")),
        ("f4 ping of 126".into(), frame(0x89, &[0; 126])),
        ("f4 close of 126".into(), frame(0x88, &[b'x'; 126])),
        ("f4 ping in fragments".into(), frame(0x09, b"")),
        ("f4 close in fragments".into(), frame(0x08, b"\x03\xe8")),
        (
            "f5 five in 16 bits".into(),
            odd(&[0x81, 0x80 | 126, 0, 5], 5),
        ),
        (
            "f5 125 in 16 bits".into(),
            odd(&[0x82, 0x80 | 126, 0, 125], 125),
        ),
        (
            "f5 five in 64 bits".into(),
            odd(&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 5], 5),
        ),
        (
            "f5 64 KiB - 1 in 64 bits".into(),
            odd(&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 255, 255], 0),
        ),
        (
            "f5 the highest bit".into(),
            odd(&[0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 1], 0),
        ),
    ];
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push((format!("f3 opcode {opcode:x}"), frame(0x80 | opcode, b"")));
    }
    for (what, bytes) in cases {
        assert_eq!(code_for(&server, &bytes).await, 1002, "{what}");
    }
}

async fn f6_a_length_over_the_limit_is_1009_before_its_payload(variant: Variant) {
    let server = TestServer::start(variant).await;
    for length in [64 * 1024 + 1, 1u64 << 40, (1 << 63) - 1] {
        let head = [&[0x82, 0x80 | 127], &length.to_be_bytes()[..]].concat();
        assert_eq!(code_for(&server, &odd(&head, 0)).await, 1009, "{length}");
    }
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    let largest = vec![b'x'; 64 * 1024];
    ws.binary(&largest).await;
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.data == largest));
}

async fn f7_a_body_that_never_comes_keeps_nothing_alive_for_ever(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.ws.ping = Duration::from_millis(200);
        config.ws.timeout = Duration::from_millis(200);
        config.http.body_timeout = Duration::from_millis(400);
    })
    .await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.send(&odd(&[0x82, 0x80 | 126, 0xff, 0xff], 1_000)).await;
    // The ping falls into the middle of our own frame: it cannot be answered.
    loop {
        match ws.frame().await {
            Ok(frame) if frame.opcode == 9 => {}
            Ok(frame) => {
                assert_eq!(frame.opcode, 8, "{frame:?}");
                let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
                assert!([1002, 1008, 3012].contains(&code), "{code}");
                return;
            }
            Err(ending) => panic!("no close frame: {ending:?}"),
        }
    }
}

async fn f7_a_message_that_drips_is_cut_and_many_quick_ones_are_not(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.ws.assembly_timeout = Duration::from_secs(1);
    })
    .await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    // Every packet ends in the middle of a message, for longer than one message
    // may take; each message is whole in time.
    let begun = std::time::Instant::now();
    let whole = odd(&[0x81, 0x80 | 2], 2);
    ws.send(&whole[..4]).await;
    while begun.elapsed() < Duration::from_secs(3) {
        let next: Vec<u8> = [&whole[4..], &whole[..4]].concat();
        ws.send(&next).await;
        let echoed = ws.frame().await.unwrap();
        assert_eq!(echoed.opcode, 1, "{echoed:?}");
    }
    // The last one never becomes whole: bytes that complete nothing do not help.
    let ending = loop {
        match ws.frame().await.unwrap() {
            frame if frame.opcode == 1 => {}
            frame => break frame,
        }
    };
    assert_eq!(ending.opcode, 8, "{ending:?}");
    assert_eq!(
        u16::from_be_bytes([ending.payload[0], ending.payload[1]]),
        1008
    );
}

async fn f8_binary_on_an_envelope_is_1003(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::envelope(server.addr, "/c/a").await;
    ws.binary(b"{\"data\":1}").await;
    assert_eq!(ws.closed().await.0, 1003);
}

async fn f9_a_flood_of_pings_gets_the_latest_pong_and_hurts_nobody(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut witness = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    const PINGS: u32 = 100_000;
    let mut block = Vec::new();
    for at in 0..PINGS {
        block.extend(frame(0x89, &at.to_be_bytes()));
    }
    // Nobody reads while they are sent: only the latest pong is kept, so the
    // server goes on reading and what it holds stays small.
    ws.wire.send(&block).await.unwrap();
    assert!(
        server.stats().outbox_peak < 64 * 1024,
        "{:?}",
        server.stats()
    );
    server.publish("a", "end").await;
    assert_eq!(witness.texts(1).await, ["end"]);
    let last = (PINGS - 1).to_be_bytes();
    let mut end = false;
    while !end || ws.pongs.last().map(Vec::as_slice) != Some(&last) {
        match ws.frame().await.unwrap() {
            pong if pong.opcode == 10 => ws.pongs.push(pong.payload),
            text => end |= text.payload == b"end",
        }
    }
    assert!(ws.pongs.is_sorted(), "pongs in the order of their pings");
}

async fn f10_unsolicited_pongs_are_ignored(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.send(&frame(0x8a, b"unasked").repeat(10_000)).await;
    ws.text("on").await;
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.text() == "on"));
}

async fn f11_frames_split_at_every_byte_are_the_same_frames(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    let long = "y".repeat(130);
    let stream = [
        frame(0x81, "h\u{e9}llo".as_bytes()),
        frame(0x01, b"frag"),
        frame(0x89, b"p"),
        frame(0x80, b"ment"),
        frame(0x82, long.as_bytes()),
    ]
    .concat();
    for at in 0..=stream.len() {
        let (first, second) = stream.split_at(at);
        ws.send(first).await;
        // Another connection's answer gives the first part time to arrive alone.
        server.publish("other", "x").await;
        ws.send(second).await;
        for expected in ["h\u{e9}llo", "fragment", &long] {
            let said = ws.next().await;
            assert!(
                matches!(&said, Said::Heard(heard) if heard.text() == expected),
                "{at}: {said:?}"
            );
        }
    }
}

async fn f12_what_follows_a_close_frame_is_ignored(variant: Variant) {
    let server = TestServer::start(variant).await;
    let bytes = [
        close(1000, b"bye"),
        frame(0x81, b"ghost"),
        close(1001, b""),
        frame(0xff, b"junk"),
    ];
    assert_eq!(code_for(&server, &bytes.concat()).await, 1000);
}

async fn f13_empty_text_frames_are_messages(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    let bytes = frame(0x81, b"").repeat(2_000);
    ws.send(&[bytes, frame(0x81, b"end")].concat()).await;
    for at in 0..2_000 {
        let said = ws.next().await;
        assert!(
            matches!(&said, Said::Heard(heard) if heard.data.is_empty()),
            "{at}: {said:?}"
        );
    }
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.text() == "end"));
}

async fn g1_g2_fragments_out_of_place_are_1002(variant: Variant) {
    let server = TestServer::start(variant).await;
    let cases = [
        ("g1 continuation alone", frame(0x80, b"x")),
        ("g1 unfinished continuation alone", frame(0x00, b"x")),
        (
            "g1 after a whole message",
            [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x80, b"c")].concat(),
        ),
        (
            "g2 text inside text",
            [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
        ),
        (
            "g2 binary inside text",
            [frame(0x01, b"a"), frame(0x02, b"b")].concat(),
        ),
    ];
    for (what, bytes) in cases {
        let mut ws = Ws::open(server.addr, "/c/other", &[]).await;
        ws.send(&bytes).await;
        assert_eq!(ws.closed().await.0, 1002, "{what}");
    }
}

async fn g3_a_ping_between_fragments_is_answered_at_once(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.send(&[frame(0x01, b"one "), frame(0x89, b"mid")].concat())
        .await;
    let pong = ws.frame().await.unwrap();
    assert_eq!(
        (pong.opcode, pong.payload.as_slice()),
        (10, b"mid".as_slice())
    );
    ws.send(&[frame(0x00, b""), frame(0x80, b"two")].concat())
        .await;
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.text() == "one two"));
}

async fn g4_g5_too_many_fragments_are_1009(variant: Variant) {
    let server = TestServer::with(variant, |config| config.ws.max_fragments = 8).await;
    for payload in [b"x".as_slice(), b""] {
        let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
        let fits = [
            frame(0x01, payload),
            frame(0x00, payload).repeat(6),
            frame(0x80, payload),
        ];
        ws.send(&fits.concat()).await;
        assert!(
            matches!(ws.next().await, Said::Heard(heard) if heard.data.len() == 8 * payload.len())
        );
        ws.send(&[frame(0x01, payload), frame(0x00, payload).repeat(8)].concat())
            .await;
        assert_eq!(ws.closed().await.0, 1009);
    }
}

async fn g6_fragments_over_the_limit_are_1009_at_the_crossing_one(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    let half = vec![b'x'; 32 * 1024];
    ws.send(&[frame(0x01, &half), frame(0x80, &half)].concat())
        .await;
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.data.len() == 64 * 1024));
    ws.send(&[frame(0x01, &half), frame(0x00, &half), frame(0x00, b"x")].concat())
        .await;
    assert_eq!(ws.closed().await.0, 1009);
}

async fn g7_a_close_in_mid_message_discards_it(variant: Variant) {
    let server = TestServer::start(variant).await;
    let bytes = [frame(0x01, b"never whole"), close(1000, b"")].concat();
    assert_eq!(code_for(&server, &bytes).await, 1000);
}

fn not_utf8() -> Vec<Vec<u8>> {
    [
        b"ok \xff bad".as_slice(),
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
    ]
    .map(<[u8]>::to_vec)
    .into()
}

async fn u1_text_that_is_not_utf8_is_1007(variant: Variant) {
    let server = TestServer::start(variant).await;
    for text in not_utf8() {
        assert_eq!(
            code_for(&server, &frame(0x81, &text)).await,
            1007,
            "{text:?}"
        );
        let (first, second) = text.split_at(text.len() / 2);
        let split = [frame(0x01, first), frame(0x80, second)].concat();
        assert_eq!(
            code_for(&server, &split).await,
            1007,
            "{text:?} in two frames"
        );
    }
    // It is told before the message is whole.
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.send(&frame(0x01, b"\xff")).await;
    assert_eq!(ws.closed().await.0, 1007);
}

async fn u2_a_character_split_over_frames_is_delivered(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    let text = "a\u{1f600}\u{e9}\u{2028}\u{0}z";
    for at in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(at);
        ws.send(&[frame(0x01, first), frame(0x80, second)].concat())
            .await;
        assert!(
            matches!(ws.next().await, Said::Heard(heard) if heard.text() == text),
            "{at}"
        );
    }
}

async fn u3_a_close_reason_that_is_not_utf8_is_1007(variant: Variant) {
    let server = TestServer::start(variant).await;
    for reason in not_utf8() {
        assert_eq!(
            code_for(&server, &close(1000, &reason)).await,
            1007,
            "{reason:?}"
        );
    }
}

async fn c1_c2_bad_close_codes_are_1002(variant: Variant) {
    let server = TestServer::start(variant).await;
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        assert_eq!(code_for(&server, &close(code, b"")).await, 1002, "{code}");
    }
    assert_eq!(
        code_for(&server, &frame(0x88, b"\x03")).await,
        1002,
        "one byte"
    );
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        assert_eq!(
            code_for(&server, &close(code, b"why")).await,
            code,
            "is echoed"
        );
    }
}

async fn c3_an_empty_close_is_answered(variant: Variant) {
    let server = TestServer::start(variant).await;
    let code = code_for(&server, &frame(0x88, b"")).await;
    assert!([1000, 1005].contains(&code), "{code}");
}

async fn c4_a_peer_that_never_echoes_is_let_go(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.ws.close_wait = Duration::from_millis(200);
    })
    .await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.send(&frame(0x83, b"")).await;
    assert!(matches!(ws.next().await, Said::Closed(1002, _)));
    let (rest, _) = ws.wire.rest().await;
    assert_eq!(rest, b"");
}

async fn c5_c6_a_fin_or_a_reset_lets_the_subscriber_go(variant: Variant) {
    let server = TestServer::start(variant).await;
    let gone = async |what: &str| {
        until(what, || (server.stats().subscribers == 0).then_some(())).await;
    };
    for target in ["/c/a", "/c/a?format=envelope"] {
        let mut ws = Ws::open(server.addr, target, &[]).await;
        ws.wire.finish().await;
        gone("c6: the half-closed one to be gone").await;
        // The server's side ends too, and nothing more is written.
        server.publish("a", "late").await;
        let (rest, _) = ws.wire.rest().await;
        assert!(!rest.windows(4).any(|bytes| bytes == b"late"));
        let ws = Ws::open(server.addr, target, &[]).await;
        drop(ws);
        gone("c5: the reset one to be gone").await;
    }
}
