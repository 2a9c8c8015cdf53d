//! Everyone at once: connections are cut by the hundreds, and all come back in
//! the same moment while publishing goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::within;

use crate::table::resuming_modes;

resuming_modes!(x9_a_thousand_clients_that_come_back_at_once_are_whole_while_messages_flow);

/// Clients at once, and between two messages meanwhile.
const CLIENTS: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(5);

async fn x9_a_thousand_clients_that_come_back_at_once_are_whole_while_messages_flow(
    variant: Variant,
    transport: Transport,
) {
    // The rarer way of writing with fewer.
    let clients = if variant.pull { CLIENTS / 4 } else { CLIENTS };
    // Far fewer reads at a time than there are clients: they take turns.
    let server = TestServer::with(variant, |config| config.limits.reads_per_shard = 8).await;
    let addr = server.addr;
    let mut cursors = Vec::new();
    let mut open = Vec::new();
    for _ in 0..clients / 10 {
        // Ten clients share what the first saw: who opens costs more than who returns.
        let mut listener = Listener::open(transport, addr, "a", "").await;
        if !transport.is_poll() {
            listener.ready().await;
        }
        let Some(last) = listener.last() else {
            // The anchor's answer.
            assert!(matches!(listener.next().await, Said::Cursor(_)));
            cursors.push(listener.last().unwrap());
            continue;
        };
        cursors.push(last);
        open.push(listener);
    }
    // All of them at once, by a reset.
    drop(open);
    for number in 1..=50 {
        server.publish("a", &number.to_string()).await;
    }
    let there = Arc::new(AtomicUsize::new(0));
    let mut back = Vec::new();
    for number in 0..clients {
        let cursor = cursors[number % cursors.len()].clone();
        let there = there.clone();
        back.push(tokio::spawn(async move {
            let mut listener = Listener::resume(transport, addr, "a", &cursor).await;
            let mut heard = 0;
            loop {
                match listener.next().await {
                    Said::Ready(_) | Said::Cursor(_) => {}
                    Said::Heard(message) => {
                        let text = message.plain();
                        if text == "over" {
                            return heard;
                        }
                        heard += 1;
                        there.fetch_add(usize::from(heard == 1), SeqCst);
                        assert_eq!(text, heard.to_string(), "{transport:?}");
                    }
                    other => panic!("{transport:?}: {other:?}"),
                }
            }
        }));
    }
    let mut sent = 50;
    while there.load(SeqCst) < clients {
        if let Some(ended) = back.iter().find(|client| client.is_finished()) {
            panic!("it ended before all were back: {ended:?}");
        }
        sent += 1;
        server.publish("a", &sent.to_string()).await;
        tokio::time::sleep(PAUSE).await;
    }
    server.publish("a", "over").await;
    for client in back {
        assert_eq!(within("a client", client).await.unwrap(), sent);
    }
}
