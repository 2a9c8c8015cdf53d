#![allow(clippy::unwrap_used)]
//! Connections over a stream in memory: what hyper, the gate and the transports
//! hand to each other, byte by byte, without a socket.

use std::task::Context;
use std::time::Duration;

use fanwire_core::broker::{
    Append, AppendError, Appended, Broker, BrokerFuture, Feed, FeedEvent, Held, ReadReply,
    ReadRequest, Tail, Top, Unavailable,
};
use fanwire_core::cursor::{Epoch, Lineage, Seq};
use fanwire_core::hub::Draft;
use fanwire_core::key::Key;
use fanwire_core::message::{Body, Keys};
use fanwire_core::policy::{Subject, Verb};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;

use super::*;
use crate::assemble::Parts;
use crate::config::Config;
use crate::limit::Counts;

const UPGRADE: &str = "GET /c/a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A broker that never says anything.
struct Silent;

impl Feed for Silent {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<FeedEvent> {
        Poll::Pending
    }
}

impl Broker for Silent {
    fn append(&self, batch: Vec<Append>) -> Vec<BrokerFuture<Result<Appended, AppendError>>> {
        let silence = |_| -> BrokerFuture<_> { Box::pin(std::future::pending()) };
        batch.into_iter().map(silence).collect()
    }

    fn follow(&self, _: Seq) -> Box<dyn Feed> {
        Box::new(Silent)
    }

    fn read(&self, _: ReadRequest) -> BrokerFuture<Result<ReadReply, Unavailable>> {
        Box::pin(std::future::pending())
    }

    fn tail(&self, _: Keys, _: usize) -> BrokerFuture<Result<Tail, Unavailable>> {
        Box::pin(std::future::pending())
    }

    fn held(&self, _: Vec<Key>) -> BrokerFuture<Result<Vec<Held>, Unavailable>> {
        Box::pin(std::future::pending())
    }

    fn top(&self) -> BrokerFuture<Result<Top, Unavailable>> {
        Box::pin(std::future::pending())
    }

    fn start(&self) -> Top {
        Top {
            seq: Seq(0),
            lineage: Lineage::fresh(Epoch(1)),
        }
    }

    fn listening(&self, _: &Key, _: bool) {}
}

/// A server without sockets.
struct World {
    app: Arc<App>,
    counts: Arc<Counts>,
    stop: watch::Sender<Stage>,
    drivers: Vec<tokio::task::JoinHandle<()>>,
}

impl World {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(None, change)
    }

    fn with(broker: Option<Arc<dyn Broker>>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let (stop, stopped) = watch::channel(Stage::Serving);
        let parts = Parts::of(broker);
        let (app, drivers) = crate::assemble::app(config, parts, stopped).unwrap();
        Self {
            app,
            counts: Counts::new(100, 100),
            stop,
            drivers,
        }
    }

    /// A connection whose pipe holds `room` bytes each way.
    fn connect(&self, room: usize, over_limit: bool) -> DuplexStream {
        let (client, server) = tokio::io::duplex(room);
        let address = [127, 0, 0, 1].into();
        let slot = self.counts.take(address).0;
        let peer = Arc::new(Peer::new(address, true, over_limit, slot));
        let stream = Stream::Other(Box::pin(server));
        start(self.app.clone(), peer, stream, Bytes::new());
        client
    }
}

/// Reads until `end` has come; gives everything up to its end.
async fn until(client: &mut DuplexStream, end: &str) -> String {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(end.as_bytes()) {
        match client.read(&mut byte).await.unwrap() {
            0 => panic!(
                "ended before {end:?}: {:?}",
                String::from_utf8_lossy(&heard)
            ),
            _ => heard.push(byte[0]),
        }
    }
    String::from_utf8(heard).unwrap()
}

