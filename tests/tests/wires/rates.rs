//! How often (R4 to R7, F10, F13): who is too fast is refused as each transport's
//! stock client understands, is told when to come back, and hurts nobody else.

use std::time::Duration;

use fanwire::Config;
use fanwire::config::Network;
use fanwire_tests::http::{Answer, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;
use fanwire_tests::ws::{Ws, frame};

use crate::table::{modes, once};

once!(
    r5_connects_over_the_rate_are_told_so_and_others_come_in,
    r5_api_keys_are_not_measured_by_their_address,
    r5_each_request_on_a_kept_connection_is_charged_once,
    r5_whoever_the_rate_is_of_the_refusal_has_the_same_forms,
);
modes!(
    r5_messages_over_the_rate_are_refused_on_each_transport_and_others_go_on,
    r5_listening_over_the_rate_is_put_off_on_each_transport,
    f10_f13_empty_messages_and_pongs_count_and_end_with_3013,
);

/// Loopback is a proxy. One byte a second: whoever sends more owes the time for
/// it, so that no test depends on how fast it runs.
fn slow(config: &mut Config) {
    config.access.open = true;
    config.access.proxies = vec![Network::parse("127.0.0.1").unwrap()];
    config.rates.burst = Duration::from_secs(1);
    config.rates.messages_per_ip = 0;
    config.rates.connects_per_ip = 0;
    config.rates.subscribes_per_ip = 0;
    config.rates.bytes_per_ip = 0;
}

/// Refused for longer than the test runs, and at most `most` seconds.
#[track_caller]
fn too_fast(answer: &Answer, most: u64) {
    answer.refused(429, "rate_limited");
    let after = answer.header("retry-after").unwrap_or_default();
    let after: u64 = after.parse().unwrap();
    assert!((1..=most).contains(&after), "{after}");
}

async fn r5_messages_over_the_rate_are_refused_on_each_transport_and_others_go_on(
    variant: Variant,
) {
    let server = TestServer::with(variant, |config| {
        slow(config);
        config.rates.bytes_per_ip = 1;
    })
    .await;
    let body = [b'x'; 1000];
    let of = |text: &'static str| [("X-Forwarded-For", text)];
    // By POST, over both HTTPs: the address is what counts.
    let mut http = Http::connect(server.addr).await;
    http.ask("POST", "/c/a", &of("203.0.113.1"), &body)
        .await
        .id();
    for mut again in [http, Http::connect2(server.addr).await] {
        let refused = again.ask("POST", "/c/a", &of("203.0.113.1"), &body).await;
        too_fast(&refused, 1000);
        again
            .ask("POST", "/c/b", &of("203.0.113.9"), b"")
            .await
            .id();
    }

    // An envelope is told by its ref, and goes on listening.
    let from: [(&str, &[u8]); 2] = [
        ("X-Forwarded-For", b"203.0.113.2"),
        ("Sec-WebSocket-Protocol", b"fanwire.envelope"),
    ];
    let mut ws = Ws::open(server.addr, "/c/a", &from).await.enveloped(true);
    assert!(matches!(ws.next().await, Said::Ready(_)));
    let command = |n: u8| format!("{{\"data\":\"{}\",\"ref\":{n}}}", "x".repeat(1000));
    ws.text(&command(1)).await;
    assert!(matches!(ws.next().await, Said::Heard(_)));
    assert!(matches!(ws.next().await, Said::Reply(_)));
    ws.text(&command(2)).await;
    let Said::Reply(reply) = ws.next().await else {
        panic!("a reply was due");
    };
    assert_eq!(reply["event"], "$error", "{reply}");
    assert_eq!(reply["ref"], 2, "{reply}");
    assert_eq!(reply["code"], "rate_limited", "{reply}");
    let wait = reply["retry_in"].as_u64().unwrap();
    assert!((1..=1_100_000).contains(&wait), "{reply}");
    server
        .post("a", &of("203.0.113.3"), b"still there")
        .await
        .id();
    assert!(matches!(ws.next().await, Said::Heard(_)));
    // Whoever goes on all the same is closed, to come back later.
    for n in 3..20 {
        ws.text(&command(n)).await;
    }
    assert_eq!(ws.closed().await.0, 3013);

    // A raw socket has no other way to be told.
    let from: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"203.0.113.4")];
    let mut raw = Ws::open(server.addr, "/c/a", &from).await;
    raw.text(&"x".repeat(1000)).await;
    assert!(matches!(raw.next().await, Said::Heard(_)));
    raw.text("y").await;
    let (code, reason) = raw.closed().await;
    assert_eq!(code, 3013);
    assert!(reason.contains("come back in"), "{reason}");
}

