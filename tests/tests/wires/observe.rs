//! What an operator sees: figures with bounded labels (X12), for holders of a key
//! alone (X15), and whether the server takes anyone.

use std::time::Duration;

use fanwire::Config;
use fanwire::config::Secret;
use fanwire_core::broker::Faults;
use fanwire_tests::http::{self, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::within;

use crate::table::once;

once!(
    metrics_count_what_happens_and_name_no_channel,
    x15_metrics_and_api_need_a_key,
    readyz_says_503_while_draining,
    readyz_asks_the_broker_and_says_what_is_not_there,
    x15_operators_have_an_address_of_their_own,
    x15_operators_come_in_where_nobody_else_does_and_watch_the_end,
);

const KEY: (&str, &str) = ("Authorization", "Bearer s3cret-0123456789abcdef");

async fn metrics_count_what_happens_and_name_no_channel(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut heard = Vec::new();
    for transport in [Transport::WsRaw, Transport::SseRaw, Transport::SseHttp2] {
        heard.push(Listener::open(transport, server.addr, "marker-channel", "").await);
    }
    server.publish("marker-channel", "12345").await;
    for stream in &mut heard {
        stream.message().await;
    }
    let bad = server
        .post("marker-channel?event=marker%0A", &[], b"x")
        .await;
    bad.refused(400, "invalid_event");
    let answer = http::get(server.addr, "/metrics", &[]).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    for line in [
        "fanwire_subscribers 3",
        "fanwire_keys 1",
        "fanwire_opened_total{transport=\"websocket\"} 1",
        "fanwire_opened_total{transport=\"sse\"} 2",
        "fanwire_opened_total{transport=\"poll\"} 0",
        "fanwire_publishes_total{outcome=\"ok\"} 1",
        "fanwire_published_bytes_total 5",
        "fanwire_refusals_total{code=\"invalid_event\"} 1",
        "fanwire_reloads_total{outcome=\"ok\"} 0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert!(!text.contains("marker"), "{text}");
}

async fn x15_metrics_and_api_need_a_key(variant: Variant) {
    let open = TestServer::with(variant, |config| config.access.open = true).await;
    let keyed = TestServer::with(variant, |config| {
        let secret = Secret::new("s3cret-0123456789abcdef");
        config.access.api_keys.insert("ops".into(), secret);
    })
    .await;
    for path in ["/metrics", "/api/reload", "/api/x"] {
        for server in [&open, &keyed] {
            for mut http in [
                Http::connect(server.addr).await,
                Http::connect2(server.addr).await,
            ] {
                let refused = http.ask("GET", path, &[], b"").await;
                refused.refused(401, "unauthorized");
            }
        }
    }
    // Without any configuration the API is closed all the same.
    let local = TestServer::start(variant).await;
    let refused = http::post(local.addr, "/api/reload", &[], b"").await;
    refused.refused(401, "unauthorized");
    let shown = http::get(keyed.addr, "/metrics", &[KEY]).await;
    assert_eq!(shown.status, 200);
    http::get(keyed.addr, "/api/x", &[KEY])
        .await
        .refused(404, "not_found");
}

async fn readyz_says_503_while_draining(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.listen.drain_window = Duration::from_secs(5);
    })
    .await;
    let addr = server.addr;
    let mut http = Http::connect(addr).await;
    assert_eq!(http.ask("GET", "/readyz", &[], b"").await.text(), "ready");
    let mut first = Listener::open(Transport::SseEnvelope, addr, "a", "").await;
    let mut second = Listener::open(Transport::SseEnvelope, addr, "a", "").await;
    first.ready().await;
    second.ready().await;
    let stopping = tokio::spawn(server.stop());
    assert!(matches!(first.next().await, Said::Drain(_)));
    let answer = http.ask("GET", "/readyz", &[], b"").await;
    answer.refused(503, "unavailable");
    drop((first, second, http));
    stopping.await.unwrap();
}

