//! Engine.IO by itself: sessions that say back what they hear. Every case of the official
//! protocol suite, and what it leaves out.

use std::time::Duration;

use fanwire::Config;
use fanwire_tests::engineio::{Polling, SEPARATOR, ended, open_ws, text};
use fanwire_tests::http::{self, Http, request};
use fanwire_tests::server::{ECHO, TestServer, Variant};
use fanwire_tests::wire::Ending;
use fanwire_tests::ws::{Ws, frame};

use crate::table::{modes, once};

modes!(
    a_session_opens_by_polling_and_by_websocket,
    messages_come_back_by_polling,
    messages_come_back_by_websocket,
    pings_come_and_are_answered_on_both,
    e17_without_a_pong_the_session_ends_on_both,
    the_client_says_goodbye_on_both,
    a_session_moves_to_a_websocket,
    e9_a_session_that_has_moved_takes_no_more_requests,
    e10_an_upgrade_that_is_not_finished_leaves_polling_whole,
    e5_more_than_max_payload_is_refused_on_both,
    e7_what_is_no_packet_ends_the_session,
    bursts_come_back_whole_and_in_order_across_an_upgrade,
    sessions_leave_nothing_behind,
);

once!(
    e1_requests_that_fit_no_protocol_are_refused_by_number,
    e2_an_unknown_sid_is_code_1,
    e3_a_second_poll_ends_the_session,
    e3_a_poll_cut_off_ends_the_session,
    e4_a_second_post_ends_the_session,
    e6_a_body_of_too_many_packets_ends_the_session,
    e8_bytes_are_not_posted_in_version_4,
    o1_foreign_pages_are_refused_and_allowed_ones_may_read_errors,
    z1_a_server_that_stops_says_goodbye_to_sessions,
    over_tls_and_http2_it_is_the_same,
);

fn quick(config: &mut Config) {
    config.socketio.ping_interval = Duration::from_millis(100);
    config.socketio.ping_timeout = Duration::from_secs(5);
}

async fn a_session_opens_by_polling_and_by_websocket(variant: Variant) {
    let server = TestServer::start(variant).await;
    let polling = Polling::open(server.addr, ECHO).await;
    let (_ws, open) = open_ws(server.addr, ECHO).await;
    for (open, upgrades) in [(&polling.open, 1), (&open, 0)] {
        let members = open.as_object().unwrap();
        assert_eq!(members.len(), 5, "{open}");
        assert!(open["sid"].as_str().unwrap().len() >= 22, "{open}");
        assert_eq!(open["upgrades"].as_array().unwrap().len(), upgrades);
        assert_eq!(open["pingInterval"], 25_000);
        assert_eq!(open["pingTimeout"], 20_000);
        assert_eq!(open["maxPayload"], 1_000_000);
    }
    assert_ne!(polling.sid, open["sid"].as_str().unwrap());
}

async fn messages_come_back_by_polling(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let answer = polling.post("4hello").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let answer = polling.get().await;
    assert_eq!(answer.text(), "4hello");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    polling.post("4one\u{1e}4zwei ä\u{1e}bAQIDBA==").await;
    assert_eq!(polling.packets(3).await, ["4one", "4zwei ä", "bAQIDBA=="]);
    // A poll that waits is answered when something comes.
    polling.begin().await;
    polling.post("4later").await;
    assert_eq!(polling.polled().await.text(), "4later");
}

async fn messages_come_back_by_websocket(variant: Variant) {
    let server = TestServer::start(variant).await;
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    ws.text("4hello").await;
    assert_eq!(text(&mut ws).await, "4hello");
    let bytes = vec![7; 70_000];
    ws.binary(&bytes).await;
    let frame = ws.frame().await.unwrap();
    assert_eq!((frame.opcode, frame.payload), (2, bytes));
    // WebSocket's own ping beside the packets.
    ws.send(&super::engineio::frame(0x89, b"x")).await;
    let pong = ws.frame().await.unwrap();
    assert_eq!((pong.opcode, pong.payload), (10, b"x".to_vec()));
}