async fn r5_listening_over_the_rate_is_put_off_on_each_transport(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        slow(config);
        config.rates.subscribes_per_ip = 1;
    })
    .await;
    let here = [("X-Forwarded-For", "203.0.113.1")];
    let raw: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"203.0.113.1")];
    // Sixteen channels again and again: minutes of debt.
    let all: Vec<String> = (0..16).map(|n| format!("c{n}")).collect();
    let first = server.get(&all.join(","), &here).await;
    assert_eq!(first.status, 200, "{}", first.text());
    // A stream ends at once and says when to come back: no sooner than it may.
    let mut stream = Sse::open(server.addr, "/c/a", &raw).await;
    assert_eq!(stream.next().await, Said::Ended);
    assert!(stream.retry.is_some_and(|ms| ms >= 2000), "{stream:?}");
    let mut http2 = Http::connect2(server.addr).await;
    let headers = [here[0], ("Accept", "text/event-stream")];
    let answer = http2.ask("GET", "/c/a", &headers, b"").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("retry: "), "{}", answer.text());
    too_fast(&server.get("a?wait=20", &here).await, 16);
    too_fast(&server.get("a", &here).await, 16);
    too_fast(&http2.ask("GET", "/c/a?wait=20", &here, b"").await, 16);
    let mut ws = Ws::open(server.addr, "/c/a", &raw).await;
    assert_eq!(ws.closed().await.0, 3013);
    // Publishing is something else, and so is everyone else.
    server.post("a", &here, b"x").await.id();
    let there: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"203.0.113.2")];
    let other = Listener::try_open(Transport::SseRaw, server.addr, "a", "", &there).await;
    assert!(matches!(other.unwrap().next().await, Said::Ready(_)));
}

async fn f10_f13_empty_messages_and_pongs_count_and_end_with_3013(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        slow(config);
        config.rates.messages_per_connection = 1;
    })
    .await;
    let mut other = Ws::open(server.addr, "/c/b", &[]).await;
    for first in [0x81, 0x8a] {
        let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
        let flood = frame(first, b"").repeat(5000);
        // It may be closed before all of it is sent.
        let _ = ws.wire.send(&flood).await;
        assert_eq!(ws.closed().await.0, 3013, "{first:x}");
    }
    server.publish("b", "still there").await;
    assert!(matches!(other.next().await, Said::Heard(_)));
}

async fn r5_connects_over_the_rate_are_told_so_and_others_come_in(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        slow(config);
        config.listen.proxy_protocol = true;
        config.rates.connects_per_ip = 1;
    })
    .await;
    let connect = async |from: &str| {
        let mut http = Http::connect(server.addr).await;
        let line = format!("PROXY TCP4 {from} 127.0.0.1 4660 80\r\n");
        http.wire.send(line.as_bytes()).await.unwrap();
        http.ask("GET", "/c/a", &[], b"").await
    };
    assert_eq!(connect("203.0.113.1").await.status, 200);
    // One a second comes in; this loop is faster than a minute for each.
    let mut refused = None;
    for _ in 0..50 {
        let answer = connect("203.0.113.1").await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    too_fast(&refused.unwrap(), 1);
    assert_eq!(connect("203.0.113.2").await.status, 200);
}

async fn r5_api_keys_are_not_measured_by_their_address(variant: Variant) {
    const BEARER: (&str, &str) = ("Authorization", "Bearer s3cret-0123456789abcdef");
    let server = TestServer::with(variant, |config| {
        slow(config);
        let secret = fanwire::config::Secret::new("s3cret-0123456789abcdef");
        config.access.api_keys.insert("ops".into(), secret);
        config.rates.bytes_per_ip = 1;
    })
    .await;
    let here = ("X-Forwarded-For", "203.0.113.1");
    for _ in 0..3 {
        server.post("a", &[here, BEARER], &[b'x'; 1000]).await.id();
    }
    server.post("a", &[here], &[b'x'; 1000]).await.id();
    too_fast(&server.post("a", &[here], b"x").await, 1000);
}