async fn rest(client: &mut DuplexStream) -> String {
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    heard
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[tokio::test]
async fn a_socket_leaves_only_when_the_answer_before_is_written() {
    let world = World::new(|_| {});
    // The first answer does not fit the pipe: when the second request is parsed,
    // the rest of it still waits inside hyper.
    let mut client = world.connect(64, false);
    let two = get("/healthz") + &get("/c/a?format=sse");
    let (mut read, mut write) = tokio::io::split(&mut client);
    let writing = async {
        write.write_all(two.as_bytes()).await.unwrap();
    };
    let reading = async {
        let mut heard = Vec::new();
        while !heard.windows(8).any(|part| part == b"\"conn\":\"") {
            let mut some = [0; 7];
            let count = read.read(&mut some).await.unwrap();
            assert!(count > 0);
            heard.extend_from_slice(&some[..count]);
        }
        String::from_utf8(heard).unwrap()
    };
    let ((), heard) = tokio::join!(writing, reading);
    let (first, second) = heard.split_once("\r\n\r\nok").unwrap();
    assert!(first.contains("content-length: 2\r\n"));
    assert!(second.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"));
}

#[tokio::test]
async fn a_polls_socket_goes_back_with_the_request_behind_it() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, false);
    let three = get("/c/a?wait=1") + &get("/healthz") + &get("/c/a?wait=1");
    client.write_all(three.as_bytes()).await.unwrap();
    for _ in 0..2 {
        let head = until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
        if head.contains("application/json") {
            assert!(
                until(&mut client, "}")
                    .await
                    .starts_with("{\"messages\":[],")
            );
        } else {
            until(&mut client, "ok").await;
        }
    }
    assert!(until(&mut client, "}").await.contains("{\"messages\":[],"));
}

#[tokio::test]
async fn a_parked_poll_is_answered_with_its_cursor_when_the_server_stops() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, false);
    client
        .write_all(get("/c/a?wait=50").as_bytes())
        .await
        .unwrap();
    while world.app.hub.stats().subscribers == 0 {
        tokio::task::yield_now().await;
    }
    world.stop.send(Stage::Closing).unwrap();
    world.app.hub.shutdown(Duration::ZERO);
    let heard = rest(&mut client).await;
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
    assert!(heard.contains("{\"messages\":[],\"cursor\":\""), "{heard}");
    world.counts.none_left().await;
}

#[tokio::test]
async fn idle_connections_are_closed_when_the_server_stops() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, false);
    client.write_all(get("/healthz").as_bytes()).await.unwrap();
    until(&mut client, "ok").await;
    world.stop.send(Stage::Closing).unwrap();
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn streams_end_with_the_shards_that_serve_them() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, false);
    client
        .write_all(get("/c/a?format=sse").as_bytes())
        .await
        .unwrap();
    until(&mut client, "\"conn\":").await;
    world.drivers.iter().for_each(|driver| driver.abort());
    rest(&mut client).await;
    world.counts.none_left().await;
}

#[tokio::test]
async fn r3_over_the_limit_is_429_and_an_event_stream_is_put_off() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, true);
    client.write_all(get("/c/a").as_bytes()).await.unwrap();
    let heard = rest(&mut client).await;
    assert!(heard.starts_with("HTTP/1.1 429 "), "{heard}");
    assert!(heard.contains("connection: close\r\n"));
    assert!(heard.contains("retry-after: "));
    let mut client = world.connect(4096, true);
    client
        .write_all(get("/c/a?format=sse").as_bytes())
        .await
        .unwrap();
    let heard = rest(&mut client).await;
    assert!(
        heard.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"),
        "{heard}"
    );
    let (_, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(
        body.starts_with("retry: ") && body.ends_with("\n\n"),
        "{body}"
    );
}

#[tokio::test(start_paused = true)]
async fn x1_a_slow_head_is_408_and_silence_is_just_closed() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, false);
    client.write_all(b"GET / HTT").await.unwrap();
    let before = Instant::now();
    let heard = rest(&mut client).await;
    assert!(
        heard.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{heard}"
    );
    assert!(before.elapsed() >= Duration::from_secs(10));
    let mut silent = world.connect(4096, false);
    assert_eq!(rest(&mut silent).await, "");
}

