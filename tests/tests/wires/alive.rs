//! Signs of life, `$cursor`, shutdown.

use std::time::Duration;

use fanwire_tests::http::{Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::{Said, seq};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::{until, within};
use fanwire_tests::ws::{Ws, frame};

use crate::table::{modes, readied};

readied!(alive_a_quiet_stream_gets_a_cursor_that_resumes);
modes!(
    alive_a_quiet_event_stream_gets_comments,
    alive_a_websocket_that_does_not_pong_is_closed_with_3012,
    alive_a_websocket_that_pongs_or_writes_stays,
    alive_a_ping_is_answered_with_its_payload,
    z1_a_shutdown_is_told_on_every_transport,
    z1_after_a_restart_clients_go_on_by_their_cursor_or_a_gap,
);

async fn alive_a_quiet_stream_gets_a_cursor_that_resumes(variant: Variant, transport: Transport) {
    let server = TestServer::with(variant, |config| {
        config.limits.cursor_interval = Duration::from_millis(100);
    })
    .await;
    let mut quiet = Listener::open(transport, server.addr, "quiet", "").await;
    let ready = quiet.ready().await;
    let busy = server.publish("busy", "x").await;
    // It stands after what came elsewhere meanwhile.
    let cursor = within("a $cursor that moved", async {
        loop {
            match quiet.next().await {
                Said::Cursor(cursor) if seq(&cursor) >= seq(&busy) => return cursor,
                Said::Cursor(_) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert!(seq(&cursor) > seq(&ready.cursor));
    assert_eq!(
        quiet.last(),
        Some(cursor.clone()),
        "and it is what a client comes back with"
    );
    let mut back = Listener::resume(Transport::Poll, server.addr, "quiet", &cursor).await;
    server.publish("quiet", "on").await;
    assert_eq!(back.texts(1).await, ["on"]);
    assert_eq!(quiet.texts(1).await, ["on"]);
}

async fn alive_a_quiet_event_stream_gets_comments(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.sse.comment_min = Duration::from_millis(50);
        config.sse.comment_max = Duration::from_millis(100);
    })
    .await;
    let mut sse = Sse::open(server.addr, "/c/a", &[]).await;
    assert!(matches!(sse.next().await, Said::Ready(_)));
    let before = sse.wire.total();
    // Comments are no events: only bytes show them.
    while sse.wire.total() == before {
        sse.wire.fill().await.unwrap();
    }
    server.publish("a", "on").await;
    assert!(matches!(sse.next().await, Said::Heard(_)));
    assert!(sse.comments >= 1);
}

async fn alive_a_websocket_that_does_not_pong_is_closed_with_3012(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.ws.ping = Duration::from_millis(150);
        config.ws.timeout = Duration::from_millis(150);
    })
    .await;
    for target in ["/c/a", "/c/a?format=envelope"] {
        let mut ws = Ws::open(server.addr, target, &[]).await;
        let mut pings = 0;
        loop {
            let frame = ws.frame().await.unwrap();
            match frame.opcode {
                9 => pings += 1,
                8 => {
                    assert_eq!(frame.payload[..2], 3012u16.to_be_bytes());
                    break;
                }
                _ => {}
            }
        }
        assert!(pings >= 1, "closed without having been asked");
    }
}

async fn alive_a_websocket_that_pongs_or_writes_stays(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.ws.ping = Duration::from_millis(100);
        config.ws.timeout = Duration::from_millis(1_500);
    })
    .await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    // `next` answers pings: it lives through many of them.
    let publisher = async {
        while server.stats().subscribers > 0 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            server.publish("a", "tick").await;
        }
    };
    let reader = async {
        for _ in 0..3 {
            let said = ws.next().await;
            assert!(
                matches!(said, Said::Heard(_)),
                "after {} pings: {said:?}",
                ws.pings
            );
        }
        assert!(ws.pings >= 2, "{} pings", ws.pings);
        drop(ws);
    };
    tokio::join!(publisher, reader);
}

async fn alive_a_ping_is_answered_with_its_payload(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    for payload in [b"".to_vec(), b"hi".to_vec(), vec![0xff; 125]] {
        ws.send(&frame(0x89, &payload)).await;
        let pong = ws.frame().await.unwrap();
        assert_eq!((pong.opcode, pong.payload), (10, payload));
    }
}

async fn z1_a_shutdown_is_told_on_every_transport(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut sse = Listener::open(Transport::SseRaw, server.addr, "a", "").await;
    let mut raw = Ws::open(server.addr, "/c/a", &[]).await;
    let mut envelope = Ws::envelope(server.addr, "/c/a").await;
    let mut http = Http::connect(server.addr).await;
    http.wire
        .send(&request(
            "GET",
            "/c/a?wait=55",
            &[("Host", b"localhost")],
            b"",
        ))
        .await
        .unwrap();
    until("all to be there", || {
        (server.stats().subscribers == 4).then_some(())
    })
    .await;
    let last = server.publish("b", "elsewhere").await;
    let addr = server.addr;
    let stopping = tokio::spawn(server.stop());
    assert!(matches!(sse.ready().await.cursor.len(), 1..));
    assert_eq!(sse.next().await, Said::Drain(0));
    assert_eq!(sse.next().await, Said::Ended, "after the last whole event");
    assert_eq!(raw.closed().await.0, 1012);
    assert_eq!(envelope.closed().await.0, 1012);
    let (said, cursor) = poll::read(&http.answer().await.unwrap());
    assert_eq!((said.len(), cursor), (0, last));
    within("the server to end", stopping).await.unwrap();
    assert!(
        tokio::net::TcpStream::connect(addr).await.is_err(),
        "still listening"
    );
}

async fn z1_after_a_restart_clients_go_on_by_their_cursor_or_a_gap(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut sse = Listener::open(Transport::SseEnvelope, server.addr, "a", "").await;
    server.publish("a", "before").await;
    assert_eq!(sse.texts(1).await, ["before"]);
    let cursor = sse.last().unwrap();
    let server = server.restart().await;
    assert_eq!(sse.next().await, Said::Drain(0));
    assert_eq!(sse.next().await, Said::Ended);
    server.publish("a", "after").await;
    let mut back = Listener::resume(Transport::SseEnvelope, server.addr, "a", &cursor).await;
    let gap = back.gap().await;
    assert_eq!((gap.reason.as_str(), gap.id), ("epoch_unknown", None));
    assert_eq!(back.texts(1).await, ["after"]);
}
