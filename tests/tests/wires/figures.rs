//! What `/metrics` counts: every refusal once, by its code, wherever it is told;
//! and no series that a stranger could add (X12).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use fanwire::Config;
use fanwire::config::{NamedRules, Network, Secret, Who};
use fanwire_core::error::Code;
use fanwire_tests::http::{self, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::Client;
use fanwire_tests::sse::Sse;
use fanwire_tests::token;
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::Ws;
use serde_json::json;

use crate::table::{modes, once};

modes!(
    a_refused_request_is_counted_once_by_its_code,
    what_is_put_off_is_counted_once_by_its_code,
    what_an_open_stream_is_refused_is_counted_once_by_its_code,
);
once!(
    x12_the_set_of_series_is_known_and_no_stranger_adds_to_it,
    listeners_are_counted_while_they_are_here_and_gaps_by_reason,
    tokens_are_counted_by_what_was_wrong_with_them,
);

const KEY: &str = "s3cret-0123456789abcdef";

/// Series and their values, as operators read them.
async fn figures(operators: SocketAddr) -> BTreeMap<String, u64> {
    let text = http::get(operators, "/metrics", &[]).await.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(split).collect()
}

/// What has changed, of the series of this name, by their label.
fn more(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
    name: &str,
) -> Vec<(String, u64)> {
    let prefix = format!("fanwire_{name}{{");
    let of = after.iter().filter_map(|(series, value)| {
        let label = series.strip_prefix(&prefix)?.split('"').nth(1)?;
        let grown = value - before[series];
        (grown > 0).then(|| (label.to_owned(), grown))
    });
    of.collect()
}

/// Once something was counted; what is told may arrive before that.
async fn counted(
    operators: SocketAddr,
    before: &BTreeMap<String, u64>,
    name: &str,
) -> Vec<(String, u64)> {
    within("a figure to move", async {
        loop {
            let more = more(before, &figures(operators).await, name);
            if !more.is_empty() {
                return more;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

fn watched(config: &mut Config) {
    config.listen.admin_addresses = config.listen.addresses.clone();
}

async fn x12_the_set_of_series_is_known_and_no_stranger_adds_to_it(variant: Variant) {
    let server = TestServer::with(variant, watched).await;
    let operators = server.operators();
    let before = figures(operators).await;
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut plain = 0;
    for series in before.keys() {
        let Some((name, label)) = series.split_once('{') else {
            plain += 1;
            continue;
        };
        labels
            .entry(name)
            .or_default()
            .insert(label.split('"').nth(1).unwrap());
        let key = label.split('=').next().unwrap();
        assert!(
            ["transport", "outcome", "code", "reason"].contains(&key),
            "{series}"
        );
    }
    assert!(plain < 20, "{before:?}");
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let with_ok: BTreeSet<&str> = codes.iter().copied().chain(["ok"]).collect();
    let transports = BTreeSet::from(["websocket", "sse", "poll", "history", "socketio"]);
    let reasons = BTreeSet::from([
        "trimmed",
        "history_off",
        "epoch_unknown",
        "rewound",
        "malformed",
        "empty",
        "future",
        "lost",
    ]);
    let tokens = BTreeSet::from([
        "ok",
        "form",
        "head",
        "algorithm",
        "claims",
        "issuer",
        "key",
        "signature",
        "expired",
        "endless",
        "early",
        "audience",
        "subject",
        "unreachable",
        "unknown",
    ]);
    let expected = BTreeMap::from([
        ("fanwire_refusals_total", codes),
        ("fanwire_publishes_total", with_ok),
        ("fanwire_opened_total", transports.clone()),
        ("fanwire_listeners", transports),
        ("fanwire_gaps_total", reasons),
        ("fanwire_tokens_total", tokens),
        (
            "fanwire_handshakes_total",
            BTreeSet::from(["ok", "failed", "timed_out"]),
        ),
        ("fanwire_reloads_total", BTreeSet::from(["ok", "refused"])),
    ]);
    assert_eq!(labels, expected);
    // Whatever strangers name, nothing is named after it.
    for n in 0..20 {
        let name = format!("strange{n}:channel{n}");
        server.publish(&name, "x").await;
        let event = format!("{name}?event=%24strange{n}");
        server
            .post(&event, &[], b"x")
            .await
            .refused(400, "invalid_event");
        let shown = format!("Bearer eyJstrange{n}.x.y");
        server
            .get(&name, &[("Authorization", &shown)])
            .await
            .refused(401, "unauthorized");
        http::get(server.addr, &format!("/strange{n}"), &[])
            .await
            .refused(404, "not_found");
    }
    let after = figures(operators).await;
    assert!(before.keys().eq(after.keys()), "{after:?}");
    assert_eq!(more(&before, &after, "refusals_total").len(), 3);
}

/// A server that refuses much, and who watches it.
struct Watch {
    server: TestServer,
    addr: SocketAddr,
    before: BTreeMap<String, u64>,
}

impl Watch {
    async fn new(variant: Variant) -> Self {
        let server = TestServer::with(variant, |config| {
            watched(config);
            config.access.open = true;
            config.access.proxies = vec![Network::parse("127.0.0.1").unwrap()];
            config.rates.subscribes_per_ip = 1;
            config.rates.burst = Duration::from_secs(1);
            config.limits.connections_per_ip = 1;
            config.http.header_bytes = 8192;
            config.http.header_timeout = Duration::from_millis(300);
            token::configure(config);
            let secret = Secret::new(KEY);
            config.access.api_keys.insert("ops".into(), secret);
            let closed = NamedRules {
                subscribe: Some(Who::Keys),
                ..NamedRules::default()
            };
            config.namespaces.by_name.insert("closed".into(), closed);
        });
        let server = Box::pin(server).await;
        Self {
            before: figures(server.operators()).await,
            addr: server.addr,
            server,
        }
    }

    /// Since the last look there was one refusal, of this code.
    async fn saw(&mut self, what: &str, code: &str) {
        let operators = self.server.operators();
        let counted = Box::pin(counted(operators, &self.before, "refusals_total")).await;
        assert_eq!(counted, [(code.to_owned(), 1)], "{what}");
        self.before = figures(operators).await;
    }
}

async fn a_refused_request_is_counted_once_by_its_code(variant: Variant) {
    let mut watch = Watch::new(variant).await;
    let addr = watch.addr;
    for mut http in [Http::connect(addr).await, Http::connect2(addr).await] {
        let refused = http.ask("POST", "/c/a?args=2", &[], b"x").await;
        refused.refused(400, "bad_request");
        watch.saw("a parameter", "bad_request").await;
        let refused = http.ask("DELETE", "/c/a", &[], b"").await;
        refused.refused(405, "method_not_allowed");
        watch.saw("a method", "method_not_allowed").await;
        let refused = http.ask("GET", "/c/closed:a", &[], b"").await;
        refused.refused(401, "unauthorized");
        watch.saw("a read", "unauthorized").await;
    }
    // Heads that never were a request.
    let mut wire = Wire::connect(addr).await;
    let long = format!("GET /c/a HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9000));
    let _ = wire.send(long.as_bytes()).await;
    watch.saw("a long head", "headers_too_large").await;
    let mut wire = Wire::connect(addr).await;
    wire.send(b"GET /c/a HT").await.unwrap();
    watch.saw("a slow head", "request_timeout").await;
}

async fn what_is_put_off_is_counted_once_by_its_code(variant: Variant) {
    let mut watch = Watch::new(variant).await;
    let addr = watch.addr;
    let many: Vec<String> = (0..16).map(|n| format!("c{n}")).collect();
    let here = [("X-Forwarded-For", "203.0.113.1")];
    let raw: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"203.0.113.1")];
    let first = watch.server.get(&many.join(","), &here).await;
    assert_eq!(first.status, 200);
    let refused = watch.server.get("a?wait=20", &here).await;
    refused.refused(429, "rate_limited");
    watch.saw("a poll too soon", "rate_limited").await;
    let mut stream = Sse::open(addr, "/c/a", &raw).await;
    assert_eq!(stream.next().await, Said::Ended);
    watch.saw("a stream too soon", "rate_limited").await;
    let mut ws = Ws::open(addr, "/c/a", &raw).await;
    assert_eq!(ws.closed().await.0, 3013);
    watch.saw("a socket too soon", "rate_limited").await;
    let there: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"203.0.113.2")];
    let held = Sse::open(addr, "/c/a", &there).await;
    let mut stream = Sse::open(addr, "/c/a", &there).await;
    assert_eq!(stream.next().await, Said::Ended);
    watch.saw("one stream too many", "connection_limit").await;
    let mut ws = Ws::open(addr, "/c/a", &there).await;
    assert_eq!(ws.closed().await.0, 3504);
    watch.saw("one socket too many", "connection_limit").await;
    drop(held);
}

async fn what_an_open_stream_is_refused_is_counted_once_by_its_code(variant: Variant) {
    let mut watch = Watch::new(variant).await;
    let addr = watch.addr;
    let mut ws = Ws::open(addr, "/c/a?format=envelope", &[])
        .await
        .enveloped(true);
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws.text("[]").await;
    assert!(matches!(ws.next().await, Said::Reply(_)));
    watch.saw("a frame", "bad_request").await;
    drop(ws);
    let key = token::bearer(KEY);
    let key = [("Authorization", key.as_str())];
    for transport in [
        Transport::WsEnvelope,
        Transport::SseEnvelope,
        Transport::SseHttp2,
    ] {
        let token = token::of("ada", 600, json!({"subscribe": ["closed:*"]}));
        let shown = token::bearer(&token);
        let headers = [("Authorization", shown.as_bytes())];
        let asked = Listener::ask(transport, addr, "closed:a", "", &headers).await;
        let mut listener = asked.unwrap().unwrap();
        listener.ready().await;
        let body = json!({"sub": "ada"}).to_string();
        let tell = async |what: &str| {
            let target = format!("/api/{what}");
            let done = http::post(addr, &target, &key, body.as_bytes()).await;
            assert_eq!(done.status, 200);
        };
        tell("revoke").await;
        watch
            .saw("a stream whose token is revoked", "unauthorized")
            .await;
        tell("reinstate").await;
    }
    // Whose it is was to be said first.
    let mut ws = Ws::open(addr, "/c/closed:a?format=envelope", &[]).await;
    ws.text("{\"auth\":\"nonsense\"}").await;
    assert_eq!(ws.closed().await.0, 3500);
    watch
        .saw("a wrong token in the first frame", "unauthorized")
        .await;
}

async fn listeners_are_counted_while_they_are_here_and_gaps_by_reason(variant: Variant) {
    let server = TestServer::with(variant, watched).await;
    let operators = server.operators();
    let mut open = Vec::new();
    for transport in [
        Transport::WsRaw,
        Transport::SseEnvelope,
        Transport::SseHttp2,
    ] {
        open.push(Listener::open(transport, server.addr, "a", "").await);
    }
    let (socket, _) = Client::join(server.addr, "/", json!({})).await;
    let before = figures(operators).await;
    let here = |of: &BTreeMap<String, u64>, what: &str| {
        of[&format!("fanwire_listeners{{transport=\"{what}\"}}")]
    };
    assert_eq!((here(&before, "websocket"), here(&before, "sse")), (1, 2));
    assert_eq!(here(&before, "socketio"), 1);
    for bad in ["x", "", "99-99"] {
        server.get(&format!("a?after={bad}"), &[]).await;
    }
    let after = figures(operators).await;
    let told = more(&before, &after, "gaps_total");
    let told: Vec<_> = told
        .iter()
        .map(|(reason, count)| (reason.as_str(), *count))
        .collect();
    assert_eq!(told, [("empty", 1), ("epoch_unknown", 1), ("malformed", 1)]);
    assert_eq!(
        more(&before, &after, "opened_total"),
        [("history".to_owned(), 3)]
    );
    assert_eq!(here(&after, "history"), 0);
    drop((open, socket));
    within("all to be gone", async {
        loop {
            let now = figures(operators).await;
            if ["websocket", "sse", "poll", "socketio"]
                .iter()
                .all(|what| here(&now, what) == 0)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn tokens_are_counted_by_what_was_wrong_with_them(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        watched(config);
        token::configure(config);
    })
    .await;
    let operators = server.operators();
    let before = figures(operators).await;
    let good = token::of("ada", 600, json!({"subscribe": ["a"]}));
    let late = {
        let claims = json!({"sub": "ada", "exp": token::now() - 60});
        token::signed(token::SECRET.as_bytes(), &claims)
    };
    let forged = token::signed(
        b"another-secret-0123456789abcdefgh",
        &json!({"sub": "ada", "exp": token::now() + 60}),
    );
    for shown in [good.as_str(), &late, &forged, "no-such-key"] {
        let shown = token::bearer(shown);
        server.get("a", &[("Authorization", &shown)]).await;
    }
    let seen = more(&before, &figures(operators).await, "tokens_total");
    let seen: Vec<_> = seen
        .iter()
        .map(|(outcome, count)| (outcome.as_str(), *count))
        .collect();
    assert_eq!(
        seen,
        [("expired", 1), ("ok", 1), ("signature", 1), ("unknown", 1)]
    );
}
