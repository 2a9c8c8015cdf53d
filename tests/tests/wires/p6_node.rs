//! P6 Bounded, over time and over the node: history, connections, time-outs.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use fanwire_tests::http::{self, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant, keep};
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::within;
use fanwire_tests::wire::{Ending, Wire};
use fanwire_tests::ws::Ws;

use crate::table::{modes, once, variants};

variants!(
    p6_history_keeps_1000_messages_and_not_one_more,
    p6_history_is_bounded_in_bytes,
    p6_history_is_bounded_in_age,
    p6_the_log_of_the_node_is_bounded_and_the_oldest_goes,
    p6_a_forgotten_channel_is_told_as_a_gap,
);
modes!(
    p6_connections_one_past_the_limit_are_told_and_come_in_when_one_leaves,
    p6_publish_credit_is_waited_for,
);
once!(
    p6_connections_of_one_address_are_bounded_and_loopback_is_exempt,
    x1_a_head_that_does_not_come_is_cut,
    x1_a_body_that_does_not_come_is_408,
    x1_a_connection_that_says_nothing_is_closed,
    an_idle_connection_is_closed_between_requests,
);

/// Everything held, in as many pages as it takes: a store may answer in parts.
async fn held(server: &TestServer, list: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for said in pages(server, list, "earliest").await {
        match said {
            Said::Heard(heard) => texts.push(heard.plain()),
            other => panic!("{other:?}"),
        }
    }
    texts
}

async fn pages(server: &TestServer, list: &str, after: &str) -> Vec<Said> {
    let (mut all, mut cursor) = (Vec::new(), after.to_owned());
    loop {
        let target = format!("{list}?limit=1000&after={cursor}");
        let (said, next) = poll::read(&server.get(&target, &[]).await);
        if said.is_empty() {
            return all;
        }
        all.extend(said);
        cursor = next;
    }
}

async fn p6_history_keeps_1000_messages_and_not_one_more(variant: Variant) {
    let server = TestServer::start(variant).await;
    let start = server.now("a").await;
    let mut http = Http::connect(server.addr).await;
    for at in 0..1_000 {
        http.ask("POST", "/c/a", &[], at.to_string().as_bytes())
            .await
            .id();
    }
    let said = pages(&server, "a", &start).await;
    assert_eq!(said.len(), 1_000);
    assert!(
        said.iter().all(|said| matches!(said, Said::Heard(_))),
        "no gap at the limit"
    );
    http.ask("POST", "/c/a", &[], b"1000").await.id();
    let said = pages(&server, "a", &start).await;
    assert!(
        matches!(&said[0], Said::Gap(gap) if gap.reason == "trimmed"),
        "{:?}",
        said[0]
    );
    let texts = held(&server, "a").await;
    assert_eq!(
        (texts.len(), texts[0].as_str(), texts[999].as_str()),
        (1_000, "1", "1000")
    );
}

async fn p6_history_is_bounded_in_bytes(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        keep(config, "small", 1_000);
        config
            .namespaces
            .by_name
            .get_mut("small")
            .unwrap()
            .history_bytes = Some(20_000);
    })
    .await;
    let start = server.now("small:a").await;
    for at in 0..10 {
        server
            .publish("small:a", &format!("{at}{}", "x".repeat(5_000)))
            .await;
    }
    let texts = held(&server, "small:a").await;
    assert!(
        (2..=3).contains(&texts.len()),
        "{} of 5,000 bytes and what they cost",
        texts.len()
    );
    assert!(texts.last().unwrap().starts_with('9'), "the newest stay");
    let mut back = Listener::resume(Transport::Poll, server.addr, "small:a", &start).await;
    assert_eq!(back.gap().await.reason, "trimmed");
}

