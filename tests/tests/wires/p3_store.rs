//! P3 and P4 where the store itself fails: it loses its tail, a part of its
//! feed, or cannot say what became of an append.

use fanwire_core::broker::Faults;
use fanwire_tests::http::Answer;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::{Said, seq};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::{until, within};
use fanwire_tests::ws::Ws;

use crate::p3_gaps::opening;
use crate::table::faults;

faults!(
    p3_a_store_that_lost_its_tail_is_told_as_rewound_to_who_listens,
    p3_a_store_that_lost_its_tail_is_told_as_rewound_to_who_returns,
    p3_a_part_of_the_feed_that_never_came_is_told_as_lost,
    p3_a_store_that_cannot_be_asked_is_never_a_gap,
    p4_an_unknown_outcome_is_503_and_the_same_key_finds_out,
    p4_a_store_that_cannot_be_reached_is_503_and_nothing_is_kept,
);

/// Publishes so many and waits until every feed has brought them; their ids.
async fn publish(server: &TestServer, texts: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for text in texts {
        ids.push(server.publish("a", text).await);
    }
    ids
}

async fn p3_a_store_that_lost_its_tail_is_told_as_rewound_to_who_listens(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listeners = Vec::new();
    for transport in Transport::RESUMING {
        listeners.push(Listener::open(transport, server.addr, "a", "").await);
    }
    let mut raw = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let ids = publish(&server, &["1", "2", "3", "4", "5"]).await;
    for listener in &mut listeners {
        assert_eq!(listener.texts(5).await, ["1", "2", "3", "4", "5"]);
    }
    assert_eq!(raw.texts(5).await.len(), 5);
    server.chaos().cut(2);
    let new = server.publish("a", "new").await;
    assert_eq!(
        seq(&new),
        seq(&ids[3]),
        "seqs go on where the store was cut"
    );
    assert_ne!(new, ids[3], "under another epoch");
    for listener in &mut listeners {
        let gap = loop {
            match listener.next().await {
                Said::Gap(gap) => break gap,
                Said::Cursor(_) => {}
                other => panic!("before the gap: {other:?}"),
            }
        };
        assert_eq!(
            (gap.channel.as_str(), gap.reason.as_str()),
            ("a", "rewound")
        );
        assert_eq!(gap.cursor, ids[2], "the end of what was kept");
        let heard = listener.message().await;
        assert_eq!((heard.plain(), heard.id), ("new".into(), Some(new.clone())));
    }
    let Said::Closed(3010, cursor) = raw.next().await else {
        panic!("a raw socket went on past a loss")
    };
    let mut raw = Listener::resume(Transport::WsRaw, server.addr, "a", &cursor).await;
    assert_eq!(raw.texts(1).await, ["new"]);
}

async fn p3_a_store_that_lost_its_tail_is_told_as_rewound_to_who_returns(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut witness = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    let ids = publish(&server, &["1", "2", "3", "4", "5"]).await;
    server.chaos().cut(2);
    server.publish("a", "new").await;
    // A node that has not heard of the cut yet tells it in mid-stream; this one
    // has, once somebody heard what came after.
    while !matches!(witness.next().await, Said::Heard(heard) if heard.plain() == "new") {}
    for transport in Transport::RESUMING {
        let mut past = Listener::resume(transport, server.addr, "a", &ids[4]).await;
        let (gaps, _) = opening(&mut past).await;
        assert_eq!(gaps.len(), 1, "{transport:?} {gaps:?}");
        assert_eq!(
            (gaps[0].reason.as_str(), &gaps[0].cursor),
            ("rewound", &ids[2])
        );
        assert_eq!(past.texts(1).await, ["new"]);
        // What stands before the cut is as good as ever.
        let mut before = Listener::resume(transport, server.addr, "a", &ids[1]).await;
        assert_eq!(opening(&mut before).await.0, [], "{transport:?}");
        assert_eq!(before.texts(2).await, ["3", "new"]);
    }
}

async fn p3_a_part_of_the_feed_that_never_came_is_told_as_lost(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.applied_wait = std::time::Duration::from_millis(50);
    })
    .await;
    let mut listeners = Vec::new();
    for transport in [
        Transport::SseRaw,
        Transport::SseEnvelope,
        Transport::WsEnvelope,
    ] {
        listeners.push(Listener::open(transport, server.addr, "a", "").await);
    }
    let mut raw = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let first = server.publish("a", "heard").await;
    for listener in listeners.iter_mut().chain([&mut raw]) {
        assert_eq!(listener.texts(1).await, ["heard"]);
    }
    // Kept and acknowledged, but this node's feed never brings it.
    let held = Faults {
        hold_feed: 1_000,
        stall: 1_000,
        ..Faults::none()
    };
    server.chaos().set_faults(held);
    let lost = server.publish("a", "never comes").await;
    server.chaos().lose(1);
    server.chaos().settle();
    let after = server.publish("a", "after").await;
    for listener in &mut listeners {
        let gap = loop {
            match listener.next().await {
                Said::Gap(gap) => break gap,
                Said::Ready(_) => {}
                other => panic!("before the gap: {other:?}"),
            }
        };
        assert_eq!((gap.channel.as_str(), gap.reason.as_str()), ("a", "lost"));
        assert_eq!(gap.lost_through, Some(lost.clone()));
        if matches!(listener, Listener::Sse(_)) {
            assert_eq!(gap.id, Some(first.clone()), "who drops here is told again");
        }
        let heard = listener.message().await;
        assert_eq!(
            (heard.plain(), heard.id),
            ("after".into(), Some(after.clone()))
        );
    }
    let Said::Closed(3010, cursor) = raw.next().await else {
        panic!("a raw socket went on past a loss")
    };
    let mut raw = Listener::resume(Transport::WsRaw, server.addr, "a", &cursor).await;
    assert_eq!(raw.texts(1).await, ["after"]);
}

