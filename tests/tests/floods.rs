//! Floods, and what is left of them: nothing. In a process of its own, and one
//! after the other, because descriptors and tasks of the process are counted.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use fanwire_core::broker::Faults;
use fanwire_tests::http::{Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::upgrade;
use tokio::task::JoinSet;

/// Everything that a client can make the process hold, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Census {
    connections: usize,
    subscribers: usize,
    behind: usize,
    /// Keys that anyone listens to.
    keys: usize,
    outbox_bytes: usize,
    queued: usize,
    credit_out: usize,
    reads: usize,
    descriptors: usize,
    tasks: usize,
}

fn census(server: &TestServer) -> Census {
    let stats = server.stats();
    Census {
        connections: server.connections(),
        subscribers: stats.subscribers,
        behind: stats.behind,
        keys: server.keys(),
        outbox_bytes: stats.outbox_bytes,
        queued: stats.queued,
        credit_out: stats.credit_out,
        reads: stats.reads,
        // One of them is this look itself.
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        tasks: tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
    }
}

/// Waits until all is as it was.
async fn is_as_before(server: &TestServer, before: Census, flood: &str) {
    let mut now = before;
    let back = async {
        loop {
            now = census(server);
            if now == before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), back).await;
    assert!(
        in_time.is_ok(),
        "after {flood}\n{now:?}, it was\n{before:?}"
    );
}

/// One request has been answered, so that what a server makes once is made.
async fn warm(server: &TestServer) -> Census {
    server.publish("warm", "x").await;
    drop(Listener::open(Transport::WsRaw, server.addr, "warm", "").await);
    until("the first to be gone", || {
        (server.connections() == 0 && server.stats().subscribers == 0).then_some(())
    })
    .await;
    census(server)
}

/// Heads, bodies, handshakes and messages that stop in the middle: the server
/// ends every one of them by itself.
async fn x1_half_requests_leave_nothing_behind(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        let soon = Duration::from_millis(300);
        config.http.first_byte_timeout = soon;
        config.http.header_timeout = soon;
        config.http.body_timeout = soon;
        config.http.keep_alive = soon;
        config.ws.assembly_timeout = soon;
        config.ws.close_wait = soon;
    })
    .await;
    let before = warm(&server).await;
    let whole = upgrade(server.addr, "/c/a", &[]);
    let halves: Vec<Vec<u8>> = vec![
        vec![],
        b"G".to_vec(),
        b"GET /c/a HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec(),
        b"POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234".to_vec(),
        b"POST /c/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n1"
            .to_vec(),
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01".to_vec(),
        whole[..whole.len() - 2].to_vec(),
        [&whole[..], b"\x81\xfe\xff\xff\0\0\0\0abc"].concat(),
        [&whole[..], b"\x01\x81\0\0\0\0a"].concat(),
    ];
    let mut open = JoinSet::new();
    for half in halves.iter().cycle().take(30 * halves.len()) {
        let (to, half) = (server.addr, half.clone());
        open.spawn(async move {
            let mut wire = Wire::connect(to).await;
            wire.send(&half).await.unwrap();
            // Whatever it is told, it is the server that ends it.
            wire.rest().await;
        });
    }
    while let Some(ended) = open.join_next().await {
        ended.unwrap();
    }
    is_as_before(&server, before, "half requests").await;
    assert_eq!(
        server.get("a", &[]).await.json()["messages"],
        serde_json::json!([])
    );
}

async fn come_and_go(to: SocketAddr, seat: usize) {
    const EACH: [Transport; 4] = [
        Transport::SseRaw,
        Transport::WsEnvelope,
        Transport::WsRaw,
        Transport::SseEnvelope,
    ];
    for round in 0..40 {
        let name = format!("x{},y{round},z{seat}", round % 3);
        let transport = EACH[(seat + round) % EACH.len()];
        let list = if transport.has_ids() && transport != Transport::SseRaw {
            name.as_str()
        } else {
            "x1"
        };
        drop(Listener::open(transport, to, list, "rewind=2").await);
    }
}

/// Subscribers that come and go, with publications on their way to them.
async fn x4_subscriptions_that_come_and_go_leave_nothing_behind(variant: Variant) {
    let server = TestServer::start(variant).await;
    let before = warm(&server).await;
    let mut seats = JoinSet::new();
    for seat in 0..25 {
        seats.spawn(come_and_go(server.addr, seat));
    }
    let mut http = Http::connect(server.addr).await;
    let mut published = 0;
    while let Some(left) = {
        http.ask("POST", "/c/x0,x1,x2", &[], b"on").await.id();
        published += 1;
        seats
            .try_join_next()
            .or_else(|| (!seats.is_empty()).then_some(Ok(())))
    } {
        left.unwrap();
    }
    assert!(published > 10);
    drop(http);
    is_as_before(&server, before, "1,000 subscriptions").await;
}

/// Thousands of names at once, each with a listener; then without.
async fn x5_names_are_forgotten_with_their_last_listener(variant: Variant) {
    const STREAMS: usize = 400;
    const EACH: usize = 16;
    let server = TestServer::start(variant).await;
    let before = warm(&server).await;
    for round in 0..2 {
        let mut streams = Vec::new();
        for stream in 0..STREAMS {
            let names: Vec<String> = (0..EACH)
                .map(|name| format!("{round}-{stream}-{name}"))
                .collect();
            let target = format!("/c/{}?format=sse", names.join(","));
            let mut wire = Wire::connect(server.addr).await;
            let ask = request("GET", &target, &[("Host", b"localhost")], b"");
            wire.send(&ask).await.unwrap();
            streams.push(wire);
        }
        until("all names to be listened to", || {
            (server.keys() == STREAMS * EACH).then_some(())
        })
        .await;
        drop(streams);
        is_as_before(&server, before, "6,400 names").await;
    }
}

