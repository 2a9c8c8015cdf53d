//! How a server stops: paced, told beforehand, and so that nobody misses
//! anything who goes on elsewhere.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use fanwire::Stopped;
use fanwire_tests::chaos;
use fanwire_tests::http::{Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::{Ending, Wire};
use fanwire_tests::ws::Ws;

use crate::table::{modes, once, resuming_modes, secured};

modes!(
    z1_streams_end_one_after_the_other_and_hear_everything_until_then,
    z1_requests_on_connections_that_were_kept_are_answered_for_the_last_time,
    z2_a_stalled_reader_does_not_hold_the_end,
);

secured!(z3_clients_that_go_on_elsewhere_miss_nothing_and_hear_nothing_twice);
once!(
    z1_connections_that_wait_to_be_accepted_are_not_reset,
    z2_what_does_not_end_in_time_is_cut_and_counted,
);

resuming_modes!(z3_clients_that_go_on_elsewhere_miss_nothing_and_hear_nothing_twice);

/// Publishes 1, 2, 3, … to `a` until told to stop; then the last number.
async fn publish_on(server: &TestServer, stop: &AtomicBool) -> usize {
    let mut number = 0;
    while !stop.load(SeqCst) {
        number += 1;
        server.publish("a", &number.to_string()).await;
    }
    number
}

async fn z1_streams_end_one_after_the_other_and_hear_everything_until_then(variant: Variant) {
    let broker = chaos::memory();
    let stops = TestServer::beside(variant, broker.clone(), |config| {
        config.listen.drain_window = Duration::from_millis(500);
        config.limits.shards = 2;
    })
    .await;
    let stays = TestServer::beside(variant, broker, |_| {}).await;
    let addr = stops.addr;
    let mut readers = Vec::new();
    for number in 0..24 {
        let transport = [
            Transport::SseRaw,
            Transport::WsEnvelope,
            Transport::WsRaw,
            Transport::SseEnvelope,
            Transport::SseHttp2,
        ][number % 5];
        let mut listener = Listener::open(transport, addr, "a", "").await;
        readers.push(tokio::spawn(async move {
            let (mut heard, mut told) = (0, false);
            loop {
                match listener.next().await {
                    Said::Ready(_) | Said::Cursor(_) => {}
                    Said::Heard(message) => {
                        heard += 1;
                        assert_eq!(message.plain(), heard.to_string(), "{transport:?}");
                    }
                    Said::Drain(within) => {
                        assert!(!told && within <= 500, "{within}");
                        told = true;
                    }
                    Said::Ended | Said::Closed(1012, _) => break,
                    other => panic!("{transport:?}: {other:?}"),
                }
            }
            assert_eq!(told, transport != Transport::WsRaw, "{transport:?}");
            if let Listener::Sse(sse) = &listener {
                let retry = sse.retry.unwrap();
                assert!((1000..=4000).contains(&retry), "retry: {retry}");
            }
            heard
        }));
    }
    let over = AtomicBool::new(false);
    let stopping = async {
        let stopped = stops.stop().await;
        assert_eq!(stopped, Stopped { ended: 24, cut: 0 });
        let mut heard = BTreeSet::new();
        for reader in readers {
            heard.insert(within("a reader", reader).await.unwrap());
        }
        over.store(true, SeqCst);
        heard
    };
    let (heard, sent) = tokio::join!(stopping, publish_on(&stays, &over));
    // Each number of messages heard is another moment at which streams ended.
    assert!(heard.len() >= 4, "all at once: {heard:?} of {sent}");
    let refused = tokio::net::TcpStream::connect(addr).await;
    assert!(refused.is_err(), "still listening");
}

/// Reads until all up to `last` came, elsewhere once this place ends.
async fn hear_all(
    transport: Transport,
    addr: SocketAddr,
    elsewhere: SocketAddr,
    stopping: Arc<AtomicBool>,
    mut listener: Listener,
) {
    let (mut heard, mut place) = (0, addr);
    loop {
        let said = listener.next().await;
        match said {
            Said::Heard(message) => {
                let text = message.plain();
                if text == "over" {
                    break;
                }
                heard += 1;
                assert_eq!(text, heard.to_string(), "{transport:?}");
            }
            Said::Ready(_) | Said::Drain(_) => {}
            Said::Cursor(_) if !transport.is_poll() => {}
            // The answer to a poll; on a server that stops it is the last one.
            Said::Cursor(_) if place == elsewhere || !stopping.load(SeqCst) => {}
            // Between two polls a connection may be closed.
            Said::Cut if !transport.is_poll() || !stopping.load(SeqCst) => {
                panic!("{transport:?} is cut")
            }
            Said::Cursor(_) | Said::Cut | Said::Ended | Said::Closed(1012, _) => {
                assert_eq!(place, addr, "ended twice");
                place = elsewhere;
                let last = listener.last().unwrap();
                listener = Listener::resume(transport, place, "a", &last).await;
            }
            other => panic!("{transport:?}: {other:?}"),
        }
    }
    assert_eq!(place, elsewhere);
}

async fn z3_clients_that_go_on_elsewhere_miss_nothing_and_hear_nothing_twice(
    variant: Variant,
    transport: Transport,
) {
    let broker = chaos::memory();
    let stops = TestServer::beside(variant, broker.clone(), |config| {
        config.listen.drain_window = Duration::from_millis(300);
    })
    .await;
    let stays = TestServer::beside(variant, broker, |_| {}).await;
    let stopping = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..60 {
        let listener = Listener::open(transport, stops.addr, "a", "").await;
        readers.push(tokio::spawn(hear_all(
            transport,
            stops.addr,
            stays.addr,
            stopping.clone(),
            listener,
        )));
    }
    let over = AtomicBool::new(false);
    let stop = async {
        stopping.store(true, SeqCst);
        let stopped = stops.stop().await;
        over.store(true, SeqCst);
        stopped
    };
    let (stopped, sent) = tokio::join!(stop, publish_on(&stays, &over));
    assert_eq!(stopped.cut, 0);
    assert!(sent > 0);
    stays.publish("a", "over").await;
    for reader in readers {
        within("a reader", reader).await.unwrap();
    }
}

async fn z1_requests_on_connections_that_were_kept_are_answered_for_the_last_time(
    variant: Variant,
) {
    let server = TestServer::with(
        Variant {
            chaos: false,
            ..variant
        },
        |config| {
            config.listen.drain_window = Duration::from_secs(60);
            config.listen.shutdown_grace = Duration::from_secs(60);
            config.limits.shards = 1;
        },
    )
    .await;
    let addr = server.addr;
    let mut kept = Vec::new();
    for _ in 0..6 {
        let mut http = Http::connect(addr).await;
        http.wire.send(&get("/healthz", &[])).await.unwrap();
        assert_eq!(http.answer().await.unwrap().text(), "ok");
        kept.push(http);
    }
    let mut first = Ws::envelope(addr, "/c/a").await;
    let mut last = Listener::open(Transport::SseRaw, addr, "a", "").await;
    last.ready().await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(first.closed().await.0, 1012);
    assert!(matches!(last.next().await, Said::Drain(1..=60_000)));

    let mut http = kept.pop().unwrap();
    let body = request("POST", "/c/a", &[("Host", b"localhost")], b"on");
    http.wire.send(&body).await.unwrap();
    let answer = http.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(last.texts(1).await, ["on"], "still served");

    let mut http = kept.pop().unwrap();
    http.wire.send(&get("/c/a?format=sse", &[])).await.unwrap();
    let answer = http.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert!(answer.text().starts_with("retry: "), "{}", answer.text());

    let mut http = kept.pop().unwrap();
    http.wire
        .send(&fanwire_tests::ws::upgrade(addr, "/c/a", &[]))
        .await
        .unwrap();
    http.answer().await.unwrap().refused(503, "unavailable");

    for query in ["wait=50", "wait=50&after=earliest"] {
        let mut http = kept.pop().unwrap();
        http.wire
            .send(&get(&format!("/c/a?{query}"), &[]))
            .await
            .unwrap();
        let answer = http.answer().await.unwrap();
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(
            poll::read(&answer).0.len(),
            usize::from(query.contains("after"))
        );
        assert_eq!(
            http.wire.rest().await.1,
            Ending::Fin,
            "closed by the server"
        );
    }
    // It is dropped in the middle, as by a second signal: everything is cut.
    stopping.abort();
    assert!(matches!(last.rest().await.last(), Some(Said::Cut)));
}

fn get(target: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut all: Vec<(&str, &[u8])> = vec![("Host", b"localhost")];
    all.extend_from_slice(headers);
    request("GET", target, &all, b"")
}

async fn z2_a_stalled_reader_does_not_hold_the_end(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.listen.shutdown_grace = Duration::from_secs(3);
    })
    .await;
    let stalled = Listener::lazy(Transport::SseRaw, server.addr, "a").await;
    let mut other = Sse::open(server.addr, "/c/b", &[]).await;
    let much = "x".repeat(60_000);
    while server.stats().behind == 0 {
        server.publish("a", &much).await;
    }
    let stopped = server.stop().await;
    assert!(stopped.ended >= 1 && stopped.cut <= 1, "{stopped:?}");
    assert!(matches!(other.next().await, Said::Ready(_)));
    assert_eq!(other.next().await, Said::Drain(0));
    assert_eq!(other.next().await, Said::Ended);
    drop(stalled);
}

async fn z2_what_does_not_end_in_time_is_cut_and_counted(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.listen.shutdown_grace = Duration::from_millis(300);
    })
    .await;
    let mut http = Http::connect(server.addr).await;
    let half = b"POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    http.wire.send(half).await.unwrap();
    until("the connection", || {
        (server.connections() == 1).then_some(())
    })
    .await;
    let stopped = server.stop().await;
    assert_eq!(stopped, Stopped { ended: 0, cut: 1 });
    assert!(http.answer().await.is_err(), "cut without an answer");
}

async fn z1_connections_that_wait_to_be_accepted_are_not_reset(variant: Variant) {
    let server = TestServer::start(variant).await;
    // They have asked, and most of them are not accepted yet when it stops.
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut wire = Wire::connect(server.addr).await;
        wire.send(&get("/c/a?format=sse", &[])).await.unwrap();
        waiting.push(wire);
    }
    server.stop().await;
    for mut wire in waiting {
        let (bytes, ending) = wire.rest().await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(ending, Ending::Fin, "{text}");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("\nretry: "), "{text}");
    }
}
