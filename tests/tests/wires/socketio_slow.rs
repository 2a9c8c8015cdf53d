//! Sockets whose peers do not read.

use fanwire_core::namespace::History;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::{Client, Reasons, application};
use serde_json::{Value, json};

const BODY: usize = 60_000;

async fn serving(variant: Variant, history: History, recovery: bool) -> TestServer {
    TestServer::serving(variant, application(&Reasons::default()), |config| {
        config.rules.history = history;
        config.rules.recovery = recovery;
        config.limits.ring_bytes = 64 * 1024;
    })
    .await
}

/// Publishes numbered large messages until the reader is behind over ten of them, and
/// a last one; how many there are.
async fn flood(server: &TestServer) -> usize {
    let (mut count, mut more) = (0, 10);
    while more > 0 {
        assert!(count < 1_000, "60 MB and the reader is not behind");
        server
            .publish("lobby", &format!("{count:06}{}", "x".repeat(BODY)))
            .await;
        count += 1;
        more = if server.stats().behind > 0 {
            more - 1
        } else {
            10
        };
    }
    server.publish("lobby", &format!("{count:06}")).await;
    count + 1
}

fn number(packet: &str) -> Option<usize> {
    packet
        .strip_prefix("42[\"message\",\"")?
        .get(..6)?
        .parse()
        .ok()
}

#[tokio::test]
async fn p5_a_socket_that_fell_behind_gets_everything_in_order() {
    for variant in [Variant::MEMORY, Variant::MEMORY_PULL] {
        for recovery in [true, false] {
            let history = History {
                bytes: 256 << 20,
                ..History::default()
            };
            let server = serving(variant, history, recovery).await;
            let (mut slow, _) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
            let (mut other, _) = Client::join(server.addr, "/", Value::Null).await;
            let count = flood(&server).await;
            assert_eq!(other.ask("421[\"echo\",1]").await, "431[1]");
            for n in 0..count {
                assert_eq!(number(&slow.hear().await), Some(n));
            }
            assert_eq!(slow.ask("422[\"echo\",2]").await, "432[2]");
        }
    }
}

#[tokio::test]
async fn p3_a_socket_that_fell_out_of_history_is_told_before_what_comes_next() {
    for recovery in [true, false] {
        let history = History {
            messages: 3,
            ..History::default()
        };
        let server = serving(Variant::MEMORY, history, recovery).await;
        let (mut slow, _) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
        let count = flood(&server).await;
        let (mut next, mut gaps) = (0, 0);
        while next < count {
            let packet = slow.hear().await;
            match number(&packet) {
                Some(n) => {
                    assert!(
                        n == next || gaps > 0,
                        "{next}..{n} are missing without a gap"
                    );
                    assert!(n >= next, "{n} after {next}");
                    next = n + 1;
                }
                None => {
                    assert!(packet.starts_with("42[\"$gap\",{"), "{packet}");
                    let told: Value = serde_json::from_str(&packet[2..]).unwrap();
                    let (room, reason) = (&told[1]["room"], &told[1]["reason"]);
                    assert_eq!((room, reason), (&json!("lobby"), &json!("trimmed")));
                    gaps += 1;
                }
            }
        }
        assert!(gaps > 0);
    }
}
