//! Cleartext HTTP/2 beside HTTP/1.1 (RFC 9113): how it begins, what a request
//! is there, how streams and connections end. (The promises themselves run over
//! it in the table; its bounds are in `http2_bounds`.)

use std::time::Duration;

use fanwire::config::Network;
use fanwire_tests::frames::{
    DATA, ENABLE_CONNECT_PROTOCOL, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PREFACE, RST_STREAM,
    SETTINGS,
};
use fanwire_tests::http::{self, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::until;
use fanwire_tests::wire::{Ending, Wire};

use crate::table::once;

once!(
    the_first_bytes_decide_however_they_come,
    x1_a_preface_that_stands_still_is_cut,
    an_upgrade_to_h2c_is_ignored,
    publishes_polls_and_history_are_as_over_http_1,
    refusals_are_as_over_http_1,
    host_and_authority_are_one_thing,
    h13_connect_opens_a_websocket_or_is_refused,
    a_head_over_the_limits_is_431,
    a_reset_ends_exactly_that_stream,
    whoever_hangs_up_lets_all_its_streams_go,
    z1_a_shutdown_ends_the_streams_and_then_the_connection,
    a_connection_over_the_limit_is_told_so_and_closed,
    r1_behind_a_proxy_streams_count_for_the_address_forwarded,
    a_connection_without_streams_is_closed_when_its_time_is_over,
);

async fn the_first_bytes_decide_however_they_come(variant: Variant) {
    let server = TestServer::start(variant).await;
    // Byte by byte, the first request at once behind it.
    let mut frames = Frames::open(server.addr, &[]).await;
    let mut wire = Wire::connect(server.addr).await;
    for byte in PREFACE {
        wire.send(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    wire.send(&Frame::written(SETTINGS, 0, 0, b""))
        .await
        .unwrap();
    frames.wire = wire;
    let stream = frames.get("/healthz").await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 200);
    assert_eq!(frames.wait_for(DATA, stream).await.payload, b"ok");
    // All in one packet.
    let mut wire = Wire::connect(server.addr).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let block = fanwire_tests::frames::block(&frames.request("GET", "/healthz"));
    let all = [
        PREFACE.to_vec(),
        Frame::written(SETTINGS, 0, 0, b""),
        Frame::written(HEADERS, 5, 1, &block),
    ];
    wire.send(&all.concat()).await.unwrap();
    frames.wire = wire;
    assert_eq!(frames.wait_for(HEADERS, 1).await.status(), 200);
    // A method that begins like it.
    let mut http = Http::connect(server.addr).await;
    for byte in format!(
        "POST /c/a HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\n\r\nx",
        server.addr
    )
    .bytes()
    {
        http.wire.send(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    http.answer().await.unwrap().id();
}

async fn x1_a_preface_that_stands_still_is_cut(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.first_byte_timeout = Duration::from_millis(300);
        config.http.header_timeout = Duration::from_millis(300);
    })
    .await;
    let (said, ending) = Wire::connect(server.addr).await.rest().await;
    assert_eq!((said.len(), ending), (0, Ending::Fin), "no byte, no word");
    for part in [1, 3, 23] {
        let mut http = Http::connect(server.addr).await;
        http.wire.send(&PREFACE[..part]).await.unwrap();
        let answer = http.answer().await.unwrap();
        answer.refused(408, "request_timeout");
    }
    // The preface alone, and a SETTINGS frame that is not whole.
    for rest in [&b""[..], &b"\0\0\x06\x04\0\0\0\0\0\0"[..]] {
        let mut frames = Frames::open(server.addr, &[]).await;
        let mut wire = Wire::connect(server.addr).await;
        wire.send(&[PREFACE, rest].concat()).await.unwrap();
        frames.wire = wire;
        // An acknowledgement would be a frame.
        frames.polite = false;
        let (all, ending) = frames.rest().await;
        let last = all.last().unwrap();
        assert_eq!((last.kind, last.code(), ending), (GOAWAY, 0xb, Ending::Fin));
    }
    until("the connections to be counted out", || {
        (server.connections() == 0).then_some(())
    })
    .await;
}

async fn an_upgrade_to_h2c_is_ignored(variant: Variant) {
    let server = TestServer::start(variant).await;
    let headers = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
    ];
    let answer = http::get(server.addr, "/healthz", &headers).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.header("upgrade"), None);
}

