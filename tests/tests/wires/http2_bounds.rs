//! What a peer can do to a server by HTTP/2 alone, and where it ends.

use std::time::Duration;

use fanwire_tests::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS,
    INITIAL_WINDOW_SIZE, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
};
use fanwire_tests::http;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::until;

use crate::table::once;

/// Error codes (RFC 9113, 7).
const FLOW_CONTROL: u32 = 3;
const REFUSED: u32 = 7;
const CANCEL: u32 = 8;
const CALM: u32 = 0xb;

once!(
    one_stream_more_than_allowed_is_refused_alone,
    x1_a_header_block_that_never_ends_is_cut,
    x1_a_data_frame_that_never_ends_is_cut,
    a_flood_of_continuations_ends_the_connection,
    a_flood_of_resets_ends_the_connection,
    a_flood_of_pings_settings_or_empty_frames_ends_the_connection,
    opening_windows_for_what_is_read_is_no_flood,
    p5_a_stream_whose_window_stays_shut_is_reset_alone,
    p5_an_answer_that_nobody_takes_is_reset,
    p5_a_connection_that_takes_no_bytes_is_cut,
    x7_a_peer_that_does_not_answer_pings_is_cut,
    windows_that_overflow_end_the_stream_or_the_connection,
    broken_frames_end_their_connection_alone,
);

async fn is_well(server: &TestServer) {
    let answer = http::get(server.addr, "/healthz", &[]).await;
    assert_eq!(answer.status, 200);
    until("its streams to be gone", || {
        (server.stats().subscribers == 0).then_some(())
    })
    .await;
    until("its connection to be gone", || {
        (server.connections() == 0).then_some(())
    })
    .await;
}

/// The GOAWAY that ended the connection.
async fn goaway(frames: &mut Frames) -> Frame {
    let (all, _) = frames.rest().await;
    let goaway = all.into_iter().rev().find(|frame| frame.kind == GOAWAY);
    goaway.expect("no GOAWAY")
}

async fn one_stream_more_than_allowed_is_refused_alone(variant: Variant) {
    let server = TestServer::with(variant, |config| config.http2.max_streams = 2).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let settings = frames.wait_for(SETTINGS, 0).await.settings();
    assert!(settings.contains(&(3, 2)), "{settings:?}");
    let first = frames.get("/c/a?format=sse").await;
    let second = frames.get("/c/a?format=sse").await;
    frames.text_until(first, "\n\n").await;
    let third = frames.get("/c/a?format=sse").await;
    assert_eq!(frames.wait_for(RST_STREAM, third).await.code(), REFUSED);
    server.publish("a", "on").await;
    frames.text_until(second, "data: on\n\n").await;
    frames
        .send(RST_STREAM, 0, second, &CANCEL.to_be_bytes())
        .await;
    let fourth = frames.get("/c/a?format=sse").await;
    frames.text_until(fourth, "\n\n").await;
}

async fn x1_a_header_block_that_never_ends_is_cut(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.header_timeout = Duration::from_millis(400);
    })
    .await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let sse = frames.get("/c/a?format=sse").await;
    frames.text_until(sse, "\n\n").await;
    let block = block(&frames.request("GET", "/healthz"));
    let stream = frames.number();
    let (first, rest) = block.split_at(5);
    frames.send(HEADERS, END_STREAM, stream, first).await;
    // The rest is dripped, byte by byte; the time runs from the first.
    let rest = Frame::written(CONTINUATION, END_HEADERS, stream, rest);
    let mut drip = rest[..rest.len() - 1].iter();
    let ended = loop {
        let more = tokio::time::timeout(Duration::from_millis(50), frames.next()).await;
        match more {
            Ok(Ok(frame)) if frame.kind == GOAWAY => break frame,
            Ok(other) => assert!(other.is_ok(), "{other:?}"),
            Err(_) => {
                if let Some(byte) = drip.next() {
                    let _ = frames.wire.send(&[*byte]).await;
                }
            }
        }
    };
    assert_eq!((ended.code(), ended.last_stream()), (CALM, stream));
    drop(frames);
    is_well(&server).await;
}

async fn x1_a_data_frame_that_never_ends_is_cut(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.body_timeout = Duration::from_millis(300);
    })
    .await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let post = frames.request("POST", "/c/a");
    let block = block(&post);
    let stream = frames.number();
    frames.send(HEADERS, END_HEADERS, stream, &block).await;
    let whole = Frame::written(DATA, END_STREAM, stream, &[b'x'; 100]);
    frames.wire.send(&whole[..50]).await.unwrap();
    assert_eq!(goaway(&mut frames).await.code(), CALM);
    is_well(&server).await;
}