/// Many come back at once, for what they missed: it is read a few at a time,
/// and nobody misses anything.
async fn x9_a_storm_of_returns_is_read_a_few_at_a_time(variant: Variant) {
    const CLIENTS: usize = 300;
    const MISSED: usize = 50;
    let server = TestServer::with(variant, |config| {
        config.limits.reads_per_shard = 4;
        config.limits.shards = 2;
        // Small pieces: many reads each.
        config.limits.chunk = 2 * 1024;
        config.limits.ring_bytes = 1024;
    })
    .await;
    let before = warm(&server).await;
    let start = server.now("a").await;
    let body = "x".repeat(500);
    for at in 0..MISSED {
        server.publish("a", &format!("{at}{body}")).await;
    }
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (to, start) = (server.addr, start.clone());
        let transport = [Transport::SseRaw, Transport::WsEnvelope, Transport::Poll][client % 3];
        clients.spawn(async move {
            let mut back = Listener::resume(transport, to, "a", &start).await;
            for at in 0..MISSED {
                let text = back.message().await.plain();
                assert_eq!(text.len(), at.to_string().len() + 500);
                assert!(text.starts_with(&at.to_string()), "{at}");
            }
        });
    }
    while let Some(whole) = {
        let reads = server.stats().reads;
        assert!(reads <= 8, "{reads} reads at once");
        tokio::task::yield_now().await;
        clients
            .try_join_next()
            .or_else(|| (!clients.is_empty()).then_some(Ok(())))
    } {
        whole.unwrap();
    }
    is_as_before(&server, before, "a storm of returns").await;
}

/// The broker hangs and publications use up what they may: the next one is told
/// so at once; when the broker is back, everything goes on.
async fn x14_without_credit_a_publish_is_503_and_then_served_on(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.publish_credit = 64 * 1024;
        config.limits.credit_wait = Duration::from_millis(50);
        config.limits.broker_wait = Duration::from_secs(60);
        config.limits.applied_wait = Duration::from_secs(10);
    })
    .await;
    let before = warm(&server).await;
    let mut listener = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    server.chaos().set_faults(Faults {
        hold_feed: 1_000,
        stall: 1_000,
        ..Faults::none()
    });
    let to = server.addr;
    let body = "x".repeat(40_000);
    let first = tokio::spawn({
        let body = body.clone();
        async move { fanwire_tests::http::post(to, "/c/a", &[], body.as_bytes()).await }
    });
    until("the first to hold its credit", || {
        (server.stats().credit_out >= 40_000).then_some(())
    })
    .await;
    for _ in 0..3 {
        let refused = server.post("a", &[], body.as_bytes()).await;
        refused.refused(503, "overloaded");
        assert!(refused.header("retry-after").is_some());
    }
    // What needs none is served.
    assert_eq!(server.get("b", &[]).await.status, 200);
    server.chaos().set_faults(Faults::none());
    assert_eq!(within("the first", first).await.unwrap().status, 200);
    server.publish("a", "on").await;
    assert_eq!(listener.texts(2).await[1], "on");
    drop(listener);
    is_as_before(&server, before, "publications without credit").await;
}

/// Answers that nobody reads, and sockets reset while they are written.
async fn resets_in_mid_answer_leave_nothing_behind(variant: Variant) {
    let server = TestServer::start(variant).await;
    let before = warm(&server).await;
    let body = "y".repeat(50_000);
    for _ in 0..20 {
        server.publish("big", &body).await;
    }
    for round in 0..60 {
        let target = [
            "/c/big?rewind=20&format=sse",
            "/c/big?limit=20",
            "/c/big?wait=9&after=earliest",
        ];
        let mut wire = Wire::connect(server.addr).await;
        let ask = request("GET", target[round % 3], &[("Host", b"localhost")], b"");
        wire.send(&ask).await.unwrap();
        if round % 2 == 0 {
            wire.take(1 + round * 97).await.unwrap();
        }
    }
    is_as_before(&server, before, "resets").await;
    let mut after = Listener::open(Transport::SseRaw, server.addr, "big", "").await;
    assert!(matches!(after.next().await, Said::Ready(_)));
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bound = tokio::time::timeout(Duration::from_secs(120), test);
        assert!(bound.await.is_ok(), "the test does not end");
    });
    // Its own descriptors must be gone before the next one is counted.
    runtime.shutdown_timeout(Duration::from_secs(10));
}

#[test]
fn floods_leave_nothing_behind() {
    for variant in [Variant::MEMORY, Variant::MEMORY_PULL] {
        run(x1_half_requests_leave_nothing_behind(variant));
        run(x4_subscriptions_that_come_and_go_leave_nothing_behind(
            variant,
        ));
        run(x5_names_are_forgotten_with_their_last_listener(variant));
        run(x9_a_storm_of_returns_is_read_a_few_at_a_time(variant));
        run(resets_in_mid_answer_leave_nothing_behind(variant));
    }
    run(x14_without_credit_a_publish_is_503_and_then_served_on(
        Variant::CHAOS,
    ));
}
