//! P1 Order: the messages of all channels named, in id order, none twice, none
//! missing.

use fanwire_tests::http::Http;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::ws::Ws;

use crate::table::{cells, readied, secured, variants};

secured!(
    p1_concurrent_publishers_are_heard_in_the_order_of_their_ids,
    p1_one_sequential_publisher_stays_in_order,
);
cells!(
    p1_concurrent_publishers_are_heard_in_the_order_of_their_ids,
    p1_own_messages_come_back,
    p1_one_sequential_publisher_stays_in_order,
);
readied!(p1_exclude_leaves_one_connection_out);
variants!(
    p1_a_message_with_several_targets_is_heard_once,
    p1_all_transports_hear_the_same_in_the_same_order,
    p1_a_raw_websocket_publishes_text_and_binary,
    p1_an_enveloped_websocket_publishes_every_kind,
    p1_volatile_has_no_id_is_not_kept_and_is_heard_in_its_place,
);

async fn p1_concurrent_publishers_are_heard_in_the_order_of_their_ids(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::start(variant).await;
    let channels = transport.channels(&["a", "chat:b", ":user:5"]);
    let mut listener = Listener::open(transport, server.addr, &channels.join(","), "").await;
    let publishers = (0..4).map(|publisher| {
        let (to, channels): (_, Vec<String>) = (
            server.addr,
            channels.iter().map(|c| (*c).to_owned()).collect(),
        );
        tokio::spawn(async move {
            let mut http = Http::connect(to).await;
            let mut acked = Vec::new();
            for at in 0..25 {
                let channel = &channels[(publisher + at) % channels.len()];
                let text = format!("{publisher}.{at}");
                let answer = http
                    .ask("POST", &format!("/c/{channel}"), &[], text.as_bytes())
                    .await;
                acked.push((answer.id(), text, channel.clone()));
            }
            acked
        })
    });
    let mut acked = Vec::new();
    for publisher in publishers.collect::<Vec<_>>() {
        acked.extend(publisher.await.unwrap());
    }
    acked.sort_by_key(|(id, ..)| fanwire_tests::said::seq(id));
    for (id, text, channel) in acked {
        let heard = listener.message().await;
        assert_eq!(heard.plain(), text);
        if transport.has_ids() {
            assert_eq!(heard.id, Some(id));
        }
        if let Some(named) = heard.channel {
            assert_eq!(named, channel);
        }
    }
}

