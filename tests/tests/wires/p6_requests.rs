//! P6 Bounded, in a request: each limit at its value and one past it. Which
//! test holds which row of the table of defaults:
//!
//! | default | test |
//! |---|---|
//! | history per channel 1,000 messages | `p6_history_keeps_1000_messages_and_not_one_more` |
//! | … 1 MiB, 10 min | `p6_history_is_bounded_in_bytes`, `p6_history_is_bounded_in_age` |
//! | log per node 256 MiB | `p6_the_log_of_the_node_is_bounded_and_the_oldest_goes` |
//! | channel records 1,000,000 | `p6_a_forgotten_channel_is_told_as_a_gap` |
//! | outbox 256 KiB, ring 16 MiB | `p5_*`; the ring is core's |
//! | message 64 KiB | `p6_a_message_has_64_kib` |
//! | channels 16 per URL, targets 16 | `p6_a_url_names_16_channels` |
//! | name 255 B | `p6_a_channel_name_has_255_bytes` |
//! | event name, key, idempotency key 255 B | `p6_event_names_and_keys_have_255_bytes` |
//! | poll `wait` 0–55 s (25) | `p6_wait_is_capped_and_has_a_default` |
//! | `limit` 100, at most 1,000 | `p6_limit_is_100_and_at_most_1000` |
//! | poll answer 256 KiB | `p6_a_poll_answer_has_256_kib` |
//! | header 32 KiB, headers 100 | `p6_a_head_has_32_kib_and_100_headers` |
//! | header 10 s, handshake 10 s | `x1_*`, `h8_*` |
//! | ping 25 s, time-out 20 s | `alive_*` |
//! | connections 100,000 and 100 per IP | `p6_connections_*` |
//! | idempotency 100,000 and 10,000 keys | `p4_one_key_past_a_limit_*` |
//! | except 100, reads under way 256, publish credit | core's: no request can name them |

