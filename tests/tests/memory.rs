//! P5 and P6 in bytes: one stalled reader among a thousand; and what idle
//! compressed connections hold. In a process of its
//! own, because it looks at the memory of the whole process.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};

use fanwire_tests::http::{Head, Http, request};
use fanwire_tests::memory::resident;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant, keep};
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::{Ws, deflate, frame};

const READERS: usize = 1_000;
const MESSAGES: usize = 120;
const BODY: usize = 6_000;

/// Opens an event stream with a receive buffer of so many bytes (0: the
/// system's).
async fn open(server: &TestServer, buffer: u32) -> Sse {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut wire = Wire::connect_from(here, server.addr, buffer).await;
    let host = server.addr.to_string();
    let headers: [(&str, &[u8]); 2] = [("Host", host.as_bytes()), ("Accept", b"text/event-stream")];
    wire.send(&request("GET", "/c/big:a", &headers, b""))
        .await
        .unwrap();
    let head = Head::read(&mut wire).await.unwrap();
    Sse::over(wire, head)
}

async fn p5_one_stalled_reader_among_a_thousand(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        keep(config, "big", 10_000);
        config
            .namespaces
            .by_name
            .get_mut("big")
            .unwrap()
            .history_bytes = Some(64 << 20);
    })
    .await;
    let mut stalled = open(&server, 4096).await;
    let mut readers = Vec::new();
    for _ in 1..READERS {
        let mut sse = open(&server, 0).await;
        readers.push(tokio::spawn(async move {
            let mut heard = 0;
            while heard < MESSAGES {
                match sse.next().await {
                    Said::Heard(message) => {
                        let number = message.text()[..4].parse::<usize>().unwrap();
                        assert_eq!(number, heard);
                        heard += 1;
                    }
                    Said::Ready(_) | Said::Cursor(_) => {}
                    other => panic!("after {heard}: {other:?}"),
                }
            }
        }));
    }
    until("all to be there", || {
        (server.stats().subscribers == READERS).then_some(())
    })
    .await;
    let before = resident();
    let mut http = Http::connect(server.addr).await;
    let (outbox, chunk) = (server.config.limits.outbox, server.config.limits.chunk);
    for at in 0..MESSAGES {
        let body = format!("{at:04}{}", "x".repeat(BODY));
        http.ask("POST", "/c/big:a", &[], body.as_bytes())
            .await
            .id();
        let stats = server.stats();
        assert!(stats.outbox_peak <= outbox + chunk, "{stats:?}");
    }
    for reader in readers {
        within("the others to hear all", reader).await.unwrap();
    }
    // Everyone else is done: what is left is the stalled one's.
    let stats = server.stats();
    assert_eq!(stats.behind, 1, "nobody is stalled: the test does not test");
    assert!(stats.outbox_bytes <= outbox + chunk, "{stats:?}");
    let grown = resident().saturating_sub(before);
    // The history (0.7 MB), one outbox, and what allocators and clients keep; a
    // queue per reader would be 700 MB.
    assert!(grown < 96 << 20, "{} MiB more resident", grown >> 20);
    for at in 0..MESSAGES {
        match stalled.next().await {
            Said::Heard(message) => assert_eq!(message.text()[..4], format!("{at:04}")),
            Said::Ready(_) if at == 0 => assert!(matches!(stalled.next().await, Said::Heard(_))),
            other => panic!("{at}: {other:?}"),
        }
    }
}

async fn x3_slow_readers_share_what_waits_for_them(variant: Variant) {
    const SLOW: usize = 300;
    let server = TestServer::with(variant, |config| {
        keep(config, "big", 10_000);
        config
            .namespaces
            .by_name
            .get_mut("big")
            .unwrap()
            .history_bytes = Some(64 << 20);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(open(&server, 4096).await);
    }
    until("all to be there", || {
        (server.stats().subscribers == SLOW).then_some(())
    })
    .await;
    let before = resident();
    let mut http = Http::connect(server.addr).await;
    let mut count = 0;
    while server.stats().behind < SLOW {
        assert!(count < 400, "they are not slow");
        let body = format!("{count:04}{}", "x".repeat(16_000));
        http.ask("POST", "/c/big:a", &[], body.as_bytes())
            .await
            .id();
        count += 1;
    }
    let (outbox, chunk) = (server.config.limits.outbox, server.config.limits.chunk);
    let stats = server.stats();
    assert!(
        stats.outbox_bytes > SLOW * 16_000,
        "nothing waits: {stats:?}"
    );
    assert!(stats.outbox_bytes <= SLOW * (outbox + chunk), "{stats:?}");
    // What waits is counted for each, and held once for all who wait for it.
    let grown = resident().saturating_sub(before);
    assert!(
        grown < stats.outbox_bytes / 2,
        "{} of {}",
        grown,
        stats.outbox_bytes
    );
    // Back to nothing when they leave.
    drop(slow);
    until("all to be gone", || {
        (server.stats().subscribers == 0).then_some(())
    })
    .await;
    assert_eq!(server.stats().outbox_bytes, 0);
}

async fn d6_idle_compressed_connections_hold_no_tables(variant: Variant) {
    const SOCKETS: usize = 1_000;
    let server = TestServer::with(variant, |config| config.ws.deflate = true).await;
    let offer: [(&str, &[u8]); 1] = [("Sec-WebSocket-Extensions", b"permessage-deflate")];
    let text = "again and ".repeat(200);
    let compressed = frame(0xc1, &deflate(text.as_bytes()));
    let before = resident();
    let mut sockets = Vec::new();
    for at in 0..SOCKETS {
        let mut ws = Ws::open(server.addr, &format!("/c/idle{at}"), &offer).await;
        ws.send(&compressed).await;
        let echo = ws.frame().await.unwrap();
        assert!(echo.deflated && echo.payload.len() < 200, "{echo:?}");
        sockets.push(ws);
    }
    let grown = resident().saturating_sub(before);
    // Client, server and history together. An inflater for each would be 50 MB,
    // a compressor 400.
    assert!(grown < 32 << 20, "{} KiB more resident", grown >> 10);
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
    runtime.shutdown_background();
}

/// One after the other in one test: two at once would count each other's bytes.
#[test]
fn p5_x3_d6_slow_readers_and_compression_cost_bounded_memory_in_both_modes() {
    for variant in [Variant::MEMORY, Variant::MEMORY_PULL] {
        run(p5_one_stalled_reader_among_a_thousand(variant));
        run(d6_idle_compressed_connections_hold_no_tables(variant));
        run(x3_slow_readers_share_what_waits_for_them(variant));
    }
}