async fn p1_one_sequential_publisher_stays_in_order(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(transport, server.addr, "a", "").await;
    // Frames follow one another without waiting for an answer.
    let mut publisher = Ws::envelope(server.addr, "/c/a").await;
    for at in 0..200 {
        publisher
            .text(&format!(r#"{{"data":"m{at}","kind":"text"}}"#))
            .await;
    }
    let expected: Vec<String> = (0..200).map(|at| format!("m{at}")).collect();
    assert_eq!(listener.texts(200).await, expected);
}

async fn p1_own_messages_come_back(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(transport, server.addr, "a", "").await;
    match &mut listener {
        Listener::Ws(ws) if transport == Transport::WsRaw => ws.text("mine").await,
        Listener::Ws(ws) => ws.text(r#"{"data":"mine","kind":"text"}"#).await,
        _ => drop(server.publish("a", "mine").await),
    }
    assert_eq!(listener.message().await.plain(), "mine");
}

async fn p1_exclude_leaves_one_connection_out(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let mut out = Listener::open(transport, server.addr, "a", "").await;
    let mut other = Listener::open(transport, server.addr, "a", "").await;
    let (left_out, kept) = (out.ready().await, other.ready().await);
    assert_ne!(left_out.conn, kept.conn);
    assert!(left_out.conn.len() >= 16, "guessable: {}", left_out.conn);
    let excluding = format!("a?exclude={}", left_out.conn);
    server.publish(&excluding, "not for you").await;
    server.publish("a", "for all").await;
    assert_eq!(out.texts(1).await, ["for all"]);
    assert_eq!(other.texts(2).await, ["not for you", "for all"]);
}

async fn p1_a_message_with_several_targets_is_heard_once(variant: Variant) {
    let server = TestServer::start(variant).await;
    for transport in Transport::RESUMING {
        let mut both = Listener::open(transport, server.addr, "b,a", "").await;
        let mut one = Listener::open(transport, server.addr, "b", "").await;
        let id = server.publish("a,b", "once").await;
        server.publish("b", "after").await;
        let heard = both.message().await;
        assert_eq!(heard.id.as_deref(), Some(id.as_str()));
        assert_eq!(
            heard.channel.as_deref(),
            Some("a"),
            "the first of the message's targets"
        );
        assert_eq!(both.message().await.plain(), "after");
        let heard = one.message().await;
        assert_eq!((heard.plain(), heard.id), ("once".into(), Some(id)));
        assert_eq!(one.message().await.plain(), "after");
    }
    // A channel named twice counts once, in a stream and in a publish.
    let mut twice = Listener::open(Transport::SseEnvelope, server.addr, "a,a", "").await;
    server.publish("a,a", "one").await;
    server.publish("a", "two").await;
    assert_eq!(twice.texts(2).await, ["one", "two"]);
}

async fn p1_all_transports_hear_the_same_in_the_same_order(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listeners = Vec::new();
    for transport in Transport::RESUMING {
        listeners.push(Listener::open(transport, server.addr, "a,b", "").await);
    }
    let mut raw = Listener::open(Transport::WsRaw, server.addr, "b", "").await;
    let mut ids = Vec::new();
    for at in 0..40 {
        let list = ["a", "b", "a,b"][at % 3];
        ids.push(server.publish(list, &format!("m{at}")).await);
    }
    for listener in &mut listeners {
        let mut heard = Vec::new();
        for _ in 0..ids.len() {
            heard.push(listener.message().await.id.unwrap());
        }
        assert_eq!(heard, ids);
    }
    let expected: Vec<String> = (0..40)
        .filter(|at| at % 3 != 0)
        .map(|at| format!("m{at}"))
        .collect();
    assert_eq!(raw.texts(expected.len()).await, expected);
}

async fn p1_a_raw_websocket_publishes_text_and_binary(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    let mut raw = Ws::open(server.addr, "/c/a", &[]).await;
    raw.text("{\"data\":1}").await;
    raw.binary(&[0, 255]).await;
    raw.text("").await;
    let heard = listener.message().await;
    assert_eq!(
        (heard.kind, heard.plain()),
        (fanwire_tests::said::Kind::Text, "{\"data\":1}".into())
    );
    let heard = listener.message().await;
    assert_eq!(
        (heard.kind, heard.plain()),
        (fanwire_tests::said::Kind::Binary, "AP8=".into())
    );
    assert_eq!(listener.message().await.text(), "\"\"");
    // And its own come back, each as the kind it was.
    for (kind, data) in [
        (fanwire_tests::said::Kind::Raw, b"{\"data\":1}".to_vec()),
        (fanwire_tests::said::Kind::Frame, vec![0, 255]),
        (fanwire_tests::said::Kind::Raw, vec![]),
    ] {
        let Said::Heard(heard) = raw.next().await else {
            panic!("a message was due")
        };
        assert_eq!((heard.kind, heard.data), (kind, data));
    }
}

async fn p1_an_enveloped_websocket_publishes_every_kind(variant: Variant) {
    use fanwire_tests::said::Kind;
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::Poll, server.addr, "a,b", "").await;
    let mut ws = Ws::envelope(server.addr, "/c/a,b").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws.text(r#"{"data":{"n":9007199254740993},"event":"e1","key":"k","ref":"r"}"#)
        .await;
    ws.text(r#"{"ref":7,"kind":"text","data":"hi"}"#).await;
    ws.text(r#"{"kind":"binary","data":"AP8=","unknown":[1]}"#)
        .await;
    ws.text(r#"{"data":null,"ref":9007199254740991}"#).await;
    let mut acks = Vec::new();
    let mut own = Vec::new();
    while acks.len() < 3 || own.len() < 4 {
        match ws.next().await {
            Said::Reply(reply) => acks.push(reply),
            Said::Heard(heard) => own.push(heard),
            other => panic!("{other:?}"),
        }
    }
    assert!(acks.iter().all(|ack| ack["event"] == "$ack"), "{acks:?}");
    assert_eq!(acks[0]["ref"], "r");
    assert_eq!(acks[1]["ref"], 7);
    assert_eq!(acks[2]["ref"], 9_007_199_254_740_991_u64);
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(listener.message().await);
    }
    assert_eq!(heard, own, "a poll and a WebSocket show the same envelopes");
    assert_eq!(acks[0]["id"], heard[0].id.clone().unwrap());
    assert_eq!(acks[1]["id"], heard[1].id.clone().unwrap());
    assert_eq!(acks[2]["id"], heard[3].id.clone().unwrap());
    let kinds: Vec<Kind> = heard.iter().map(|h| h.kind).collect();
    assert_eq!(kinds, [Kind::Json, Kind::Text, Kind::Binary, Kind::Json]);
    assert_eq!(heard[0].text(), r#"{"n":9007199254740993}"#);
    assert_eq!(
        (heard[0].event.as_str(), heard[0].key.as_deref()),
        ("e1", Some("k"))
    );
    assert_eq!(heard[3].text(), "null");
}

async fn p1_volatile_has_no_id_is_not_kept_and_is_heard_in_its_place(variant: Variant) {
    let server = TestServer::start(variant).await;
    let before = server.now("a").await;
    let mut sse = Listener::open(Transport::SseRaw, server.addr, "a", "").await;
    let mut ws = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    let mut raw = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let first = server.publish("a", "kept 1").await;
    // Only who has nothing waiting hears a volatile message: all take it first.
    for listener in [&mut sse, &mut ws, &mut raw] {
        assert_eq!(listener.texts(1).await, ["kept 1"]);
    }
    let answer = server.post("a?volatile=1", &[], b"typing").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"id":null}"#)
    );
    let heard = sse.message().await;
    assert_eq!(
        (heard.id.as_deref(), heard.plain().as_str()),
        (None, "typing")
    );
    assert_eq!(
        sse.last(),
        Some(first.clone()),
        "a volatile message moves no cursor"
    );
    let second = server.publish("a", "kept 2").await;
    assert_eq!(sse.texts(1).await, ["kept 2"]);
    assert_eq!(
        fanwire_tests::said::seq(&second),
        fanwire_tests::said::seq(&first) + 1
    );
    let (typing, two) = (ws.message().await, ws.message().await);
    assert_eq!(
        (typing.plain(), two.plain()),
        ("typing".into(), "kept 2".into())
    );
    assert_eq!(typing.members, ["channel", "event", "data", "ts", "kind"]);
    assert_eq!(raw.texts(2).await, ["typing", "kept 2"]);
    let mut back = Listener::resume(Transport::Poll, server.addr, "a", &before).await;
    assert_eq!(back.texts(2).await, ["kept 1", "kept 2"]);
}