async fn pings_come_and_are_answered_on_both(variant: Variant) {
    let server = TestServer::with(variant, quick).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    for _ in 0..3 {
        assert_eq!(polling.get().await.text(), "2");
        assert_eq!(polling.post("3").await.text(), "ok");
        assert_eq!(text(&mut ws).await, "2");
        ws.text("3").await;
    }
}

async fn e17_without_a_pong_the_session_ends_on_both(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.socketio.ping_interval = Duration::from_millis(50);
        config.socketio.ping_timeout = Duration::from_millis(50);
    })
    .await;
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    assert_eq!(text(&mut ws).await, "2");
    ended(&mut ws).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    assert_eq!(polling.get().await.text(), "2");
    let last = polling.get().await;
    assert_eq!((last.status, last.text().as_str()), (200, "1"));
    refused(&polling.get().await, 400, 1);
    // A client's ping is what version 3 did.
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    ws.text("2").await;
    ended(&mut ws).await;
}

fn refused(answer: &http::Answer, status: u16, code: u64) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["code"], code, "{}", answer.text());
}

async fn the_client_says_goodbye_on_both(variant: Variant) {
    let server = TestServer::start(variant).await;
    // Whichever of the two is there first.
    let mut polling = Polling::open(server.addr, ECHO).await;
    polling.begin().await;
    assert_eq!(polling.post("1").await.text(), "ok");
    assert_eq!(polling.polled().await.text(), "6");
    refused(&polling.get().await, 400, 1);
    let mut polling = Polling::open(server.addr, ECHO).await;
    assert_eq!(polling.post("1").await.text(), "ok");
    assert_eq!(polling.get().await.text(), "6");
    refused(&polling.get().await, 400, 1);
    refused(&polling.post("4x").await, 400, 1);
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    ws.text("1").await;
    ended(&mut ws).await;
}

async fn moved(polling: &mut Polling) -> Ws {
    let mut ws = polling.socket().await;
    ws.text("2probe").await;
    assert_eq!(text(&mut ws).await, "3probe");
    ws.text("5").await;
    ws
}

async fn a_session_moves_to_a_websocket(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let mut ws = polling.socket().await;
    polling.begin().await;
    ws.text("2probe").await;
    assert_eq!(text(&mut ws).await, "3probe");
    // The poll that waits is let go, and so is one that comes now.
    assert_eq!(polling.polled().await.text(), "6");
    assert_eq!(polling.get().await.text(), "6");
    ws.text("5").await;
    ws.text("4hello").await;
    assert_eq!(text(&mut ws).await, "4hello");
}

async fn e9_a_session_that_has_moved_takes_no_more_requests(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let mut ws = moved(&mut polling).await;
    ws.text("4first").await;
    assert_eq!(text(&mut ws).await, "4first");
    refused(&polling.get().await, 400, 3);
    refused(&polling.post("4hello").await, 400, 3);
    let mut second = polling.socket().await;
    ended(&mut second).await;
    ws.text("4still here").await;
    assert_eq!(text(&mut ws).await, "4still here");
}

async fn e10_an_upgrade_that_is_not_finished_leaves_polling_whole(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.socketio.upgrade_timeout = Duration::from_millis(50);
    })
    .await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    // Probed and cut; never probed; probed and silent; something else than a probe.
    let mut cut = polling.socket().await;
    cut.text("2probe").await;
    assert_eq!(text(&mut cut).await, "3probe");
    polling.post("4one").await;
    drop(cut);
    assert_eq!(polling.packets(1).await, ["4one"]);
    for (say, silent) in [("", true), ("2probe", true), ("4hello", false)] {
        let mut ws = open_candidate(&polling).await;
        if !say.is_empty() {
            ws.text(say).await;
        }
        if silent && !say.is_empty() {
            assert_eq!(text(&mut ws).await, "3probe");
            polling.post("4between").await;
        }
        ended(&mut ws).await;
    }
    assert_eq!(polling.packets(1).await, ["4between"]);
    // And then one that is.
    let mut ws = moved_when_free(&mut polling).await;
    ws.text("4hello").await;
    assert_eq!(text(&mut ws).await, "4hello");
}

