//! P2 Resume: who returns with a cursor hears exactly what was missed, then
//! live, on whatever transport. The connection is cut by a proxy, with a reset,
//! never by the client's own close.

use fanwire_tests::http::Http;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::proxy::Proxy;
use fanwire_tests::said::{Said, seq};
use fanwire_tests::server::{TestServer, Variant, keep};
use fanwire_tests::ws::Ws;

use crate::table::{cells, resuming, secured, variants};

secured!(
    p2_cut_after_every_message_and_resumed_on_every_transport,
    p2_cut_while_publishing_goes_on,
    p2_fifty_thousand_missed_messages_come_whole_in_bounded_memory,
);
resuming!(
    p2_cut_after_every_message_and_resumed_on_every_transport,
    p2_cut_at_every_byte_and_resumed_on_every_transport,
    p2_cut_while_publishing_goes_on,
    p2_several_channels_are_resumed_by_one_id,
    p2_fifty_thousand_missed_messages_come_whole_in_bounded_memory,
);
cells!(
    p2_earliest_latest_and_after_start_where_they_say,
    p2_rewind_starts_with_the_last_of_each_channel,
    p2_a_cursor_wins_over_rewind_and_the_header_over_the_query,
);
variants!(p2_a_cursor_is_carried_from_transport_to_transport);

/// Reads until the cut and gives the texts heard.
async fn until_cut(listener: &mut Listener) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        match listener.next().await {
            Said::Heard(heard) => texts.push(heard.plain()),
            Said::Ready(_) | Said::Cursor(_) => {}
            Said::Cut => return texts,
            other => panic!("{other:?}"),
        }
    }
}

async fn p2_cut_after_every_message_and_resumed_on_every_transport(
    variant: Variant,
    transport: Transport,
) {
    const COUNT: usize = 5;
    let server = TestServer::start(variant).await;
    let proxy = Proxy::start(server.addr).await;
    for back in Transport::RESUMING {
        for cut_after in 0..=COUNT {
            let start = server.now("a").await;
            let all: Vec<String> = (0..COUNT)
                .map(|at| format!("{back:?} {cut_after} {at}"))
                .collect();
            let mut listener = Listener::resume(transport, proxy.addr, "a", &start).await;
            for text in &all[..cut_after] {
                server.publish("a", text).await;
            }
            let mut heard = listener.texts(cut_after).await;
            proxy.cut();
            for text in &all[cut_after..] {
                server.publish("a", text).await;
            }
            heard.extend(until_cut(&mut listener).await);
            let cursor = listener.last().unwrap_or(start);
            let mut again = Listener::resume(back, server.addr, "a", &cursor).await;
            server.publish("a", "live").await;
            heard.extend(again.texts_until("live").await);
            assert_eq!(
                heard, all,
                "{transport:?} then {back:?}, cut after {cut_after}"
            );
        }
    }
}

async fn p2_cut_at_every_byte_and_resumed_on_every_transport(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::start(variant).await;
    let proxy = Proxy::start(server.addr).await;
    let mut http = Http::connect(server.addr).await;
    let mut start = server.now("a,b").await;
    for byte in 1.. {
        assert!(
            byte < 4_000,
            "an opening block and one event are longer than thought"
        );
        proxy.cut_at(Some(byte));
        let before = proxy.passed();
        let first = http
            .ask("POST", "/c/a", &[], format!("{byte} one").as_bytes())
            .await
            .id();
        let mut cursor = start.clone();
        let mut heard = Vec::new();
        if let Ok(mut listener) = Listener::try_resume(transport, proxy.addr, "a,b", &start).await {
            // The event is whole before the cut, or the cut comes.
            while heard.is_empty() {
                match listener.next().await {
                    Said::Heard(message) => heard.push(message.plain()),
                    Said::Ready(_) | Said::Cursor(_) => {}
                    Said::Cut => break,
                    other => panic!("byte {byte}: {other:?}"),
                }
            }
            cursor = listener.last().unwrap_or(cursor);
        }
        assert_eq!(
            !heard.is_empty(),
            cursor == first,
            "byte {byte}: {cursor} after {heard:?}"
        );
        let second = http
            .ask("POST", "/c/b", &[], format!("{byte} two").as_bytes())
            .await
            .id();
        let expected = [format!("{byte} one"), format!("{byte} two")];
        // One of them at each byte, so that every one comes back at bytes of every kind.
        let backs = (0..).zip(Transport::RESUMING);
        for (_, back) in backs.filter(|(at, _)| *at == byte % 4) {
            let mut again = Listener::resume(back, server.addr, "a,b", &cursor).await;
            let mut all = heard.clone();
            all.extend(again.texts(2 - heard.len()).await);
            assert_eq!(
                all, expected,
                "{transport:?} cut at byte {byte}, then {back:?}"
            );
        }
        start = second;
        if !heard.is_empty() && proxy.passed() - before < byte {
            return;
        }
    }
}

