#![allow(clippy::unwrap_used)]
use super::*;

/// What a server may send: settings, a ping, an answer in two pieces, a
/// refusal, a reset.
fn stream() -> Vec<u8> {
    let mut wire = Vec::new();
    frame(&mut wire, SETTINGS, 0, 0, 6);
    wire.extend_from_slice(&[0, 4, 0, 0, 0, 8]);
    frame(&mut wire, PING, 0, 0, 8);
    wire.extend_from_slice(b"12345678");
    // A new size of the table, 200, and a field.
    frame(&mut wire, HEADERS, END_HEADERS, 1, 6);
    wire.extend_from_slice(&[0x20, 0x88, 0x00, 1, b'a', 0]);
    frame(&mut wire, DATA, 0, 1, 5);
    wire.extend_from_slice(b"hello");
    frame(&mut wire, DATA, END_STREAM, 1, 6);
    wire.extend_from_slice(b" world");
    // 403, spelled out in Huffman's code.
    frame(&mut wire, HEADERS, END_HEADERS | END_STREAM, 3, 5);
    wire.extend_from_slice(&[0x48, 0x83, 0x68, 0x0c, 0xff]);
    frame(&mut wire, RST_STREAM, 0, 5, 4);
    wire.extend_from_slice(&8_u32.to_be_bytes());
    wire
}

fn asking() -> Http2 {
    let mut http2 = Http2::new(true);
    for id in [10, 30, 50] {
        http2
            .request(id, b"GET /c/x HTTP/1.1\r\nHost: a:1\r\nAccept: b\r\n\r\n")
            .unwrap();
    }
    http2.out.clear();
    http2
}

/// The events of pieces.
fn events(pieces: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
    let (events, read) = told(pieces.iter().copied());
    assert!(read);
    events
}

#[test]
fn frames_say_the_same_wherever_the_stream_is_cut() {
    let wire = stream();
    let whole = events(&[&wire]);
    let names: Vec<&str> = whole.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "Settled",
            "Head { id: 10, status: 200 }",
            "body 10",
            "End { id: 10 }",
            "Head { id: 30, status: 403 }",
            "End { id: 30 }",
            "Reset { id: 50 }"
        ]
    );
    assert_eq!(whole[2].1, b"hello world");
    for cut in 1..wire.len() {
        assert_eq!(events(&[&wire[..cut], &wire[cut..]]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(events(&bytes), whole);
}

#[test]
fn settings_and_pings_are_answered() {
    let mut http2 = asking();
    let mut at = 0;
    let wire = stream();
    while http2.next(&wire, &mut at).unwrap().is_some() {}
    let mut wanted = Vec::new();
    frame(&mut wanted, SETTINGS, ACK, 0, 0);
    frame(&mut wanted, PING, ACK, 0, 8);
    wanted.extend_from_slice(b"12345678");
    assert_eq!(http2.out, wanted);
}

#[test]
fn a_body_waits_for_its_window_and_goes_on_with_it() {
    let mut http2 = asking();
    let body = vec![b'x'; 100_000];
    let head = "POST /c/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    http2
        .request(70, &[head.as_bytes(), &body].concat())
        .unwrap();
    let sent = |out: &[u8]| {
        let (mut at, mut bytes, mut ended) = (0, 0, false);
        while at < out.len() {
            let len = u32::from_be_bytes([0, out[at], out[at + 1], out[at + 2]]) as usize;
            if out[at + 3] == DATA {
                bytes += len;
                ended |= out[at + 4] & END_STREAM != 0;
            }
            at += HEAD + len;
        }
        (bytes, ended)
    };
    assert_eq!(sent(&http2.out), (65_535, false));
    http2.out.clear();
    for stream in [0, 7] {
        let mut more = Vec::new();
        window_update(&mut more, stream, 60_000);
        let mut at = 0;
        assert_eq!(http2.next(&more, &mut at).unwrap(), None);
    }
    assert_eq!(sent(&http2.out), (100_000 - 65_535, true));
}

#[test]
fn a_websocket_is_asked_for_by_extended_connect() {
    let mut http2 = Http2::new(false);
    http2.out.clear();
    let text = "GET /c/x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n\r\n";
    http2.request(1, text.as_bytes()).unwrap();
    let has = |part: &[u8]| memchr::memmem::find(&http2.out, part).is_some();
    assert!(has(
        b"\x02\x07CONNECT\x86\x04\x04/c/x\x01\x01a\x00\x09:protocol\x09websocket"
    ));
    assert!(has(b"\x00\x15sec-websocket-version\x0213"));
    assert!(!has(b"abc") && !has(b"upgrade"));
    assert_eq!(http2.out[4] & END_STREAM, 0, "frames follow");
}

#[test]
fn what_is_not_read_here_is_an_error_and_never_a_panic() {
    for (kind, flags, body) in [
        (HEADERS, 0, &b"\x88"[..]),
        (HEADERS, END_HEADERS | PADDED, b"\x00\x88"),
        (HEADERS, END_HEADERS, b""),
        (HEADERS, END_HEADERS, b"\x48\x83\xff\xff\xff"),
        (HEADERS, END_HEADERS | PRIORITY, b"\x88"),
        (HEADERS, END_HEADERS, b"\x3f\xff\xff"),
        (DATA, PADDED, b"x"),
    ] {
        let mut wire = Vec::new();
        frame(&mut wire, kind, flags, 1, body.len());
        wire.extend_from_slice(body);
        assert!(
            asking().next(&wire, &mut 0).is_err(),
            "{kind} {flags} {body:?}"
        );
    }
    assert!(asking().next(b"HTTP/1.1 400 Bad Request", &mut 0).is_err());
}