use fanwire_tests::http::{self, Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::{Heard, Said};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::ws::Ws;

use crate::table::{modes, once};

once!(
    p6_a_channel_name_has_255_bytes,
    p6_a_url_names_16_channels,
    p6_event_names_and_keys_have_255_bytes,
    p6_limit_is_100_and_at_most_1000,
    p6_a_poll_answer_has_256_kib,
    p6_a_head_has_32_kib_and_100_headers,
    p6_a_target_has_its_own_limit,
    p6_wait_is_capped_and_has_a_default,
    p6_rewind_is_0_to_1000,
    j1_json_is_nested_128_deep_and_not_129,
);
modes!(
    p6_a_message_has_64_kib,
    p6_refused_frames_close_at_the_11th,
    p6_a_ref_is_bounded,
);

async fn p6_a_message_has_64_kib(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let full = "x".repeat(64 * 1024);
    let over = "x".repeat(64 * 1024 + 1);
    server.publish("a", &full).await;
    server
        .post("a", &[], over.as_bytes())
        .await
        .refused(413, "too_large");
    // Without a length it is told as soon as it is seen.
    let head = "POST /c/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{:x}\r\n{over}\r\n0\r\n\r\n", over.len());
    http::raw(server.addr, chunked.as_bytes())
        .await
        .unwrap()
        .refused(413, "too_large");
    let chunked = format!("{head}{:x}\r\n{full}\r\n0\r\n\r\n", full.len());
    http::raw(server.addr, chunked.as_bytes())
        .await
        .unwrap()
        .id();
    // A declared length is enough; no byte of it is waited for.
    let declared = "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n";
    http::raw(server.addr, declared.as_bytes())
        .await
        .unwrap()
        .refused(413, "too_large");
    let mut raw = Ws::open(server.addr, "/c/a", &[]).await;
    raw.text(&full).await;
    raw.text(&over).await;
    assert_eq!(raw.closed().await.0, 1009);
    server.publish("a", "end").await;
    let sizes: Vec<usize> = listener
        .texts_until("end")
        .await
        .iter()
        .map(String::len)
        .collect();
    assert_eq!(sizes, [64 * 1024; 3]);
    // In an envelope it is the data that counts.
    let mut ws = Ws::envelope(server.addr, "/c/b").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    let data = "x".repeat(60 * 1024);
    ws.text(&format!(r#"{{"data":"{data}","kind":"text","ref":1}}"#))
        .await;
    loop {
        match ws.next().await {
            Said::Reply(reply) => break assert_eq!(reply["event"], "$ack"),
            Said::Heard(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn p6_a_channel_name_has_255_bytes(variant: Variant) {
    let server = TestServer::start(variant).await;
    let (full, over) = ("n".repeat(255), "n".repeat(256));
    server.publish(&full, "x").await;
    let refusal = server
        .post(&over, &[], b"x")
        .await
        .refused(400, "invalid_channel");
    assert_eq!(refusal["channel"].as_str(), Some(over.as_str()));
    server.get(&over, &[]).await.refused(400, "invalid_channel");
    // Bytes count, not characters nor their escapes.
    let wide = "%C3%A9".repeat(127);
    server.publish(&format!("{wide}x"), "x").await;
    server
        .post(&format!("{wide}xx"), &[], b"x")
        .await
        .refused(400, "invalid_channel");
    let (space, wider) = ("s".repeat(64), "s".repeat(65));
    server.publish(&format!("{space}:{full}"), "x").await;
    server
        .post(&format!("{wider}:a"), &[], b"x")
        .await
        .refused(400, "invalid_channel");
}

async fn p6_a_url_names_16_channels(variant: Variant) {
    let server = TestServer::start(variant).await;
    let names: Vec<String> = (0..17).map(|at| format!("c{at}")).collect();
    let (full, over) = (names[..16].join(","), names.join(","));
    let id = server.publish(&full, "to all").await;
    let (said, _) = poll::read(&server.get(&format!("{full}?after=earliest"), &[]).await);
    assert!(matches!(&said[..], [Said::Heard(Heard { id: Some(heard), .. })] if *heard == id));
    server
        .get(&over, &[])
        .await
        .refused(400, "too_many_channels");
    server
        .post(&over, &[], b"x")
        .await
        .refused(400, "too_many_channels");
    let query: String = names
        .iter()
        .map(|name| format!("channel={name}&"))
        .collect();
    http::get(server.addr, &format!("/c?{query}"), &[])
        .await
        .refused(400, "too_many_channels");
    // A name given twice counts once.
    server.get(&format!("{full},c0,c1"), &[]).await.json();
    assert_eq!(server.get(&format!("{full},c0,c1"), &[]).await.status, 200);
}

async fn p6_event_names_and_keys_have_255_bytes(variant: Variant) {
    let server = TestServer::start(variant).await;
    let (full, over) = ("k".repeat(255), "k".repeat(256));
    server.publish(&format!("a?event={full}"), "x").await;
    server
        .post(&format!("a?event={over}"), &[], b"x")
        .await
        .refused(400, "invalid_event");
    server
        .post("a?event=", &[], b"x")
        .await
        .refused(400, "invalid_event");
    server.publish(&format!("a?key={full}"), "x").await;
    server
        .post(&format!("a?key={over}"), &[], b"x")
        .await
        .refused(400, "bad_request");
    let keyed = async |key: &str| server.post("a", &[("Idempotency-Key", key)], b"x").await;
    keyed(&full).await.id();
    keyed(&over).await.refused(400, "bad_request");
    keyed("").await.refused(400, "bad_request");
}

async fn p6_limit_is_100_and_at_most_1000(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::envelope(server.addr, "/c/a").await;
    for at in 0..1_001 {
        let reference = if at == 1_000 { ",\"ref\":1" } else { "" };
        ws.text(&format!("{{\"data\":{at}{reference}}}")).await;
    }
    while !matches!(ws.next().await, Said::Reply(_)) {}
    let answer = async |query: &str| {
        let (said, cursor) = poll::read(&server.get(&format!("a{query}"), &[]).await);
        let texts: Vec<String> = said
            .into_iter()
            .filter_map(|said| match said {
                Said::Heard(heard) => Some(heard.text()),
                _ => None,
            })
            .collect();
        (texts, cursor)
    };
    let numbers = |from: usize, to: usize| (from..to).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(answer("").await.0, numbers(901, 1_001), "the newest 100");
    assert_eq!(answer("?limit=1").await.0, numbers(1_000, 1_001));
    assert_eq!(answer("?limit=1000").await.0, numbers(1, 1_001));
    for more in ["1001", "1000000000", "99999999999999999999999999"] {
        assert_eq!(
            answer(&format!("?limit={more}")).await.0,
            numbers(1, 1_001),
            "x11 {more}"
        );
    }
    // From the oldest held, in pages.
    let (first, cursor) = answer("?after=earliest&limit=600").await;
    assert_eq!(first, numbers(1, 601));
    let (second, cursor) = answer(&format!("?after={cursor}&limit=600")).await;
    assert_eq!(second, numbers(601, 1_001));
    let (third, again) = answer(&format!("?after={cursor}&limit=600")).await;
    assert_eq!((third.len(), again), (0, cursor));
    for bad in ["0", "-1", "x", "", "1.5", "+1", "1e3"] {
        server
            .get(&format!("a?limit={bad}"), &[])
            .await
            .refused(400, "bad_request");
    }
}

async fn p6_a_poll_answer_has_256_kib(variant: Variant) {
    let server = TestServer::start(variant).await;
    let text = "x".repeat(40_000);
    let mut expected = Vec::new();
    for at in 0..20 {
        expected.push(server.publish("a", &format!("{at}{text}")).await);
    }
    let mut heard = Vec::new();
    let mut cursor = "earliest".to_owned();
    for wait in ["", "&wait=20"].into_iter().cycle() {
        let answer = server
            .get(&format!("a?limit=1000&after={cursor}{wait}"), &[])
            .await;
        assert!(
            answer.body.len() <= 256 * 1024,
            "{} bytes",
            answer.body.len()
        );
        let (said, next) = poll::read(&answer);
        assert!(!said.is_empty());
        heard.extend(said.into_iter().map(|said| match said {
            Said::Heard(heard) => heard.id.unwrap(),
            other => panic!("{other:?}"),
        }));
        cursor = next;
        if heard.len() == expected.len() {
            break;
        }
    }
    assert_eq!(heard, expected);
}

async fn p6_a_head_has_32_kib_and_100_headers(variant: Variant) {
    let server = TestServer::start(variant).await;
    let head = |bytes: usize| {
        let empty = request(
            "GET",
            "/healthz",
            &[("Host", b"localhost"), ("X-Fill", b"")],
            b"",
        );
        let fill = vec![b'x'; bytes - empty.len()];
        request(
            "GET",
            "/healthz",
            &[("Host", b"localhost"), ("X-Fill", &fill)],
            b"",
        )
    };
    assert_eq!(
        http::raw(server.addr, &head(32 * 1024))
            .await
            .unwrap()
            .status,
        200
    );
    let over = http::raw(server.addr, &head(32 * 1024 + 1)).await.unwrap();
    over.refused(431, "headers_too_large");
    let many = |count: usize| {
        let mut headers: Vec<(&str, &[u8])> = vec![("Host", b"localhost")];
        headers.extend(std::iter::repeat_n(("X-H", b"1".as_slice()), count - 1));
        request("GET", "/healthz", &headers, b"")
    };
    assert_eq!(
        http::raw(server.addr, &many(100)).await.unwrap().status,
        200
    );
    let over = http::raw(server.addr, &many(101)).await.unwrap();
    over.refused(431, "headers_too_large");
}

async fn p6_a_target_has_its_own_limit(variant: Variant) {
    let server = TestServer::with(variant, |config| config.http.uri_bytes = 1_000).await;
    let target = |bytes: usize| format!("/c/a?x={}", "y".repeat(bytes - 7));
    assert_eq!(
        http::get(server.addr, &target(1_000), &[]).await.status,
        200
    );
    http::get(server.addr, &target(1_001), &[])
        .await
        .refused(414, "uri_too_long");
}

async fn p6_wait_is_capped_and_has_a_default(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.poll.wait = std::time::Duration::from_millis(50);
        config.poll.wait_max = std::time::Duration::from_millis(100);
    })
    .await;
    let id = server.publish("a", "held").await;
    // Each of these would wait longer than a test does, without the cap.
    for wait in [
        "wait",
        "wait=",
        "wait=0",
        "wait=55",
        "wait=56",
        "wait=3600",
        "wait=99999999999999999999",
    ] {
        let (said, cursor) = poll::read(&server.get(&format!("a?{wait}"), &[]).await);
        assert_eq!((said.len(), cursor), (0, id.clone()), "l5 {wait}");
    }
    for bad in ["-1", "x", "1.5", "1e2", "+1", "%20"] {
        server
            .get(&format!("a?wait={bad}"), &[])
            .await
            .refused(400, "bad_request");
    }
}

async fn p6_rewind_is_0_to_1000(variant: Variant) {
    let server = TestServer::start(variant).await;
    server.publish("a", "x").await;
    for good in ["0", "1", "1000"] {
        let answer = server.get(&format!("a?wait=0&rewind={good}"), &[]).await;
        assert_eq!(
            poll::read(&answer).0.len(),
            usize::from(good != "0"),
            "{good}"
        );
    }
    for bad in ["1001", "-1", "x", "", "1.0"] {
        server
            .get(&format!("a?wait=0&rewind={bad}"), &[])
            .await
            .refused(400, "bad_request");
    }
}

async fn j1_json_is_nested_128_deep_and_not_129(variant: Variant) {
    let server = TestServer::start(variant).await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let json = [("Content-Type", "application/json")];
    server.post("a", &json, nested(128).as_bytes()).await.id();
    for depth in [129, 30_000] {
        server
            .post("a", &json, nested(depth).as_bytes())
            .await
            .refused(400, "invalid_body");
    }
    let mut ws = Ws::envelope(server.addr, "/c/a").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws.text(&format!("{{\"data\":{}}}", nested(30_000))).await;
    let Said::Reply(reply) = ws.next().await else {
        panic!("no $error")
    };
    assert_eq!(reply["event"], "$error");
}

async fn p6_refused_frames_close_at_the_11th(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::envelope(server.addr, "/c/a").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    for at in 0..10 {
        ws.text("not json").await;
        let Said::Reply(reply) = ws.next().await else {
            panic!("{at}")
        };
        assert_eq!(
            (&reply["event"], &reply["code"]),
            (&"$error".into(), &"bad_request".into())
        );
        assert!(
            reply["message"].as_str().is_some_and(|text| text.len() > 8),
            "{reply}"
        );
        // What is right is still carried out.
        ws.text("{\"data\":1}").await;
        assert!(matches!(ws.next().await, Said::Heard(_)));
    }
    ws.text("{").await;
    assert_eq!(ws.closed().await.0, 3509);
}

async fn p6_a_ref_is_bounded(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::envelope(server.addr, "/c/a").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    let (full, over) = ("r".repeat(64), "r".repeat(65));
    for (reference, fits) in [
        (format!("\"{full}\""), true),
        (format!("\"{over}\""), false),
        ("9007199254740991".into(), true),
        ("9007199254740992".into(), false),
        ("-1".into(), false),
        ("1.5".into(), false),
        ("[1]".into(), false),
    ] {
        ws.text(&format!("{{\"data\":1,\"ref\":{reference}}}"))
            .await;
        loop {
            match ws.next().await {
                Said::Reply(reply) => {
                    let event = if fits { "$ack" } else { "$error" };
                    break assert_eq!(reply["event"], event, "{reference}");
                }
                Said::Heard(_) => {}
                other => panic!("{reference}: {other:?}"),
            }
        }
    }
    let mut http = Http::connect(server.addr).await;
    assert_eq!(
        http.ask("GET", "/healthz", &[], b"").await.text().trim(),
        "ok"
    );
}