async fn publishes_polls_and_history_are_as_over_http_1(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.body_timeout = Duration::from_millis(300);
    })
    .await;
    let mut http = Http::connect2(server.addr).await;
    let mut listener = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    let json = [("Content-Type", "application/json")];
    let id = http
        .ask("POST", "/c/a?event=x", &json, b"{\"a\":1}")
        .await
        .id();
    let heard = listener.message().await;
    assert_eq!((heard.id, heard.event.as_str()), (Some(id.clone()), "x"));
    let largest = vec![b'x'; server.config.limits.message];
    http.ask("POST", "/c/a", &[], &largest).await.id();
    let history = http.ask("GET", "/c/a", &[], b"").await;
    assert_eq!(history.header("cache-control"), Some("no-store"));
    let (said, cursor) = fanwire_tests::poll::read(&history);
    assert_eq!(said.len(), 2);
    // An answer larger than every window on its way.
    for _ in 0..6 {
        http.ask("POST", "/c/a", &[], &largest).await.id();
    }
    let target = format!("/c/a?wait=20&after={id}&limit=1000");
    let (said, _) = fanwire_tests::poll::read(&http.ask("GET", &target, &[], b"").await);
    assert!(said.len() >= 3, "{}", said.len());
    let target = format!("/c/a?wait=0&after={cursor}&limit=1");
    let (said, _) = fanwire_tests::poll::read(&http.ask("GET", &target, &[], b"").await);
    assert_eq!(said.len(), 1);
    assert!(
        http.ask("GET", "/", &[], b"")
            .await
            .text()
            .contains("<html")
    );
    let options = http.ask("OPTIONS", "/c/a", &[], b"").await;
    assert_eq!(options.header("allow"), Some("GET, POST, OPTIONS"));
    // A HEAD has the length of an answer and no body.
    let mut frames = Frames::open(server.addr, &[]).await;
    let head = frames.request("HEAD", "/c/a");
    let stream = frames.head(&head, END_STREAM).await;
    let answer = frames.wait_for(HEADERS, stream).await;
    assert_eq!(
        (answer.status(), answer.flags & END_STREAM),
        (405, END_STREAM)
    );
}

async fn refusals_are_as_over_http_1(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.body_timeout = Duration::from_millis(300);
        config.http.uri_bytes = 2_000;
    })
    .await;
    let mut http = Http::connect2(server.addr).await;
    for (method, target, headers, status, code) in [
        ("GET", "/no", &[][..], 404, "not_found"),
        ("PUT", "/c/a", &[], 405, "method_not_allowed"),
        ("GET", "/c/@nobody", &[], 400, "invalid_channel"),
        ("GET", "/c/a?format=x", &[], 400, "bad_request"),
        (
            "POST",
            "/c/a",
            &[("Origin", "http://evil.example")],
            403,
            "origin_denied",
        ),
        (
            "GET",
            "/c/a",
            &[("Host", "evil.example")],
            403,
            "host_denied",
        ),
        (
            "GET",
            "/c/a",
            &[("Via", "1.1 x")],
            403,
            "proxy_unconfigured",
        ),
        (
            "GET",
            "/c/a",
            &[("Authorization", "Bearer x")],
            401,
            "unauthorized",
        ),
    ] {
        let answer = http.ask(method, target, headers, b"").await;
        answer.refused(status, code);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let long = format!("/c/a?x={}", "x".repeat(2_000));
    http.ask("GET", &long, &[], b"")
        .await
        .refused(414, "uri_too_long");
    let large = vec![b'x'; server.config.limits.message + 1];
    http.ask("POST", "/c/a", &[], &large)
        .await
        .refused(413, "too_large");
    let origin = [("Origin", "http://localhost:5173")];
    let answer = http.ask("GET", "/c/a", &origin, b"").await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some(origin[0].1)
    );
    // A body that is not sent, on one stream; another one is not held up.
    let mut frames = Frames::open(server.addr, &[]).await;
    let post = frames.request("POST", "/c/a");
    let slow = frames.head(&post, 0).await;
    let quick = frames.get("/healthz").await;
    assert_eq!(frames.wait_for(HEADERS, quick).await.status(), 200);
    assert_eq!(frames.wait_for(HEADERS, slow).await.status(), 408);
    // One that is longer than it says.
    let mut post = frames.request("POST", "/c/a");
    post.push(("content-length".into(), "1".into()));
    let stream = frames.head(&post, 0).await;
    frames.send(DATA, END_STREAM, stream, b"four").await;
    frames.wait_for(RST_STREAM, stream).await;
    assert!(
        server
            .get("a", &[])
            .await
            .text()
            .contains("\"messages\":[]")
    );
}

