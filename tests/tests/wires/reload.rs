//! Other settings for a server that runs: they count at once, for live connections
//! too (R7), and none is dropped but those of whoever may no longer be here.

use std::time::Duration;

use fanwire::config::{Secret, Who};
use fanwire_tests::http;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::ws::Ws;

use crate::table::{modes, once};

once!(
    r7_rates_count_for_live_connections,
    origins_hosts_and_limits_are_replaced,
    p8_what_cannot_be_served_changes_nothing,
    api_reload_needs_a_key_and_something_to_read,
);
modes!(rules_and_keys_are_replaced_and_only_who_may_no_longer_is_let_go,);

const OPS: &str = "s3cret-0123456789abcdef";
const WEB: &str = "0ther-0123456789abcdef";

async fn keyed(variant: Variant) -> TestServer {
    TestServer::with(variant, |config| {
        let keys = &mut config.access.api_keys;
        keys.insert("ops".into(), Secret::new(OPS));
        keys.insert("web".into(), Secret::new(WEB));
    })
    .await
}

fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

async fn rules_and_keys_are_replaced_and_only_who_may_no_longer_is_let_go(variant: Variant) {
    let mut server = keyed(variant).await;
    let mut streams = Vec::new();
    for transport in [
        Transport::SseRaw,
        Transport::SseHttp2,
        Transport::WsEnvelope,
    ] {
        let mut pair = Vec::new();
        for secret in [OPS, WEB] {
            let shown = bearer(secret);
            let headers: [(&str, &[u8]); 1] = [("Authorization", shown.as_bytes())];
            let stream = Listener::try_open(transport, server.addr, "a", "", &headers).await;
            let mut stream = stream.unwrap();
            stream.ready().await;
            pair.push(stream);
        }
        streams.push(pair);
    }
    let reloaded = server.reload(|config| {
        config.access.api_keys.remove("web");
    });
    assert_eq!(reloaded.unwrap().changed, ["access.api_keys"]);
    for mut pair in streams {
        // The one whose key is gone goes, and is told why.
        let (mut web, mut ops) = (pair.remove(1), pair.remove(0));
        let rest = web.rest().await;
        assert!(
            matches!(&rest[..], [Said::Closed(3500, _)] | [.., Said::Ended]),
            "{rest:?}"
        );
        let key = bearer(OPS);
        server
            .post("a", &[("Authorization", &key)], b"on")
            .await
            .id();
        assert_eq!(ops.message().await.plain(), "on");
    }
    let key = bearer(WEB);
    let refused = server.get("a", &[("Authorization", &key)]).await;
    refused.refused(401, "unauthorized");

    // Rules: closed to all, then open to all.
    let key = bearer(OPS);
    let headers: [(&str, &[u8]); 1] = [("Authorization", key.as_bytes())];
    let mut ws = Ws::open(server.addr, "/c/a", &headers).await;
    let closed = server.reload(|config| config.rules.subscribe = Who::Nobody);
    assert_eq!(closed.unwrap().changed, ["rules.subscribe"]);
    assert_eq!(ws.closed().await.0, 3507);
    server
        .reload(|config| config.rules.subscribe = Who::Anyone)
        .unwrap();
    let mut anyone = Ws::open(server.addr, "/c/a", &[]).await;
    server
        .post("a", &[("Authorization", &key)], b"for all")
        .await
        .id();
    assert!(matches!(anyone.next().await, Said::Heard(_)));
}

async fn r7_rates_count_for_live_connections(variant: Variant) {
    let mut server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    let mut other = Ws::open(server.addr, "/c/a", &[]).await;
    for socket in [&mut ws, &mut other] {
        socket.text(&"x".repeat(1000)).await;
        assert!(matches!(socket.next().await, Said::Heard(_)));
    }
    let limited = server.reload(|config| {
        config.rates.burst = Duration::from_secs(1);
        config.rates.bytes_per_connection = 1;
    });
    let changed = limited.unwrap().changed;
    assert_eq!(changed, ["rates.burst", "rates.bytes_per_connection"]);
    // What is larger than the bucket passes once.
    ws.text(&"x".repeat(1000)).await;
    ws.text("y").await;
    assert_eq!(ws.closed().await.0, 3013);
    server
        .reload(|config| config.rates.bytes_per_connection = 0)
        .unwrap();
    for _ in 0..3 {
        other.text(&"x".repeat(1000)).await;
    }
    server.publish("b", "x").await;
    for _ in 0..4 {
        assert!(matches!(other.next().await, Said::Heard(_)));
    }
}

async fn origins_hosts_and_limits_are_replaced(variant: Variant) {
    let mut server = TestServer::start(variant).await;
    let page = [("Origin", "https://a.example")];
    let refused = server.post("a", &page, b"x").await;
    refused.refused(403, "origin_denied");
    let reloaded = server.reload(|config| {
        config.access.allow_origins = vec!["https://a.example".into()];
        config.http.uri_bytes = 64;
        config.limits.log_bytes *= 2;
        config.listen.backlog = 7;
    });
    let reloaded = reloaded.unwrap();
    assert_eq!(reloaded.changed, ["access.allow_origins", "http.uri_bytes"]);
    assert_eq!(
        reloaded.needs_restart,
        ["listen.backlog", "limits.log_bytes"]
    );
    let said = reloaded.to_string();
    assert!(said.contains("needs a restart: listen.backlog"), "{said}");
    server.post("a", &page, b"x").await.id();
    let long = "x".repeat(100);
    server.get(&long, &[]).await.refused(414, "uri_too_long");
}

async fn p8_what_cannot_be_served_changes_nothing(variant: Variant) {
    let mut server = keyed(variant).await;
    let problems = server.reload(|config| {
        config.access.allow_origins = vec!["https://a.example/path".into()];
        config.access.api_keys.remove("web");
        config.http.header_count = 0;
    });
    let said = problems.unwrap_err().to_string();
    assert_eq!(said.lines().count(), 2, "{said}");
    let key = bearer(WEB);
    let headers = [("Authorization", key.as_str())];
    server.post("a", &headers, b"x").await.id();
}

async fn api_reload_needs_a_key_and_something_to_read(variant: Variant) {
    let server = keyed(variant).await;
    let ask =
        async |headers: &[(&str, &str)]| http::post(server.addr, "/api/reload", headers, b"").await;
    ask(&[]).await.refused(401, "unauthorized");
    ask(&[("Authorization", "Bearer wrong")])
        .await
        .refused(401, "unauthorized");
    let key = bearer(OPS);
    let headers = [("Authorization", key.as_str())];
    ask(&headers).await.refused(422, "invalid_config");
    let get = http::get(server.addr, "/api/reload", &headers).await;
    get.refused(405, "method_not_allowed");
}