async fn p6_history_is_bounded_in_age(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        keep(config, "brief", 1_000);
        let rules = config.namespaces.by_name.get_mut("brief").unwrap();
        rules.history_ttl = Some(Duration::from_millis(300));
    })
    .await;
    let start = server.now("brief:a").await;
    server.publish("brief:a", "old").await;
    within("the message to be too old", async {
        // It may grow too old between two pages: then the second tells a gap.
        let there = |said: &Said| matches!(said, Said::Heard(_));
        while pages(&server, "brief:a", "earliest")
            .await
            .iter()
            .any(there)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut back = Listener::resume(Transport::Poll, server.addr, "brief:a", &start).await;
    assert_eq!(back.gap().await.reason, "trimmed");
}

async fn p6_the_log_of_the_node_is_bounded_and_the_oldest_goes(variant: Variant) {
    let server = TestServer::with(variant, |config| config.limits.log_bytes = 256 * 1024).await;
    let start = server.now("c0").await;
    for at in 0..40 {
        server
            .publish(&format!("c{at}"), &format!("{at}{}", "x".repeat(16_000)))
            .await;
    }
    let mut kept = Vec::new();
    for at in 0..40 {
        kept.push(held(&server, &format!("c{at}")).await.len());
    }
    let total: usize = kept.iter().sum();
    assert!(
        (8..=16).contains(&total),
        "{total} of 16,000 bytes in 256 KiB: {kept:?}"
    );
    assert!(kept.is_sorted(), "the oldest of all go first: {kept:?}");
    let mut back = Listener::resume(Transport::Poll, server.addr, "c0", &start).await;
    assert_eq!(back.gap().await.reason, "trimmed");
}

async fn p6_a_forgotten_channel_is_told_as_a_gap(variant: Variant) {
    let server = TestServer::with(variant, |config| config.limits.channel_records = 4).await;
    let start = server.now("c0").await;
    for at in 0..12 {
        server.publish(&format!("c{at}"), "x").await;
    }
    let mut gaps = 0;
    for at in 0..12 {
        let name = format!("c{at}");
        let mut back = Listener::resume(Transport::Poll, server.addr, &name, &start).await;
        match back.next().await {
            Said::Gap(gap) => {
                assert_eq!(gap.reason, "trimmed");
                gaps += 1;
            }
            Said::Heard(heard) => assert_eq!(heard.plain(), "x"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(gaps >= 8, "{gaps} of 12 channels are forgotten, 4 are kept");
}

async fn p6_connections_one_past_the_limit_are_told_and_come_in_when_one_leaves(variant: Variant) {
    let server = TestServer::with(variant, |config| config.limits.connections = 3).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Listener::open(Transport::SseRaw, server.addr, "a", "").await);
    }
    let answer = server.get("a", &[]).await;
    answer.refused(429, "connection_limit");
    assert!(answer.header("retry-after").is_some());
    // An event stream would give up for good on a 429.
    let mut put_off = Sse::open(server.addr, "/c/a", &[]).await;
    assert_eq!(put_off.next().await, Said::Ended);
    assert!(
        put_off.retry.is_some_and(|ms| ms >= 2_000),
        "{:?}",
        put_off.retry
    );
    // A page would never see the status of a handshake.
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    let (code, reason) = ws.closed().await;
    assert!(code == 3504 && !reason.is_empty(), "{code} {reason}");
    // The three go on.
    streams.pop();
    let mut http = within("room for one more", async {
        loop {
            let mut http = Http::connect(server.addr).await;
            if http.ask("GET", "/c/a", &[], b"").await.status == 200 {
                return http;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    http.ask("POST", "/c/a", &[], b"still here").await.id();
    for stream in &mut streams {
        assert_eq!(stream.texts(1).await, ["still here"]);
    }
}

/// An address of this machine that is not loopback. No packet is sent.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

async fn p6_connections_of_one_address_are_bounded_and_loopback_is_exempt(variant: Variant) {
    let server = TestServer::with(variant, |config| config.limits.connections_per_ip = 2).await;
    let mut local = Vec::new();
    for _ in 0..5 {
        local.push(Listener::open(Transport::SseRaw, server.addr, "a", "").await);
    }
    let Some(ip) = outward() else {
        eprintln!("this machine has loopback addresses only: the limit itself is not tried");
        return;
    };
    let server = TestServer::with(variant, |config| {
        config.limits.connections_per_ip = 2;
        config.access.open = true;
        config.listen.addresses = vec![SocketAddr::new(ip, 0)];
    })
    .await;
    let _one = Listener::open(Transport::SseRaw, server.addr, "a", "").await;
    let _two = Ws::open(server.addr, "/c/a", &[]).await;
    server.get("a", &[]).await.refused(429, "connection_limit");
}

async fn p6_publish_credit_is_waited_for(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.publish_credit = 128 * 1024;
    })
    .await;
    let mut listener = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let body = "x".repeat(60_000);
    let publishers: Vec<_> = (0..16)
        .map(|_| {
            let (to, body) = (server.addr, body.clone());
            tokio::spawn(async move { http::post(to, "/c/a", &[], body.as_bytes()).await.id() })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(listener.texts(16).await.len(), 16);
}

async fn x1_a_head_that_does_not_come_is_cut(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.header_timeout = Duration::from_millis(200);
    })
    .await;
    let head = "GET /c/a HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    for part in [&head[..1], head] {
        let answer = http::raw(server.addr, part.as_bytes()).await.unwrap();
        answer.refused(408, "request_timeout");
    }
    // On a kept connection too, counted from the first byte of the next head.
    let mut http = Http::connect(server.addr).await;
    http.ask("GET", "/healthz", &[], b"").await;
    http.wire.send(head.as_bytes()).await.unwrap();
    http.answer().await.unwrap().refused(408, "request_timeout");
}

async fn x1_a_body_that_does_not_come_is_408(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.body_timeout = Duration::from_millis(200);
    })
    .await;
    let head = "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345";
    let answer = http::raw(server.addr, head.as_bytes()).await.unwrap();
    answer.refused(408, "request_timeout");
    assert!(
        held(&server, "a").await.is_empty(),
        "half a message is none"
    );
}

async fn x1_a_connection_that_says_nothing_is_closed(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.first_byte_timeout = Duration::from_millis(200);
    })
    .await;
    let mut wire = Wire::connect(server.addr).await;
    let (bytes, ending) = wire.rest().await;
    assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408"));
    assert_eq!(ending, Ending::Fin);
}

async fn an_idle_connection_is_closed_between_requests(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.keep_alive = Duration::from_millis(200);
    })
    .await;
    let mut http = Http::connect(server.addr).await;
    http.ask("GET", "/healthz", &[], b"").await;
    http.ask("GET", "/healthz", &[], b"").await;
    let (bytes, ending) = http.wire.rest().await;
    assert_eq!((bytes.len(), ending), (0, Ending::Fin));
}