async fn r5_each_request_on_a_kept_connection_is_charged_once(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.rates.burst = Duration::from_secs(2);
        config.rates.subscribes_per_connection = 1;
    })
    .await;
    server.publish("a", "x").await;
    let many: Vec<String> = (0..16).map(|n| format!("c{n}")).collect();
    let many = format!("/c/{}", many.join(","));
    let told = "/c/a?after=earliest&wait=20";
    for (behind, status) in [
        // Something is left, so it passes; what is charged twice would not.
        (format!("{many}?wait=0"), 200),
        (format!("{many}?after=earliest"), 200),
    ] {
        let mut http = Http::connect(server.addr).await;
        let first = http.ask("GET", told, &[], b"").await;
        assert_eq!(first.status, 200, "{}", first.text());
        let second = http.ask("GET", &behind, &[], b"").await;
        assert_eq!(second.status, status, "{behind}: {}", second.text());
        // Refused once, and told so on a connection that goes on.
        for _ in 0..2 {
            too_fast(&http.ask("GET", told, &[], b"").await, 20);
        }
    }
    let figures = server.get("x?wait=0", &[]).await;
    assert_eq!(figures.status, 200);
    let text = fanwire_tests::http::get(server.addr, "/metrics", &[])
        .await
        .text();
    for line in [
        "fanwire_refusals_total{code=\"rate_limited\"} 4",
        "fanwire_opened_total{transport=\"history\"} 1",
        "fanwire_opened_total{transport=\"poll\"} 4",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
}

/// Channels of one namespace, more than one second of it allows.
fn many() -> String {
    let many: Vec<String> = (0..16).map(|n| format!("ns:c{n}")).collect();
    many.join(",")
}

/// A connection that owes 15 seconds of subscribes, where it or its user does.
async fn in_debt(server: &TestServer, headers: &[(&str, &str)]) -> Http {
    let mut http = Http::connect(server.addr).await;
    http.ask("GET", &format!("/c/{}", many()), headers, b"")
        .await;
    http
}

async fn r5_whoever_the_rate_is_of_the_refusal_has_the_same_forms(variant: Variant) {
    let bearer = fanwire_tests::token::bearer(&fanwire_tests::token::of(
        "ada",
        600,
        serde_json::json!({"subscribe": ["*:*"], "publish": ["*:*"]}),
    ));
    for whom in ["connection", "user", "address", "namespace"] {
        let server = TestServer::with(variant, |config| {
            slow(config);
            fanwire_tests::token::configure(config);
            let rates = &mut config.rates;
            let (subscribes, bytes) = match whom {
                "connection" => (
                    &mut rates.subscribes_per_connection,
                    &mut rates.bytes_per_connection,
                ),
                "user" => (&mut rates.subscribes_per_user, &mut rates.bytes_per_user),
                "address" => (&mut rates.subscribes_per_ip, &mut rates.bytes_per_ip),
                _ => (
                    &mut rates.subscribes_per_namespace,
                    &mut rates.bytes_per_namespace,
                ),
            };
            (*subscribes, *bytes) = (1, 1);
        })
        .await;
        let headers = [
            ("Authorization", bearer.as_str()),
            ("X-Forwarded-For", "203.0.113.7"),
        ];
        let list = "/c/ns:a";
        let mut http = in_debt(&server, &headers).await;
        let poll = format!("{list}?wait=20");
        let refused = http.ask("GET", &poll, &headers, b"").await;
        too_fast(&refused, 16);
        let stream = [headers[0], headers[1], ("Accept", "text/event-stream")];
        let answer = http.ask("GET", list, &stream, b"").await;
        assert_eq!(answer.status, 200, "{whom}");
        assert!(answer.text().starts_with("retry: "), "{}", answer.text());
        let http = in_debt(&server, &headers).await;
        let raw = headers.map(|(name, value)| (name, value.as_bytes()));
        let upgrade = fanwire_tests::ws::upgrade(server.addr, list, &raw);
        let mut ws = Ws::try_send_over(http.wire, &upgrade)
            .await
            .unwrap()
            .unwrap();
        let (code, reason) = ws.closed().await;
        assert_eq!(code, 3013, "{whom}");
        assert!(reason.contains("come back in"), "{reason}");
        let mut http = Http::connect(server.addr).await;
        http.ask("POST", "/c/ns:a", &headers, &[b'x'; 1000])
            .await
            .id();
        too_fast(&http.ask("POST", "/c/ns:a", &headers, b"xy").await, 1000);
    }
}