/// A WebSocket that may try: the one before it has been noticed as gone.
async fn open_candidate(polling: &Polling) -> Ws {
    loop {
        let mut ws = polling.socket().await;
        ws.text("").await;
        // An empty frame is no packet: this one was free to try, and is dropped.
        if ended(&mut ws).await.is_some() {
            break;
        }
    }
    polling.socket().await
}

async fn moved_when_free(polling: &mut Polling) -> Ws {
    loop {
        let mut ws = polling.socket().await;
        ws.text("2probe").await;
        match ws.frame().await {
            Ok(frame) if frame.opcode == 1 => {
                assert_eq!(frame.payload, b"3probe");
                ws.text("5").await;
                return ws;
            }
            _ => {}
        }
    }
}

async fn e5_more_than_max_payload_is_refused_on_both(variant: Variant) {
    let server = TestServer::with(variant, |config| config.socketio.max_payload = 1000).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let most = format!("4{}", "x".repeat(999));
    assert_eq!(polling.post(&most).await.text(), "ok");
    assert_eq!(polling.packets(1).await, [most]);
    let answer = polling.post(&"4".repeat(1001)).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    // The session goes on.
    let mut again = polling.again().await;
    assert_eq!(again.post("4small").await.text(), "ok");
    assert_eq!(again.packets(1).await, ["4small"]);
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    let most = format!("4{}", "x".repeat(1000));
    ws.text(&most).await;
    assert_eq!(text(&mut ws).await, most);
    ws.text(&format!("{most}x")).await;
    assert_eq!(ended(&mut ws).await, Some(1009));
}

async fn e7_what_is_no_packet_ends_the_session(variant: Variant) {
    let server = TestServer::start(variant).await;
    for body in [
        "abc",
        "7",
        "9x",
        "\u{1e}\u{1e}\u{1e}",
        "b!!",
        "4ok\u{1e}",
        "",
    ] {
        let mut polling = Polling::open(server.addr, ECHO).await;
        refused(&polling.post(body).await, 400, 3);
        refused(&polling.get().await, 400, 1);
    }
    for packet in ["abc", "7", "0", "2probe", "3probe", ""] {
        let (mut ws, _) = open_ws(server.addr, ECHO).await;
        ws.text(packet).await;
        ended(&mut ws).await;
    }
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    ws.send(&frame(0x81, b"\xff")).await;
    assert_eq!(ended(&mut ws).await, Some(1007));
}

async fn bursts_come_back_whole_and_in_order_across_an_upgrade(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let numbered = |from: usize, to: usize| (from..to).map(|n| format!("4{n}")).collect::<Vec<_>>();
    polling
        .post(&numbered(0, 1000).join(&SEPARATOR.to_string()))
        .await;
    assert_eq!(polling.packets(500).await[..500], numbered(0, 500)[..]);
    polling
        .post(&numbered(1000, 1500).join(&SEPARATOR.to_string()))
        .await;
    let mut ws = polling.socket().await;
    ws.text("2probe").await;
    assert_eq!(text(&mut ws).await, "3probe");
    polling
        .post(&numbered(1500, 2000).join(&SEPARATOR.to_string()))
        .await;
    // What polls bring now is still in its place.
    let answer = polling.get().await.text();
    let mut got: Vec<String> = match answer.as_str() {
        "6" => Vec::new(),
        text => text.split(SEPARATOR).map(str::to_owned).collect(),
    };
    ws.text("5").await;
    for message in numbered(2000, 3000) {
        ws.text(&message).await;
    }
    let missing = got.first().map_or(0, |first| first[1..].parse().unwrap());
    while got.last().map(String::as_str) != Some("42999") {
        got.push(text(&mut ws).await);
    }
    // The first answer held what was there of the first thousand.
    assert_eq!(got, numbered(missing.max(first_number(&got)), 3000));
}