async fn p2_cut_while_publishing_goes_on(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let proxy = Proxy::start(server.addr).await;
    const COUNT: usize = 400;
    let start = server.now("a").await;
    let to = server.addr;
    let publisher = tokio::spawn(async move {
        let mut http = Http::connect(to).await;
        for at in 0..COUNT {
            http.ask("POST", "/c/a", &[], format!("{at}").as_bytes())
                .await
                .id();
        }
    });
    let mut heard: Vec<String> = Vec::new();
    let mut cursor = start;
    let mut cuts = 0u64;
    // Each life is cut at another byte; transports take turns.
    while heard.len() < COUNT {
        let transport = if cuts.is_multiple_of(2) {
            transport
        } else {
            Transport::RESUMING[(cuts / 2) as usize % 4]
        };
        proxy.cut_at(Some(700 + 397 * cuts));
        if let Ok(mut listener) = Listener::try_resume(transport, proxy.addr, "a", &cursor).await {
            while heard.len() < COUNT {
                match listener.next().await {
                    Said::Heard(message) => heard.push(message.plain()),
                    Said::Ready(_) | Said::Cursor(_) => {}
                    Said::Cut => break,
                    other => panic!("{other:?}"),
                }
            }
            cursor = listener.last().unwrap_or(cursor);
        }
        cuts += 1;
    }
    publisher.await.unwrap();
    let expected: Vec<String> = (0..COUNT).map(|at| at.to_string()).collect();
    assert_eq!(heard, expected, "over {cuts} cuts");
}

async fn p2_several_channels_are_resumed_by_one_id(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let proxy = Proxy::start(server.addr).await;
    let list = "a,chat:b,:user:5";
    let mut ids = Vec::new();
    let mut listener = Listener::open(transport, proxy.addr, list, "").await;
    for at in 0..12 {
        let channel = ["a", "chat:b", ":user:5"][at % 3];
        ids.push(server.publish(channel, &at.to_string()).await);
    }
    let mut heard = Vec::new();
    for _ in 0..5 {
        heard.push(listener.message().await.id.unwrap());
    }
    let cursor = listener.last().unwrap();
    assert_eq!(Some(&cursor), heard.last());
    drop(proxy);
    for at in 12..18 {
        let channel = ["a", "chat:b", ":user:5"][at % 3];
        ids.push(server.publish(channel, &at.to_string()).await);
    }
    for back in Transport::RESUMING {
        let mut again = Listener::resume(back, server.addr, list, &cursor).await;
        let mut all = heard.clone();
        while all.len() < ids.len() {
            all.push(again.message().await.id.unwrap());
        }
        assert_eq!(all, ids, "{transport:?} then {back:?}");
    }
}

async fn p2_fifty_thousand_missed_messages_come_whole_in_bounded_memory(
    variant: Variant,
    transport: Transport,
) {
    // The chaos broker lets every frame wait its turn, some milliseconds each.
    let count = if variant.chaos { 500 } else { 50_000 };
    let batch = count.min(1_000);
    let server = TestServer::with(variant, |config| {
        keep(config, "long", count + 10);
        let rules = config.namespaces.by_name.get_mut("long").unwrap();
        rules.history_bytes = Some(64 << 20);
    })
    .await;
    let start = server.now("long:a").await;
    let mut publisher = Ws::envelope(server.addr, "/c/long:a").await;
    let mut sent = 0;
    while sent < count {
        for _ in 0..batch {
            let reference = if (sent + 1) % batch == 0 {
                ",\"ref\":1"
            } else {
                ""
            };
            publisher
                .text(&format!("{{\"data\":{sent}{reference}}}"))
                .await;
            sent += 1;
        }
        // Own messages come back; reading them is what keeps this side going.
        while !matches!(publisher.next().await, Said::Reply(reply) if reply["event"] == "$ack") {}
    }
    let mut back = Listener::resume(transport, server.addr, "long:a", &start).await;
    let mut last = seq(&start);
    for at in 0..count {
        let heard = back.message().await;
        assert_eq!(heard.text(), at.to_string());
        assert!(heard.seq() > last);
        last = heard.seq();
    }
    server.publish("long:a", "live").await;
    assert_eq!(back.texts(1).await, ["live"]);
    let bound = server.config.limits.outbox + server.config.limits.chunk;
    let peak = server.stats().outbox_peak;
    assert!(peak <= bound, "an outbox held {peak} bytes");
}

