//! What an operator sees: figures with bounded labels (X12), for holders of a key
//! alone (X15), and whether the server takes anyone.

use std::time::Duration;

use fanwire::config::Secret;
use fanwire_tests::http::{self, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};

use crate::table::once;

once!(
    x12_metrics_count_and_no_label_is_a_strangers,
    x15_metrics_and_api_need_a_key,
    readyz_says_503_while_draining,
);

const KEY: (&str, &str) = ("Authorization", "Bearer s3cret-0123456789abcdef");

async fn x12_metrics_count_and_no_label_is_a_strangers(variant: Variant) {
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
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 120, "{series}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let label = line.split_once('{').map(|(_, rest)| rest);
        let label = label.and_then(|rest| rest.split_once('=')).map(|(l, _)| l);
        let ours = [None, Some("transport"), Some("outcome"), Some("code")];
        assert!(ours.contains(&label), "{line}");
    }
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