async fn host_and_authority_are_one_thing(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let whole = frames.request("GET", "/healthz");
    let with = |name: &str, value: &str| {
        let mut headers = whole.clone();
        headers.push((name.into(), value.into()));
        headers
    };
    let without = |mut headers: Vec<(String, String)>| {
        headers.retain(|(name, _)| name != ":authority");
        headers
    };
    let own = server.addr.to_string();
    let user = with("x", "y")
        .into_iter()
        .map(|(name, value)| match name.as_str() {
            ":authority" => (name, format!("user@{value}")),
            _ => (name, value),
        });
    for (headers, status) in [
        (with("host", &own), 200),
        (without(with("host", &own)), 200),
        (with("host", "localhost"), 400),
        (without(whole.clone()), 400),
        (without(with("host", "evil.example")), 403),
        (user.collect(), 400),
    ] {
        let stream = frames.head(&headers, END_STREAM).await;
        let answer = frames.wait_for(HEADERS, stream).await;
        assert_eq!(answer.status(), status, "{headers:?}");
    }
    // What speaks of a connection makes a request malformed (8.2.2).
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"),
    ] {
        let stream = frames.head(&with(name, value), END_STREAM).await;
        let reset = frames.wait_for(RST_STREAM, stream).await;
        assert_eq!(reset.code(), 1, "{name}");
    }
    let stream = frames.get("/healthz").await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 200);
}

async fn h13_connect_opens_a_websocket_or_is_refused(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let settings = frames.wait_for(SETTINGS, 0).await.settings();
    let offered = settings
        .iter()
        .any(|(name, value)| *name == ENABLE_CONNECT_PROTOCOL && *value == 1);
    assert!(offered, "{settings:?}");
    let authority = server.addr.to_string();
    let plain = [(":method", "CONNECT"), (":authority", authority.as_str())];
    let stream = frames.head(&plain, 0).await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 400);
    let extended = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", authority.as_str()),
        (":path", "/c/a"),
        ("sec-websocket-version", "13"),
    ];
    let stream = frames.head(&extended, 0).await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 200);
    for (name, value, status) in [
        (":protocol", "connect-udp", 400),
        ("sec-websocket-version", "8", 426),
        (":path", "/c/a?format=sse", 400),
        (":path", "/healthz", 400),
        (":path", "/nowhere", 404),
    ] {
        let changed = extended.map(|(old, was)| (old, if old == name { value } else { was }));
        let stream = frames.head(&changed, 0).await;
        let answered = frames.wait_for(HEADERS, stream).await.status();
        assert_eq!(answered, status, "{name} {value}");
    }
    // As over HTTP/1.1: another page's, another host's, and beyond a limit.
    let mut foreign = extended.to_vec();
    foreign.push(("origin", "https://evil.example"));
    let stream = frames.head(&foreign, 0).await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 403);
    let hosted = extended.map(|(name, was)| {
        (
            name,
            if name == ":authority" {
                "evil.example"
            } else {
                was
            },
        )
    });
    let stream = frames.head(&hosted, 0).await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 403);
    let stream = frames.get("/healthz").await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 200);
}

async fn a_head_over_the_limits_is_431(variant: Variant) {
    let server = TestServer::with(variant, |config| config.http.header_bytes = 8 * 1024).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let long = "x".repeat(9_000);
    for extra in [
        vec![("long".to_owned(), long)],
        (0..101)
            .map(|at| (format!("h{at}"), "x".to_owned()))
            .collect(),
    ] {
        let mut headers = frames.request("GET", "/healthz");
        headers.extend(extra);
        let stream = frames.head(&headers, END_STREAM).await;
        assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 431);
    }
    let stream = frames.get("/healthz").await;
    assert_eq!(frames.wait_for(HEADERS, stream).await.status(), 200);
}

async fn subscribers(server: &TestServer, count: usize) {
    until("so many subscribers", || {
        (server.stats().subscribers == count).then_some(())
    })
    .await;
}

async fn a_reset_ends_exactly_that_stream(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let first = frames.get("/c/a?format=sse").await;
    frames.text_until(first, "\n\n").await;
    let second = frames.get("/c/a?format=sse").await;
    frames.text_until(second, "\n\n").await;
    let poll = frames.get("/c/a?wait=20").await;
    subscribers(&server, 3).await;
    frames.send(RST_STREAM, 0, first, &8u32.to_be_bytes()).await;
    subscribers(&server, 2).await;
    frames.send(RST_STREAM, 0, poll, &8u32.to_be_bytes()).await;
    subscribers(&server, 1).await;
    server.publish("a", "still").await;
    frames.text_until(second, "data: still\n\n").await;
    until("the publisher's connection to be gone", || {
        (server.connections() == 1).then_some(())
    })
    .await;
}

async fn whoever_hangs_up_lets_all_its_streams_go(variant: Variant) {
    let server = TestServer::start(variant).await;
    for hang_up in [true, false] {
        let mut frames = Frames::open(server.addr, &[]).await;
        for _ in 0..5 {
            let stream = frames.get("/c/a?format=sse").await;
            frames.text_until(stream, "\n\n").await;
            frames.get("/c/a?wait=20").await;
        }
        subscribers(&server, 10).await;
        if hang_up {
            frames.wire.finish().await;
        } else {
            drop(frames);
        }
        subscribers(&server, 0).await;
    }
    until("the connections to be counted out", || {
        (server.connections() == 0).then_some(())
    })
    .await;
}

