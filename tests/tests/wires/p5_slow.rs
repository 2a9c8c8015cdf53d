//! P5 A slow reader hurts only itself. (One among 1,000, with its memory, has
//! a process of its own: `tests/memory.rs`.)

use std::time::Duration;

use fanwire_tests::http::Http;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant, keep};
use fanwire_tests::wait::until;

use crate::table::{cells, once, secured, variants};

secured!(p5_a_message_larger_than_outbox_and_chunk_passes_alone,);
cells!(p5_a_message_larger_than_outbox_and_chunk_passes_alone);
variants!(
    p5_a_reader_without_progress_is_closed_and_comes_back_by_its_last_id,
    p5_a_slow_reader_catches_up_from_history_without_a_gap,
);
once!(
    p5_a_poll_answer_of_one_large_message_passes,
    p5_a_slow_reader_over_http2_catches_up_from_history_without_a_gap,
);

/// One test over TLS, where a stalled reader leaves bytes in three places.
macro_rules! slow_over_tls {
    ($($name:ident: $test:expr),+ $(,)?) => { $(
        #[test]
        fn $name() {
            crate::table::run($test);
        }
    )+ };
}

slow_over_tls!(
    p5_a_slow_reader_over_tls_catches_up_from_history_without_a_gap:
        catches_up(Variant::MEMORY_TLS, Transport::WsEnvelope),
    p5_a_slow_websocket_over_http2_and_tls_catches_up_from_history_without_a_gap:
        catches_up(Variant::MEMORY_TLS, Transport::WsHttp2),
    p5_a_reader_over_tls_without_progress_is_closed_and_comes_back_by_its_last_id:
        p5_a_reader_without_progress_is_closed_and_comes_back_by_its_last_id(Variant::MEMORY_TLS),
);

/// A namespace that keeps everything these tests publish.
fn roomy(config: &mut fanwire::Config) {
    keep(config, "big", 10_000);
    config
        .namespaces
        .by_name
        .get_mut("big")
        .unwrap()
        .history_bytes = Some(128 << 20);
}

/// Publishes numbered messages until a reader has been behind over so many.
async fn flood(server: &TestServer, more: usize) -> usize {
    let mut http = Http::connect(server.addr).await;
    let (mut count, mut left) = (0, more);
    while left > 0 {
        assert!(count < 4_000, "64 MB and the reader is not behind");
        let body = format!("{count} {}", "x".repeat(16_000));
        http.ask("POST", "/c/big:a", &[], body.as_bytes())
            .await
            .id();
        count += 1;
        // Where the test waits for it, it may have been let go meanwhile.
        let stats = server.stats();
        let stalls = stats.behind > 0 || stats.subscribers == 0;
        left = if stalls { left - 1 } else { more };
    }
    count
}

fn number(text: &str) -> usize {
    text.split_once(' ').unwrap().0.parse().unwrap()
}

async fn p5_a_slow_reader_catches_up_from_history_without_a_gap(variant: Variant) {
    catches_up(variant, Transport::SseRaw).await;
}

async fn p5_a_slow_reader_over_http2_catches_up_from_history_without_a_gap(variant: Variant) {
    catches_up(variant, Transport::SseHttp2).await;
}

async fn catches_up(variant: Variant, transport: Transport) {
    let server = TestServer::with(variant, roomy).await;
    let mut slow = Listener::lazy(transport, server.addr, "big:a").await;
    let mut quick = Listener::open(Transport::WsEnvelope, server.addr, "big:a", "").await;
    let reader = tokio::spawn(async move {
        let mut texts = Vec::new();
        loop {
            match quick.message().await.plain() {
                text if text == "end" => return texts,
                text => texts.push(number(&text)),
            }
        }
    });
    let count = flood(&server, 50).await;
    let stats = server.stats();
    let bound = server.config.limits.outbox + server.config.limits.chunk;
    assert!(
        stats.outbox_peak <= bound,
        "{} bytes in one outbox",
        stats.outbox_peak
    );
    server.publish("big:a", "end").await;
    let expected: Vec<usize> = (0..count).collect();
    assert_eq!(
        reader.await.unwrap(),
        expected,
        "the others are not held up"
    );
    let mut heard = Vec::new();
    loop {
        match slow.next().await {
            Said::Heard(message) if message.plain() == "end" => break,
            Said::Heard(message) => heard.push(number(&message.plain())),
            Said::Ready(_) | Said::Cursor(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard, expected);
    until("it to be live again", || {
        (server.stats().behind == 0).then_some(())
    })
    .await;
}

async fn p5_a_reader_without_progress_is_closed_and_comes_back_by_its_last_id(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        roomy(config);
        config.limits.write_progress = Duration::from_millis(600);
    })
    .await;
    let mut slow = Listener::lazy(Transport::WsEnvelope, server.addr, "big:a").await;
    let count = flood(&server, 20).await;
    until("the hub to let the reader go", || {
        (server.stats().subscribers == 0).then_some(())
    })
    .await;
    assert_eq!(server.stats().outbox_bytes, 0, "its memory is given back");
    // What the kernel had taken still comes; a close frame can only follow
    // where the last frame went out whole.
    let mut heard = Vec::new();
    loop {
        match slow.next().await {
            Said::Heard(message) => heard.push(number(&message.plain())),
            Said::Ready(_) => {}
            Said::Cut | Said::Closed(3008, _) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        heard.len() < count,
        "it heard everything: the test does not test"
    );
    let cursor = slow.last().unwrap();
    let mut back = Listener::resume(Transport::SseRaw, server.addr, "big:a", &cursor).await;
    for _ in heard.len()..count {
        heard.push(number(&back.message().await.plain()));
    }
    assert_eq!(heard, (0..count).collect::<Vec<_>>());
}

async fn p5_a_message_larger_than_outbox_and_chunk_passes_alone(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| {
        roomy(config);
        config.limits.outbox = 8 * 1024;
        config.limits.chunk = 4 * 1024;
        config.poll.answer = 4 * 1024;
    })
    .await;
    let start = server.now("big:a").await;
    let mut live = Listener::open(transport, server.addr, "big:a", "").await;
    let mut expected = Vec::new();
    for at in 0..12 {
        let size = [64 * 1024, 10, 5_000, 9_000][at % 4];
        let text = at.to_string().repeat(size)[..size].to_owned();
        server.publish("big:a", &text).await;
        expected.push(text);
    }
    assert!(live.texts(12).await == expected, "live");
    let mut back = Listener::open(transport, server.addr, "big:a", &format!("after={start}")).await;
    assert!(back.texts(12).await == expected, "resumed");
}

async fn p5_a_poll_answer_of_one_large_message_passes(variant: Variant) {
    let server = TestServer::with(variant, |config| config.poll.answer = 1_000).await;
    server.publish("a", &"x".repeat(64 * 1024)).await;
    server.publish("a", "next").await;
    let (said, cursor) = poll::read(&server.get("a?after=earliest", &[]).await);
    assert_eq!(said.len(), 1);
    let (said, _) = poll::read(&server.get(&format!("a?after={cursor}"), &[]).await);
    assert!(matches!(&said[..], [Said::Heard(heard)] if heard.plain() == "next"));
}
