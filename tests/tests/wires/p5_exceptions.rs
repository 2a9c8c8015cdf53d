//! What a slow or returning reader does not hear, by rule: volatile messages,
//! and values that a later one of the same key replaced. And who left.

use fanwire::config::NamedRules;
use fanwire_tests::http::{Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant, keep};
use fanwire_tests::wait::until;

use crate::table::{modes, readied, resuming};

readied!(
    p5_a_volatile_message_passes_by_a_reader_that_is_behind,
    p1_a_connection_left_out_does_not_hear_it_from_history_either,
);
resuming!(p1_conflated_values_are_left_out_on_catch_up_and_there_alone);
modes!(
    c6_a_half_closed_stream_or_poll_is_gone,
    x4_many_that_come_and_go_leave_nothing,
);

async fn p5_a_volatile_message_passes_by_a_reader_that_is_behind(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| {
        keep(config, "big", 10_000);
        config
            .namespaces
            .by_name
            .get_mut("big")
            .unwrap()
            .history_bytes = Some(128 << 20);
    })
    .await;
    let mut slow = Listener::lazy(transport, server.addr, "big:a").await;
    let mut quick = Listener::open(transport, server.addr, "big:a", "").await;
    quick.ready().await;
    let mut http = Http::connect(server.addr).await;
    let body = "x".repeat(30_000);
    let mut kept = 0;
    for at in 0.. {
        assert!(at < 1_000, "30 MB and the reader is not behind");
        http.ask("POST", "/c/big:a", &[], body.as_bytes())
            .await
            .id();
        kept += 1;
        // It has nothing waiting once it has read: only then it may hear these.
        assert_eq!(quick.message().await.plain().len(), body.len());
        if server.stats().behind > 0 && at > 40 {
            break;
        }
    }
    let answer = http
        .ask("POST", "/c/big:a?volatile=1", &[], b"typing")
        .await;
    assert_eq!(answer.status, 200);
    http.ask("POST", "/c/big:a", &[], b"end").await.id();
    assert_eq!(quick.texts(2).await, ["typing", "end"]);
    let heard = slow.texts_until("end").await;
    assert_eq!(heard.len(), kept);
    assert!(
        heard.iter().all(|text| text.len() == body.len()),
        "a late volatile message"
    );
}

async fn p1_a_connection_left_out_does_not_hear_it_from_history_either(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| {
        keep(config, "big", 10_000);
        config
            .namespaces
            .by_name
            .get_mut("big")
            .unwrap()
            .history_bytes = Some(128 << 20);
        config.limits.ring_bytes = 64 * 1024;
    })
    .await;
    let mut slow = Listener::lazy(transport, server.addr, "big:a").await;
    let conn = slow.ready().await.conn;
    let mut http = Http::connect(server.addr).await;
    let body = "x".repeat(30_000);
    let mut excluded = 0;
    let mut stalls = 0;
    for at in 0.. {
        assert!(at < 1_000, "30 MB and the reader is not behind");
        http.ask("POST", "/c/big:a", &[], body.as_bytes())
            .await
            .id();
        let target = format!("/c/big:a?exclude={conn}");
        http.ask("POST", &target, &[], b"not for it").await.id();
        excluded += 1;
        stalls = if server.stats().behind > 0 {
            stalls + 1
        } else {
            0
        };
        if stalls == 20 {
            break;
        }
    }
    http.ask("POST", "/c/big:a", &[], b"end").await.id();
    let heard = slow.texts_until("end").await;
    assert!(
        heard.iter().all(|text| text.len() == body.len()),
        "it was left out"
    );
    assert_eq!(heard.len(), excluded, "and the others are all there");
    // Who comes back is another connection, and hears them: there are so many.
    let mut other = Listener::open(Transport::Poll, server.addr, "big:a", "after=earliest").await;
    assert_eq!(other.texts_until("end").await.len(), 2 * excluded);
}

async fn p1_conflated_values_are_left_out_on_catch_up_and_there_alone(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| {
        let rules = NamedRules {
            conflate: Some(true),
            ..NamedRules::default()
        };
        config.namespaces.by_name.insert("px".into(), rules);
    })
    .await;
    let mut live = Listener::open(Transport::WsRaw, server.addr, "px:a", "").await;
    let start = server.now("px:a").await;
    let published = [
        "EUR 1", "USD 1", "plain 1", "EUR 2", "EUR 3", "plain 2", "USD 2",
    ];
    for text in published {
        let key = text.split(' ').next().unwrap();
        let query = if key == "plain" {
            String::new()
        } else {
            format!("?key={key}")
        };
        server.publish(&format!("px:a{query}"), text).await;
        // Read before the next one: who keeps up hears every value.
        assert_eq!(live.texts(1).await, [text]);
    }
    let mut back = Listener::resume(transport, server.addr, "px:a", &start).await;
    server.publish("px:a?key=EUR", "EUR 4").await;
    let heard = back.texts_until("EUR 4").await;
    // Each key's newest, everything without a key, in the order of the ids. The
    // reader may have been fed before EUR 4 was there, or after.
    let later = ["plain 1", "plain 2", "USD 2"];
    if variant.chaos {
        // Its reads may end after one message: only what one piece of catching
        // up holds is conflated. Nothing else goes missing or out of order.
        let mut rest = published.iter();
        assert!(
            heard.iter().all(|text| rest.any(|other| other == text)),
            "{heard:?}"
        );
        assert!(
            later.iter().all(|text| heard.iter().any(|h| h == text)),
            "{heard:?}"
        );
    } else {
        let newest = ["plain 1", "EUR 3", "plain 2", "USD 2"];
        assert!(heard == newest || heard == later, "{heard:?}");
    }
}

async fn c6_a_half_closed_stream_or_poll_is_gone(variant: Variant) {
    let server = TestServer::start(variant).await;
    for target in ["/c/a?format=sse", "/c/a?wait=55"] {
        let mut http = Http::connect(server.addr).await;
        let bytes = request("GET", target, &[("Host", b"localhost")], b"");
        http.wire.send(&bytes).await.unwrap();
        until("it to listen", || {
            (server.stats().subscribers == 1).then_some(())
        })
        .await;
        http.wire.finish().await;
        until("it to be gone", || {
            (server.stats().subscribers == 0).then_some(())
        })
        .await;
        server.publish("a", "late").await;
        let (rest, _) = http.wire.rest().await;
        assert!(!rest.windows(4).any(|part| part == b"late"), "{target}");
    }
}

async fn x4_many_that_come_and_go_leave_nothing(variant: Variant) {
    let server = TestServer::start(variant).await;
    for round in 0..60 {
        let mut there = Vec::new();
        for transport in Transport::RESUMING {
            let name = format!("c{round}");
            there.push(Listener::open(transport, server.addr, &name, "rewind=1").await);
        }
        there.push(Listener::open(Transport::WsRaw, server.addr, "c", "").await);
        server.publish(&format!("c{round}"), "x").await;
        // Some have heard, some leave with it on the way.
        if round % 2 == 0 {
            assert_eq!(there[0].texts(1).await, ["x"]);
        }
    }
    until("all to be gone", || {
        let stats = server.stats();
        (stats.subscribers == 0 && stats.outbox_bytes == 0 && stats.behind == 0).then_some(())
    })
    .await;
    until("all connections to be gone", || {
        (server.connections() == 0).then_some(())
    })
    .await;
    let mut after = Listener::open(Transport::SseRaw, server.addr, "c", "").await;
    assert!(matches!(after.next().await, Said::Ready(_)));
}