fn first_number(got: &[String]) -> usize {
    got[0][1..].parse().unwrap()
}

async fn sessions_leave_nothing_behind(variant: Variant) {
    let server = TestServer::with(variant, quick).await;
    let before = server.stats().subscribers;
    let mut polling = Polling::open(server.addr, ECHO).await;
    polling.post("1").await;
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    ws.text("1").await;
    ended(&mut ws).await;
    drop(ws);
    let mut polling = Polling::open(server.addr, ECHO).await;
    let ws = moved(&mut polling).await;
    drop(ws);
    fanwire_tests::wait::until("sessions to be forgotten", || {
        (server.stats().subscribers == before).then_some(())
    })
    .await;
}

async fn e1_requests_that_fit_no_protocol_are_refused_by_number(variant: Variant) {
    let server = TestServer::start(variant).await;
    let ask = async |method: &str, query: &str| {
        let target = format!("{ECHO}{query}");
        Http::connect(server.addr)
            .await
            .ask(method, &target, &[], b"")
            .await
    };
    for query in [
        "?transport=polling",
        "?EIO=abc&transport=polling",
        "?EIO=3&transport=polling",
        "?EIO=5&transport=polling",
    ] {
        refused(&ask("GET", query).await, 400, 5);
    }
    for query in ["", "?EIO=4", "?EIO=4&transport=abc"] {
        refused(&ask("GET", query).await, 400, 0);
    }
    for method in ["POST", "PUT", "DELETE"] {
        refused(&ask(method, "?EIO=4&transport=polling").await, 400, 2);
    }
    refused(&ask("GET", "?EIO=4&transport=websocket").await, 400, 3);
    refused(&ask("GET", "?EIO=4&EIO=4&transport=polling").await, 400, 3);
    assert_eq!(
        http::get(server.addr, "/engine.io?EIO=4", &[]).await.status,
        404
    );
    for query in [
        "?transport=websocket",
        "?EIO=abc&transport=websocket",
        "?EIO=4&transport=abc",
    ] {
        let opened = Ws::try_open(server.addr, &format!("{ECHO}{query}"), &[]).await;
        assert_eq!(opened.unwrap().err().unwrap().status, 400, "{query}");
    }
}

async fn e2_an_unknown_sid_is_code_1(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    polling.sid = "x".repeat(24);
    refused(&polling.get().await, 400, 1);
    refused(&polling.post("4x").await, 400, 1);
    let opened = Ws::try_open(server.addr, &polling.upgrade(), &[]).await;
    assert_eq!(opened.unwrap().err().unwrap().status, 400);
}

async fn e3_a_second_poll_ends_the_session(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    polling.begin().await;
    // The first one is there once what it would bring is let go by the second.
    let mut second = polling.again().await;
    second.begin().await;
    let (one, two) = tokio::join!(polling.polled(), second.polled());
    let (first, second) = match one.status {
        200 => (one, two),
        _ => (two, one),
    };
    assert_eq!((first.status, first.text().as_str()), (200, "1"));
    refused(&second, 400, 3);
    refused(&polling.get().await, 400, 1);
}

async fn e3_a_poll_cut_off_ends_the_session(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    polling.begin().await;
    polling.abort().await;
    fanwire_tests::wait::within("the session to end", async {
        // Nothing that would answer the poll.
        while polling.post("6").await.status == 200 {}
    })
    .await;
    refused(&polling.get().await, 400, 1);
}

async fn e4_a_second_post_ends_the_session(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let mut slow = Http::connect(server.addr).await;
    let host = server.addr.to_string();
    let head = request(
        "POST",
        &polling.target(),
        &[
            ("Host", host.as_bytes()),
            ("Content-Length", b"6"),
            ("Expect", b"100-continue"),
        ],
        b"",
    );
    // What asks to go on has been taken.
    slow.wire.send(&head).await.unwrap();
    let mut asked = slow.wire.line().await;
    while matches!(&asked, Ok(line) if !line.starts_with(b"HTTP/1.1 100")) {
        asked = slow.wire.line().await;
    }
    asked.unwrap();
    refused(&polling.post("4x").await, 400, 3);
    refused(&polling.get().await, 400, 1);
}