async fn z1_a_shutdown_ends_the_streams_and_then_the_connection(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let sse = frames.get("/c/a?format=sse").await;
    frames.text_until(sse, "\n\n").await;
    let poll = frames.get("/c/a?wait=20").await;
    subscribers(&server, 2).await;
    let ((all, ending), stopped) = tokio::join!(frames.rest(), server.stop());
    assert_eq!(stopped.cut, 0);
    assert_eq!(ending, Ending::Fin);
    let of = |kind, stream| {
        let mut all = all
            .iter()
            .filter(move |frame: &&Frame| frame.kind == kind && frame.stream == stream);
        all.next_back()
    };
    assert_eq!(
        of(DATA, sse).unwrap().flags & END_STREAM,
        END_STREAM,
        "whole"
    );
    assert!([200, 503].contains(&of(HEADERS, poll).unwrap().status()));
    let goaway = of(GOAWAY, 0).unwrap();
    assert_eq!((goaway.code(), goaway.last_stream()), (0, poll));
}

async fn a_connection_over_the_limit_is_told_so_and_closed(variant: Variant) {
    let server = TestServer::with(variant, |config| config.limits.connections = 1).await;
    let mut first = Frames::open(server.addr, &[]).await;
    let stream = first.get("/c/a?format=sse").await;
    first.text_until(stream, "\n\n").await;
    let mut second = Frames::open(server.addr, &[]).await;
    let stream = second.get("/c/a?format=sse").await;
    let (all, ending) = second.rest().await;
    // GOAWAY may overtake the answer.
    let of = |kind| all.iter().find(move |frame: &&Frame| frame.kind == kind);
    let answer = all
        .iter()
        .find(|frame| frame.kind == HEADERS && frame.stream == stream);
    assert_eq!(answer.unwrap().status(), 200);
    assert!(of(DATA).unwrap().payload.starts_with(b"retry: "));
    assert_eq!((of(GOAWAY).unwrap().code(), ending), (0, Ending::Fin));
    let mut third = Frames::open(server.addr, &[]).await;
    let stream = third.get("/c/a").await;
    assert_eq!(third.wait_for(HEADERS, stream).await.status(), 429);
    assert_eq!(third.rest().await.1, Ending::Fin);
    server.stop().await;
}

async fn r1_behind_a_proxy_streams_count_for_the_address_forwarded(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.open = true;
        config.access.proxies = vec![Network::parse("127.0.0.1").unwrap()];
        config.limits.connections_per_ip = 2;
    })
    .await;
    let mut frames = Frames::open(server.addr, &[]).await;
    let mut whole = frames.request("GET", "/c/a?format=sse");
    whole.push(("x-forwarded-for".into(), "203.0.113.1".into()));
    let mut poll = frames.request("GET", "/c/a?wait=20");
    poll.push(("x-forwarded-for".into(), "203.0.113.1".into()));
    let first = frames.head(&whole, END_STREAM).await;
    frames.text_until(first, "\n\n").await;
    frames.head(&poll, END_STREAM).await;
    subscribers(&server, 2).await;
    let third = frames.head(&whole, END_STREAM).await;
    let put_off = frames.text_until(third, "\n\n").await;
    assert!(
        put_off.starts_with("retry: ") && !put_off.contains("$ready"),
        "{put_off}"
    );
    frames.send(RST_STREAM, 0, first, &8u32.to_be_bytes()).await;
    subscribers(&server, 1).await;
    let fourth = frames.head(&whole, END_STREAM).await;
    assert!(frames.text_until(fourth, "\n\n").await.contains("$ready"));
}

async fn a_connection_without_streams_is_closed_when_its_time_is_over(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.keep_alive = Duration::from_millis(400);
        config.http.header_timeout = Duration::from_millis(400);
        config.http.first_byte_timeout = Duration::from_millis(400);
    })
    .await;
    let mut busy = Frames::open(server.addr, &[]).await;
    let stream = busy.get("/c/a?format=sse").await;
    busy.text_until(stream, "\n\n").await;
    for asks in [true, false] {
        let mut idle = Frames::open(server.addr, &[]).await;
        if asks {
            let stream = idle.get("/healthz").await;
            idle.wait_for(DATA, stream).await;
        }
        let (all, ending) = idle.rest().await;
        let goaway = all.iter().find(|frame| frame.kind == GOAWAY).unwrap();
        assert_eq!((goaway.code(), ending), (0, Ending::Fin));
    }
    // One that listens is not idle, however quiet it is.
    server.publish("a", "still").await;
    busy.text_until(stream, "data: still\n\n").await;
}