#[tokio::test(start_paused = true)]
async fn h8_a_handshake_has_a_time_of_its_own() {
    let world = World::new(|config| config.ws.handshake = Duration::from_secs(2));
    for (wait, expected) in [(1, "HTTP/1.1 101 "), (3, "HTTP/1.1 408 ")] {
        let mut client = world.connect(4096, false);
        let (head, rest) = UPGRADE.split_at(20);
        client.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(wait)).await;
        client.write_all(rest.as_bytes()).await.unwrap();
        assert!(until(&mut client, "\r\n\r\n").await.starts_with(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_stays_75_seconds_and_then_10_for_a_head() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, false);
    for _ in 0..2 {
        client.write_all(get("/healthz").as_bytes()).await.unwrap();
        until(&mut client, "ok").await;
        tokio::time::sleep(Duration::from_secs(74)).await;
    }
    client.write_all(b"G").await.unwrap();
    let begun = Instant::now();
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_its_answer_is_let_go() {
    let world = World::new(|config| {
        config.limits.write_progress = Duration::from_secs(3);
    });
    let mut client = world.connect(64, false);
    client.write_all(get("/").as_bytes()).await.unwrap();
    world.counts.none_left().await;
    let mut some = vec![0; 4096];
    assert!(client.read(&mut some).await.unwrap() <= 64);
}

/// Nothing but the want of progress ends a stream here: no sign of life is due.
fn quiet(config: &mut Config, write_progress: Duration) {
    let never = Duration::from_secs(3600);
    config.ws.ping = never;
    (config.sse.comment_min, config.sse.comment_max) = (never, never);
    config.limits.write_progress = write_progress;
    config.listen.shutdown_grace = Duration::from_millis(100);
}

#[tokio::test]
async fn x7_who_takes_nothing_is_let_go_however_little_waits_for_him() {
    for request in [get("/c/a?format=sse"), UPGRADE.to_owned()] {
        let world = World::new(|config| quiet(config, Duration::from_millis(100)));
        let mut client = world.connect(64, false);
        client.write_all(request.as_bytes()).await.unwrap();
        let gone = tokio::time::timeout(Duration::from_secs(20), world.counts.none_left());
        assert!(gone.await.is_ok(), "{request}");
        assert_eq!(world.app.hub.stats().subscribers, 0);
    }
}

#[tokio::test]
async fn p5_a_stream_may_dawdle_as_long_as_there_is_progress() {
    let world = World::new(|config| quiet(config, Duration::from_secs(2)));
    let mut client = world.connect(64, false);
    client
        .write_all(get("/c/a?format=sse").as_bytes())
        .await
        .unwrap();
    let mut heard = Vec::new();
    // In all it takes longer than a peer may without any progress.
    while !heard.ends_with(b"}\n\n\r\n") {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut some = [0; 64];
        let count = client.read(&mut some).await.unwrap();
        assert!(count > 0, "cut after {} bytes", heard.len());
        heard.extend_from_slice(&some[..count]);
    }
    assert!(
        heard.len() > 4 * 64,
        "too quick for this test: {}",
        heard.len()
    );
    assert_eq!(world.app.hub.stats().subscribers, 1);
}

#[tokio::test(start_paused = true)]
async fn p7_a_silent_broker_hangs_nobody() {
    let world = World::with(Some(Arc::new(Silent)), |config| {
        config.limits.applied_wait = Duration::from_millis(50);
    });
    let mut client = world.connect(4096, false);
    let publish = "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
    for (request, code) in [
        (publish.to_owned(), "outcome_unknown"),
        (get("/c/a"), "unavailable"),
        (get("/c/a?wait=1&after=1-5"), ""),
        (get("/readyz"), "the broker does not answer"),
    ] {
        client.write_all(request.as_bytes()).await.unwrap();
        let head = until(&mut client, "\r\n\r\n").await;
        let body = until(&mut client, "}").await;
        if code.is_empty() {
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_eq!(body, "{\"messages\":[],\"cursor\":\"1-5\"}");
        } else {
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            assert!(body.contains(code), "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p5_an_answer_may_take_as_long_as_there_is_progress() {
    let world = World::new(|_| {});
    let mut client = world.connect(64, false);
    client
        .write_all(get("/c/a?wait=50").as_bytes())
        .await
        .unwrap();
    while world.app.hub.stats().subscribers == 0 {
        tokio::task::yield_now().await;
    }
    let keys = Keys::from_iter([Key::channel("a").unwrap()]);
    let nobody = Subject::Anonymous([127, 0, 0, 1].into());
    let permit = world.app.door.admit(nobody, Verb::Publish, keys).unwrap();
    let draft = Draft::new(Body::Text(vec![b'x'; 2_000].into()));
    world.app.hub.publish(&permit, draft).await.unwrap();
    // 64 bytes every 20 seconds: far slower than any grace, never without progress.
    let mut heard = Vec::new();
    while !heard.ends_with(b"}") {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let mut some = [0; 64];
        let count = client.read(&mut some).await.unwrap();
        assert!(count > 0, "cut after {} bytes", heard.len());
        heard.extend_from_slice(&some[..count]);
    }
    assert!(heard.len() > 2_000);
}

#[tokio::test]
async fn a_websocket_over_a_stream_of_its_tasks_own() {
    let world = World::new(|_| {});
    let mut client = world.connect(4096, false);
    client.write_all(UPGRADE.as_bytes()).await.unwrap();
    until(&mut client, "\r\n\r\n").await;
    // "hi" and a close with 1000, masked with zeros.
    client
        .write_all(b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8")
        .await
        .unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"\x81\x02hi\x88\x02\x03\xe8");
    world.counts.none_left().await;
}

#[path = "two_ways_tests.rs"]
mod two_ways;