async fn a_flood_of_continuations_ends_the_connection(variant: Variant) {
    let server = TestServer::start(variant).await;
    for payload in [&b""[..], &[0x10, 1, b'a', 1, b'b']] {
        let mut frames = Frames::open(server.addr, &[]).await;
        let stream = frames.number();
        frames.send(HEADERS, END_STREAM, stream, b"").await;
        let flood = Frame::written(CONTINUATION, 0, stream, payload).repeat(50_000);
        // The peer may be gone before it has taken all.
        let _ = frames.wire.send(&flood).await;
        assert_eq!(goaway(&mut frames).await.code(), CALM);
        is_well(&server).await;
    }
}

async fn a_flood_of_resets_ends_the_connection(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let block = block(&frames.request("GET", "/c/a?format=sse"));
    let mut flood = Vec::new();
    for _ in 0..20_000 {
        let stream = frames.number();
        flood.extend(Frame::written(
            HEADERS,
            END_HEADERS | END_STREAM,
            stream,
            &block,
        ));
        flood.extend(Frame::written(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    let _ = frames.wire.send(&flood).await;
    assert_eq!(goaway(&mut frames).await.code(), CALM);
    is_well(&server).await;
}

async fn a_flood_of_pings_settings_or_empty_frames_ends_the_connection(variant: Variant) {
    let server = TestServer::start(variant).await;
    let flood = server.config.http2.overhead_frames * 4;
    for (kind, payload) in [
        (PING, &[7; 8][..]),
        (SETTINGS, &[]),
        (WINDOW_UPDATE, &[0, 0, 0, 1]),
        (2, &[0, 0, 0, 3, 9]),
        (0x77, b"unknown"),
        (DATA, &[]),
    ] {
        let mut frames = Frames::open(server.addr, &[]).await;
        let post = frames.request("POST", "/c/a");
        let stream = frames.head(&post, 0).await;
        let on = match kind {
            PING | SETTINGS | WINDOW_UPDATE => 0,
            _ => stream,
        };
        let _ = frames
            .wire
            .send(&Frame::written(kind, 0, on, payload).repeat(flood))
            .await;
        assert_eq!(goaway(&mut frames).await.code(), CALM, "{kind}");
        is_well(&server).await;
    }
}

async fn opening_windows_for_what_is_read_is_no_flood(variant: Variant) {
    let server = TestServer::with(variant, |config| config.http2.overhead_frames = 50).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let stream = frames.get("/c/a?format=sse").await;
    frames.text_until(stream, "\n\n").await;
    for at in 0..200 {
        server.publish("a", &at.to_string()).await;
        let text = frames.text_until(stream, &format!("data: {at}\n\n")).await;
        let opened = (text.len() as u32).to_be_bytes();
        frames.send(WINDOW_UPDATE, 0, stream, &opened).await;
        frames.send(WINDOW_UPDATE, 0, 0, &opened).await;
    }
}

async fn p5_a_stream_whose_window_stays_shut_is_reset_alone(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.write_progress = Duration::from_millis(500);
    })
    .await;
    let mut frames = Frames::open(server.addr, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let shut = frames.get("/c/a?format=sse").await;
    let open = frames.get("/c/a?format=sse").await;
    frames
        .send(WINDOW_UPDATE, 0, open, &60_000u32.to_be_bytes())
        .await;
    frames.text_until(open, "\n\n").await;
    until("both", || (server.stats().subscribers == 2).then_some(())).await;
    // More than anything on the way holds: it falls behind and is let go.
    let reset = loop {
        server.publish("a", &"x".repeat(200)).await;
        let frame = frames.next().await.unwrap();
        if frame.kind == RST_STREAM {
            break frame;
        }
        assert!(frame.kind != DATA || frame.stream == open, "{frame:?}");
        if frame.kind == DATA {
            let read = (frame.payload.len() as u32).to_be_bytes();
            frames.send(WINDOW_UPDATE, 0, open, &read).await;
            frames.send(WINDOW_UPDATE, 0, 0, &read).await;
        }
    };
    assert_eq!((reset.stream, reset.code()), (shut, CANCEL));
    until("one", || (server.stats().subscribers == 1).then_some(())).await;
    server.publish("a", "still").await;
    frames.text_until(open, "data: still\n\n").await;
}

async fn p5_an_answer_that_nobody_takes_is_reset(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.write_progress = Duration::from_millis(300);
    })
    .await;
    let mut frames = Frames::open(server.addr, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let stream = frames.get("/healthz").await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 200);
    assert_eq!(frames.wait_for(RST_STREAM, stream).await.code(), CANCEL);
}

