//! P3 in mid-stream: where a live reader falls behind what is kept.

use fanwire_tests::http::Http;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::{Said, seq};
use fanwire_tests::server::{TestServer, Variant, keep};
use fanwire_tests::wait::until;

use crate::p3_gaps::opening;
use crate::table::{readied, variants};

readied!(
    p3_a_reader_that_fell_out_of_history_is_told_between_the_messages,
    p3_without_history_a_slow_reader_is_told_what_it_missed,
);
variants!(p3_a_raw_websocket_that_fell_out_of_history_is_closed_with_3010,);

const BODY: usize = 60_000;

/// What is kept of the namespace, and next to nothing of what is recent: the
/// ring too would give a reader back what history no longer has.
fn kept(config: &mut fanwire::Config, namespace: &str, messages: usize) {
    keep(config, namespace, messages);
    config.limits.ring_bytes = 64 * 1024;
}

/// Publishes numbered large messages while nobody reads, until the hub has had a
/// reader behind over twenty of them. Returns their ids.
async fn flood(server: &TestServer, channel: &str) -> Vec<String> {
    let mut http = Http::connect(server.addr).await;
    let mut ids = Vec::new();
    let mut more = 20;
    while more > 0 {
        assert!(ids.len() < 1_000, "60 MB and the reader is not behind");
        let mut body = format!("{} ", ids.len());
        body.extend(std::iter::repeat_n('x', BODY));
        ids.push(
            http.ask("POST", &format!("/c/{channel}"), &[], body.as_bytes())
                .await
                .id(),
        );
        more = if server.stats().behind > 0 {
            more - 1
        } else {
            20
        };
    }
    ids
}

fn number(text: &str) -> usize {
    text.split_once(' ').unwrap().0.parse().unwrap()
}

/// Reads to the message `end`: whatever is missing, a gap names.
async fn account(listener: &mut Listener, ids: &[String], reason: &str, channel: &str) {
    let (mut next, mut gaps) = (0, 0);
    let mut excused = 0;
    loop {
        match listener.next().await {
            Said::Heard(heard) if heard.plain() == "end" => break,
            Said::Heard(heard) => {
                let at = number(&heard.plain());
                assert_eq!(heard.id.as_ref(), Some(&ids[at]));
                assert!(at >= next, "{at} after {next}");
                assert!(
                    excused >= at || at == next,
                    "{next}..{at} are missing without a gap"
                );
                next = at + 1;
            }
            Said::Gap(gap) => {
                gaps += 1;
                assert_eq!(
                    (gap.channel.as_str(), gap.reason.as_str()),
                    (channel, reason)
                );
                let lost = gap.lost_through.unwrap();
                // Further `end`s push out what was held: the loss may reach them.
                let through = ids.iter().position(|id| *id == lost);
                let through = through.unwrap_or(ids.len() - 1);
                assert!(through >= next, "a gap over what was heard");
                excused = through + 1;
                if let Listener::Sse(sse) = listener {
                    // From before the loss: who drops here is told again.
                    assert_eq!(gap.id, sse.last_id);
                    let before = seq(gap.id.as_deref().unwrap());
                    assert!(next == 0 || before == seq(&ids[next - 1]), "{before}");
                }
                assert!(seq(&gap.cursor) >= seq(&lost));
            }
            Said::Ready(_) | Said::Cursor(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(
        excused >= ids.len() || next == ids.len(),
        "the last ones are missing"
    );
    assert!(gaps > 0, "nothing was lost: the test does not test");
}

async fn p3_a_reader_that_fell_out_of_history_is_told_between_the_messages(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| kept(config, "short", 3)).await;
    let mut listener = Listener::lazy(transport, server.addr, "short:a").await;
    let ids = flood(&server, "short:a").await;
    let end = tokio::spawn(end_when_caught_up(server.addr, "short:a"));
    account(&mut listener, &ids, "trimmed", "short:a").await;
    end.abort();
    // Who drops at the gap comes back before it and is told again.
    let mut again = Listener::resume(transport, server.addr, "short:a", &ids[0]).await;
    assert_eq!(opening(&mut again).await.0.len(), 1);
}

/// Publishes `end` until its reader hangs up: where nothing is kept, one that
/// is still behind does not hear the first.
async fn end_when_caught_up(to: std::net::SocketAddr, channel: &'static str) {
    let mut http = Http::connect(to).await;
    loop {
        http.ask("POST", &format!("/c/{channel}"), &[], b"end")
            .await
            .id();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn p3_without_history_a_slow_reader_is_told_what_it_missed(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| kept(config, "off", 0)).await;
    let mut listener = Listener::lazy(transport, server.addr, "off:a").await;
    let ids = flood(&server, "off:a").await;
    let end = tokio::spawn(end_when_caught_up(server.addr, "off:a"));
    let (mut next, mut gaps) = (0, 0);
    loop {
        match listener.next().await {
            Said::Heard(heard) if heard.plain() == "end" => break,
            Said::Heard(heard) => {
                let at = number(&heard.plain());
                assert_eq!(heard.id.as_ref(), Some(&ids[at]));
                assert!(
                    at == next || (gaps > 0 && at > next),
                    "{next}..{at} missing"
                );
                next = at + 1;
            }
            Said::Gap(gap) => {
                gaps += 1;
                assert_eq!(
                    (gap.channel.as_str(), gap.reason.as_str()),
                    ("off:a", "history_off")
                );
            }
            Said::Ready(_) | Said::Cursor(_) => {}
            other => panic!("{other:?}"),
        }
    }
    end.abort();
    assert!(gaps > 0, "heard {next} of {} and no gap", ids.len());
}

async fn p3_a_raw_websocket_that_fell_out_of_history_is_closed_with_3010(variant: Variant) {
    let server = TestServer::with(variant, |config| kept(config, "short", 3)).await;
    let mut listener = Listener::lazy(Transport::WsRaw, server.addr, "short:a").await;
    let ids = flood(&server, "short:a").await;
    let all = listener.rest().await;
    let (last, messages) = all.split_last().unwrap();
    for (at, said) in messages.iter().enumerate() {
        let Said::Heard(heard) = said else {
            panic!("{said:?}")
        };
        assert_eq!(number(&heard.text()), at, "data without a hole, or 3010");
    }
    let Said::Closed(3010, cursor) = last else {
        panic!("{last:?} after {} of {}", messages.len(), ids.len())
    };
    until("the hub to let it go", || {
        (server.stats().subscribers == 0).then_some(())
    })
    .await;
    let mut back = Listener::resume(Transport::WsRaw, server.addr, "short:a", cursor).await;
    let heard = back.message().await;
    assert!(number(&heard.text()) > messages.len(), "just past the loss");
}