async fn readyz_asks_the_broker_and_says_what_is_not_there(_: Variant) {
    let server = TestServer::start(Variant::CHAOS).await;
    let asked = async || http::get(server.addr, "/readyz", &[]).await;
    assert_eq!(asked().await.text(), "ready");
    server.chaos().set_faults(Faults {
        top_unavailable: 1000,
        ..Faults::none()
    });
    let refused = asked().await.refused(503, "unavailable");
    let why = refused["detail"].as_str().unwrap();
    assert!(why.contains("broker cannot be reached"), "{why}");
    // It runs all the same.
    let alive = http::get(server.addr, "/healthz", &[]).await;
    assert_eq!(alive.text(), "ok");
    server.chaos().set_faults(Faults::none());
    assert_eq!(asked().await.text(), "ready");
}

async fn with_operators(variant: Variant, change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(variant, |config| {
        config.listen.admin_addresses = config.listen.addresses.clone();
        let secret = Secret::new("s3cret-0123456789abcdef");
        config.access.api_keys.insert("ops".into(), secret);
        change(config);
    })
    .await
}

async fn x15_operators_have_an_address_of_their_own(variant: Variant) {
    let server = with_operators(variant, |_| {}).await;
    let (public, operators) = (server.addr, server.operators());
    for mut http in [
        Http::connect(operators).await,
        Http::connect2(operators).await,
    ] {
        let figures = http.ask("GET", "/metrics", &[], b"").await;
        assert!(figures.text().contains("fanwire_connections 0"));
        assert_eq!(http.ask("GET", "/readyz", &[], b"").await.text(), "ready");
        assert_eq!(http.ask("GET", "/healthz", &[], b"").await.text(), "ok");
        let listing = http.ask("GET", "/api/channels", &[KEY], b"").await;
        assert_eq!(listing.status, 200);
        // What was closed without a key is so here.
        let refused = http.ask("GET", "/api/channels", &[], b"").await;
        refused.refused(401, "unauthorized");
        for path in ["/", "/c/a?wait=0", "/other"] {
            let refused = http.ask("GET", path, &[KEY], b"").await;
            refused.refused(404, "not_found");
        }
        let refused = http.ask("POST", "/c/a", &[KEY], b"x").await;
        refused.refused(404, "not_found");
    }
    // The figures are nowhere else, with a key or without.
    for headers in [&[][..], &[KEY]] {
        let refused = http::get(public, "/metrics", headers).await;
        refused.refused(404, "not_found");
    }
    assert_eq!(http::get(public, "/readyz", &[]).await.text(), "ready");
    let listing = http::get(public, "/api/channels", &[KEY]).await;
    assert_eq!(listing.status, 200);
    let foreign = [("Host", "evil.example")];
    let refused = http::get(operators, "/metrics", &foreign).await;
    refused.refused(403, "host_denied");
}

async fn x15_operators_come_in_where_nobody_else_does_and_watch_the_end(variant: Variant) {
    let server = with_operators(variant, |config| {
        config.limits.connections = 1;
        config.limits.admin_connections = 2;
        config.listen.drain_window = Duration::from_secs(5);
    })
    .await;
    let (public, operators) = (server.addr, server.operators());
    let headers = [(KEY.0, KEY.1.as_bytes())];
    let transport = Transport::SseEnvelope;
    let asked = Listener::ask(transport, public, "a", "", &headers).await;
    let mut only = asked.unwrap().unwrap();
    only.ready().await;
    // Their own number is bounded: one past it is closed unheard.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut http = Http::connect(operators).await;
        assert_eq!(http.ask("GET", "/healthz", &[], b"").await.text(), "ok");
        held.push(http);
    }
    let mut third = Http::connect(operators).await;
    assert!(third.try_ask("GET", "/healthz", &[], b"").await.is_err());
    let figures = held[0].ask("GET", "/metrics", &[], b"").await;
    assert!(figures.text().contains("\nfanwire_connections 1\n"));
    held.pop();
    let stopping = tokio::spawn(server.stop());
    assert!(matches!(only.next().await, Said::Drain(_)));
    // New connections come, while nobody else is taken in.
    let refused = within("a place for one more operator", async {
        loop {
            let mut http = Http::connect(operators).await;
            if let Ok(answer) = http.try_ask("GET", "/readyz", &[], b"").await {
                return answer;
            }
        }
    });
    refused.await.refused(503, "unavailable");
    drop((only, held, third));
    stopping.await.unwrap();
}