async fn p3_a_store_that_cannot_be_asked_is_never_a_gap(variant: Variant) {
    let server = TestServer::start(variant).await;
    let ids = publish(&server, &["1", "2", "3"]).await;
    let epoch = ids[0].split_once('-').unwrap().0.to_owned();
    let deaf = Faults {
        read_unavailable: 1_000,
        top_unavailable: 1_000,
        ..Faults::none()
    };
    server.chaos().set_faults(deaf);
    let mut asking = Vec::new();
    for transport in Transport::RESUMING {
        let (to, cursor) = (server.addr, ids[0].clone());
        asking.push(tokio::spawn(async move {
            let mut listener = Listener::resume(transport, to, "a", &cursor).await;
            let texts = listener.texts(3).await;
            (transport, texts)
        }));
    }
    // Beyond the top, as far as anybody knows: but nobody can be asked.
    let ahead = format!("{epoch}-{}", seq(&ids[2]) + 1);
    let target = format!("/c/a?format=envelope&after={ahead}");
    let future = Ws::try_open(server.addr, &target, &[]);
    let mut future = std::pin::pin!(future);
    let asked = until("the store to be asked in vain", || {
        let waiting = server.stats().behind == Transport::RESUMING.len() + 1;
        (waiting && server.chaos().counts().tops_unavailable >= 2).then_some(())
    });
    tokio::select! {
        biased;
        opened = &mut future => panic!("it was answered: {opened:?}"),
        () = asked => {}
    }
    // First the message: a store that answers before it would call the cursor
    // one of the future, and be right.
    server.publish("a", "4").await;
    server.chaos().set_faults(Faults::none());
    for asking in asking {
        let (transport, texts) = within("a resume that waited for the store", asking)
            .await
            .unwrap();
        assert_eq!(texts, ["2", "3", "4"], "{transport:?}");
    }
    let mut opened = within("the store to be asked again", future)
        .await
        .unwrap()
        .unwrap()
        .enveloped(true);
    assert!(
        matches!(opened.next().await, Said::Ready(_)),
        "4 has come: the cursor is valid"
    );
}

async fn keyed(server: &TestServer, key: &str) -> Answer {
    server
        .post("a", &[("Idempotency-Key", key)], key.as_bytes())
        .await
}

async fn p4_an_unknown_outcome_is_503_and_the_same_key_finds_out(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::SseRaw, server.addr, "a", "").await;
    server.chaos().set_faults(Faults {
        unknown_kept: 1_000,
        ..Faults::none()
    });
    let answer = keyed(&server, "kept").await;
    answer.refused(503, "outcome_unknown");
    server.chaos().set_faults(Faults {
        unknown_lost: 1_000,
        ..Faults::none()
    });
    keyed(&server, "lost").await.refused(503, "outcome_unknown");
    server.chaos().settle();
    let kept = keyed(&server, "kept").await;
    assert_eq!(
        (kept.status, kept.json()["duplicate"].as_bool()),
        (200, Some(true))
    );
    let lost = keyed(&server, "lost").await;
    assert_eq!((lost.status, lost.json().get("duplicate")), (200, None));
    server.publish("a", "end").await;
    assert_eq!(
        listener.texts_until("end").await,
        ["kept", "lost"],
        "each of them once"
    );
}

async fn p4_a_store_that_cannot_be_reached_is_503_and_nothing_is_kept(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut raw = Ws::open(server.addr, "/c/a", &[]).await;
    let mut envelope = Ws::envelope(server.addr, "/c/a").await;
    assert!(matches!(envelope.next().await, Said::Ready(_)));
    server.chaos().set_faults(Faults {
        reject: 1_000,
        ..Faults::none()
    });
    let answer = keyed(&server, "k").await;
    answer.refused(503, "unavailable");
    assert!(answer.header("retry-after").is_some());
    envelope.text("{\"data\":1,\"ref\":1}").await;
    let Said::Reply(reply) = envelope.next().await else {
        panic!("no $error")
    };
    assert_eq!(
        (&reply["code"], &reply["ref"]),
        (&"unavailable".into(), &1.into())
    );
    raw.text("x").await;
    assert_eq!(raw.closed().await.0, 1013);
    server.chaos().set_faults(Faults::none());
    assert!(poll::read(&server.get("a", &[]).await).0.is_empty());
    assert_eq!(
        keyed(&server, "k").await.json().get("duplicate"),
        None,
        "a refusal is not remembered"
    );
}