async fn p5_a_connection_that_takes_no_bytes_is_cut(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.write_progress = Duration::from_millis(600);
    })
    .await;
    let window = (1u32 << 31) - 1;
    let mut frames = Frames::open(server.addr, &[(INITIAL_WINDOW_SIZE, window)]).await;
    let opened = (window - 65_535).to_be_bytes();
    frames.send(WINDOW_UPDATE, 0, 0, &opened).await;
    let stream = frames.get("/c/a?format=sse").await;
    frames.text_until(stream, "\n\n").await;
    until("it", || (server.stats().subscribers == 1).then_some(())).await;
    let body = "x".repeat(60_000);
    let mut count = 0;
    while server.stats().subscribers == 1 {
        assert!(count < 2_000, "120 MB and the reader is not let go");
        server.publish("a", &body).await;
        count += 1;
    }
    is_well(&server).await;
    drop(frames);
}

async fn x7_a_peer_that_does_not_answer_pings_is_cut(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http2.ping = Duration::from_millis(200);
        // A polite peer may be without a core for a while, too.
        config.http2.timeout = Duration::from_secs(2);
    })
    .await;
    let mut polite = Frames::open(server.addr, &[]).await;
    let heard = polite.get("/c/a?format=sse").await;
    polite.text_until(heard, "\n\n").await;
    let mut silent = Frames::open(server.addr, &[]).await;
    silent.polite = false;
    let stream = silent.get("/c/b?format=sse").await;
    silent.text_until(stream, "\n\n").await;
    let (mut all, _) = tokio::join!(silent.rest(), async {
        for _ in 0..3 {
            polite.wait_for(PING, 0).await;
        }
    });
    all.0.retain(|frame| frame.kind == PING);
    assert_eq!(all.0.len(), 1);
    drop(silent);
    server.publish("a", "still").await;
    polite.text_until(heard, "data: still\n\n").await;
    drop(polite);
    is_well(&server).await;
}

async fn windows_that_overflow_end_the_stream_or_the_connection(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let most = ((1u32 << 31) - 1).to_be_bytes();
    let stream = frames.get("/c/a?format=sse").await;
    frames.text_until(stream, "\n\n").await;
    frames.send(WINDOW_UPDATE, 0, stream, &most).await;
    assert_eq!(
        frames.wait_for(RST_STREAM, stream).await.code(),
        FLOW_CONTROL
    );
    frames.send(WINDOW_UPDATE, 0, 0, &most).await;
    assert_eq!(goaway(&mut frames).await.code(), FLOW_CONTROL);
    is_well(&server).await;
}

async fn broken_frames_end_their_connection_alone(variant: Variant) {
    let server = TestServer::start(variant).await;
    let too_large = Frame::written(DATA, 0, 1, &[0; 16 * 1024 + 1]);
    for broken in [
        // Larger than allowed, not a SETTINGS, on stream 0, on an even stream,
        // a window opened by nothing, garbage in HPACK, a PING of 7 bytes.
        too_large,
        Frame::written(SETTINGS, 0, 1, b""),
        Frame::written(SETTINGS, 0, 0, b"12345"),
        Frame::written(HEADERS, END_HEADERS, 0, b""),
        Frame::written(HEADERS, END_HEADERS | END_STREAM, 2, b"\x82"),
        Frame::written(WINDOW_UPDATE, 0, 0, &[0; 4]),
        Frame::written(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 40]),
        Frame::written(PING, 0, 0, &[0; 7]),
        Frame::written(CONTINUATION, END_HEADERS, 1, b""),
        Frame::written(5, END_HEADERS, 1, &[0, 0, 0, 2]),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 64],
    ] {
        let mut frames = Frames::open(server.addr, &[]).await;
        println!("{:x?}", &broken[..9]); // Seen where this one is not refused.
        let _ = frames.wire.send(&broken).await;
        let ended = goaway(&mut frames).await;
        assert_ne!(ended.code(), 0, "{:x?}", &broken[..9]);
    }
    is_well(&server).await;
}