async fn e6_a_body_of_too_many_packets_ends_the_session(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let many = vec!["6"; 400_000].join(&SEPARATOR.to_string());
    refused(&polling.post(&many).await, 400, 3);
    refused(&polling.get().await, 400, 1);
}

async fn e8_bytes_are_not_posted_in_version_4(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let answer = http::post(
        server.addr,
        &polling.target(),
        &[("Content-Type", "application/octet-stream")],
        b"4x",
    )
    .await;
    refused(&answer, 400, 3);
    refused(&polling.get().await, 400, 1);
}

async fn o1_foreign_pages_are_refused_and_allowed_ones_may_read_errors(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.allow_origins = vec!["https://good.example".to_owned()];
        config.access.allow_credentials = true;
    })
    .await;
    let target = format!("{ECHO}?EIO=4&transport=polling");
    let foreign = [("Origin", "https://evil.example")];
    let answer = http::get(server.addr, &target, &foreign).await;
    refused(&answer, 403, 4);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let opened = Ws::try_open(
        server.addr,
        "/engine.io/?EIO=4&transport=websocket",
        &[("Origin", b"https://evil.example")],
    )
    .await;
    assert_eq!(opened.unwrap().err().unwrap().status, 403);
    let good = [("Origin", "https://good.example")];
    for target in [target.as_str(), "/engine.io/?EIO=4"] {
        let answer = http::get(server.addr, target, &good).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://good.example"), "{target}");
        let credentials = answer.header("access-control-allow-credentials");
        assert_eq!(credentials, Some("true"));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let asks = [
        good[0],
        ("Access-Control-Request-Headers", "x-mine, content-type"),
    ];
    let mut http = Http::connect(server.addr).await;
    let answer = http.ask("OPTIONS", &target, &asks, b"").await;
    assert_eq!(answer.status, 204);
    let headers = answer.header("access-control-allow-headers");
    assert_eq!(headers, Some("x-mine, content-type"));
    let answer = http.ask("OPTIONS", &target, &foreign, b"").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-headers"), None);
}

async fn z1_a_server_that_stops_says_goodbye_to_sessions(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    let (mut ws, _) = open_ws(server.addr, ECHO).await;
    polling.begin().await;
    // The poll waits: what comes after it is answered.
    assert_eq!(polling.post("4x").await.text(), "ok");
    assert_eq!(polling.polled().await.text(), "4x");
    polling.begin().await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(ended(&mut ws).await, Some(1012));
    match polling.polled().await.text().as_str() {
        "1" => {}
        // It had not begun to wait.
        other => assert!(other.contains("code"), "{other}"),
    }
    stopping.await.unwrap();
}

async fn over_tls_and_http2_it_is_the_same(_: Variant) {
    let server = TestServer::start(Variant::MEMORY_TLS).await;
    let mut polling = Polling::open(server.addr, ECHO).await;
    polling.post("4hello").await;
    assert_eq!(polling.packets(1).await, ["4hello"]);
    let mut ws = moved(&mut polling).await;
    let bytes = vec![1; 200_000];
    ws.binary(&bytes).await;
    assert_eq!(ws.frame().await.unwrap().payload, bytes);
    let plain = TestServer::start(Variant::MEMORY).await;
    let mut http2 = Http::connect2(plain.addr).await;
    let target = format!("{ECHO}?EIO=4&transport=polling");
    let open = http2.ask("GET", &target, &[], b"").await.text();
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let target = format!("{target}&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(
        http2.ask("POST", &target, &[], b"4hello").await.text(),
        "ok"
    );
    assert_eq!(http2.ask("GET", &target, &[], b"").await.text(), "4hello");
    let lost: Result<_, Ending> = http2.try_ask("GET", "/engine.io/?EIO=4", &[], b"").await;
    assert_eq!(lost.unwrap().status, 400);
}