async fn p2_earliest_latest_and_after_start_where_they_say(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let mut ids = Vec::new();
    for at in 0..4 {
        ids.push(server.publish("a", &at.to_string()).await);
    }
    let mut earliest = Listener::open(transport, server.addr, "a", "after=earliest").await;
    let mut latest = Listener::open(transport, server.addr, "a", "after=latest").await;
    let mut plain = Listener::open(transport, server.addr, "a", "").await;
    let mut after = Listener::open(transport, server.addr, "a", &format!("after={}", ids[1])).await;
    server.publish("a", "4").await;
    assert_eq!(earliest.texts(5).await, ["0", "1", "2", "3", "4"]);
    assert_eq!(latest.texts(1).await, ["4"]);
    assert_eq!(plain.texts(1).await, ["4"]);
    assert_eq!(after.texts(3).await, ["2", "3", "4"]);
    // A channel that never was: everything held is nothing.
    let mut fresh = Listener::open(transport, server.addr, "fresh", "after=earliest").await;
    server.publish("fresh", "first").await;
    assert_eq!(fresh.texts(1).await, ["first"]);
}

async fn p2_rewind_starts_with_the_last_of_each_channel(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    for text in ["a1", "a2", "a3"] {
        server.publish("a", text).await;
    }
    for text in ["b1", "b2", "b3", "b4"] {
        server.publish("b", text).await;
    }
    server.publish("a", "a4").await;
    let channels = transport.channels(&["a", "b"]);
    let list = channels.join(",");
    let mut listener = Listener::open(transport, server.addr, &list, "rewind=2").await;
    let mut more = Listener::open(transport, server.addr, &list, "rewind=1000").await;
    let mut none = Listener::open(transport, server.addr, &list, "rewind=0").await;
    server.publish("a", "live").await;
    assert_eq!(none.texts(1).await, ["live"]);
    if channels.len() == 1 {
        assert_eq!(listener.texts(3).await, ["a3", "a4", "live"]);
        assert_eq!(more.texts(5).await, ["a1", "a2", "a3", "a4", "live"]);
        return;
    }
    // a's second last is a3: what b has below its own second last stays out.
    let mut heard = listener.texts_until("live").await;
    if variant.chaos && transport.is_poll() {
        // Answered in parts, the second poll is a resume inside the replay: it
        // may bring more, never less.
        heard.retain(|text| text != "b1" && text != "b2");
    }
    assert_eq!(heard, ["a3", "b3", "b4", "a4"]);
    let all = ["a1", "a2", "a3", "b1", "b2", "b3", "b4", "a4", "live"];
    assert_eq!(more.texts(9).await, all);
}

async fn p2_a_cursor_wins_over_rewind_and_the_header_over_the_query(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::start(variant).await;
    let mut ids = Vec::new();
    for at in 0..4 {
        ids.push(server.publish("a", &at.to_string()).await);
    }
    let query = format!("rewind=4&after={}", ids[2]);
    let mut listener = Listener::open(transport, server.addr, "a", &query).await;
    assert_eq!(listener.texts(1).await, ["3"]);
    let query = format!("rewind=4&after={}", ids[0]);
    let header: [(&str, &[u8]); 1] = [("Last-Event-ID", ids[2].as_bytes())];
    let listener = Listener::try_open(transport, server.addr, "a", &query, &header).await;
    assert_eq!(listener.unwrap().texts(1).await, ["3"], "s4");
}

async fn p2_a_cursor_is_carried_from_transport_to_transport(variant: Variant) {
    let server = TestServer::start(variant).await;
    let route = [
        Transport::SseRaw,
        Transport::WsEnvelope,
        Transport::Poll,
        Transport::SseEnvelope,
        Transport::Poll,
        Transport::WsEnvelope,
        Transport::SseRaw,
    ];
    let mut cursor = server.now("a").await;
    for (at, transport) in route.into_iter().enumerate() {
        server.publish("a", &format!("{at} missed")).await;
        let proxy = Proxy::start(server.addr).await;
        let mut listener = Listener::resume(transport, proxy.addr, "a", &cursor).await;
        assert_eq!(listener.texts(1).await, [format!("{at} missed")]);
        server.publish("a", &format!("{at} live")).await;
        assert_eq!(listener.texts(1).await, [format!("{at} live")]);
        proxy.cut();
        assert!(until_cut(&mut listener).await.is_empty());
        cursor = listener.last().unwrap();
    }
}
