//! P3 No silent loss: where a cursor cannot be honoured the client is told, in
//! band, before any message that it affects; never by a status.

use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::{Gap, Said, seq};
use fanwire_tests::server::{TestServer, Variant, keep};
use fanwire_tests::wait::until;

use crate::table::{resuming, secured, variants};

secured!(
    p3_s3_l1_malformed_cursors_get_a_gap_and_then_live,
    p3_a_trimmed_cursor_gets_what_is_held_after_the_gap,
    p3_after_a_restart_the_old_epoch_is_unknown,
);
resuming!(
    p3_s3_l1_malformed_cursors_get_a_gap_and_then_live,
    p3_an_empty_cursor_is_named_as_such,
    p3_l1_a_future_cursor_is_told_at_once_and_never_waited_for,
    p3_a_trimmed_cursor_gets_what_is_held_after_the_gap,
    p3_without_history_the_gap_is_told_only_where_something_was_missed,
    p3_after_a_restart_the_old_epoch_is_unknown,
    p3_every_channel_of_the_url_has_its_gap,
);
variants!(
    p3_a_raw_websocket_is_closed_with_3010_and_a_cursor_that_after_accepts,
    p3_history_tells_gaps_too,
    p3_cursors_in_the_query_are_never_refused_either,
);

/// What no server ever gave out.
pub(crate) fn malformed() -> Vec<Vec<u8>> {
    let texts = [
        "-",
        "x",
        "3k9z",
        "-1",
        "--1",
        "a--0",
        "a-+1",
        "a-01",
        "a-1e99",
        "A-1",
        "a-1-2",
        "a- 1",
        "a-18446744073709551616",
        "zzzzzzzzzzzzzzzzzzzz-1",
        "' OR 1=1 --",
        "{\"seq\":1}",
        "../../etc/passwd",
        "earliest",
        "latest",
        "null",
        "%00",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.push(vec![b'9'; 20_000]);
    all.push(b"\xff\xfe\x80".to_vec());
    all.push([b"a-1".as_slice(), &[0xc3]].concat());
    all
}

/// The opening of a stream or the first answer of a poll: gaps, in their order,
/// and the cursor that stands after them.
pub(crate) async fn opening(listener: &mut Listener) -> (Vec<Gap>, String) {
    let mut gaps = Vec::new();
    if matches!(listener, Listener::Poll(_)) {
        // A poll's gaps stand before its messages; its cursor after them.
        while matches!(listener, Listener::Poll(poller) if matches!(poller.peek(), Some(Said::Gap(_))))
        {
            gaps.push(listener.gap().await);
        }
        let cursor = gaps.last().map(|gap| gap.cursor.clone());
        return (gaps, cursor.unwrap_or_default());
    }
    loop {
        match listener.next().await {
            Said::Gap(gap) => {
                assert_eq!(gap.id, None, "a gap of the opening block has an id");
                assert_eq!(listener.last(), None, "the refused cursor stays in force");
                gaps.push(gap);
            }
            Said::Ready(ready) => {
                if matches!(listener, Listener::Sse(_)) {
                    assert_eq!(ready.id.as_deref(), Some(ready.cursor.as_str()));
                    assert!(ready.retry.is_some_and(|ms| (2_000..=3_000).contains(&ms)));
                }
                return (gaps, ready.cursor);
            }
            other => panic!("before $ready: {other:?}"),
        }
    }
}

async fn with_header(
    server: &TestServer,
    transport: Transport,
    list: &str,
    cursor: &[u8],
) -> Listener {
    let headers: [(&str, &[u8]); 1] = [("Last-Event-ID", cursor)];
    Listener::try_open(transport, server.addr, list, "", &headers)
        .await
        .unwrap()
}

/// One gap of channel `channel`, for that reason; its cursor resumes without one.
async fn one_gap(
    server: &TestServer,
    transport: Transport,
    listener: &mut Listener,
    channel: &str,
    reason: &str,
) -> Gap {
    let (gaps, _) = opening(listener).await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = gaps.into_iter().next().unwrap();
    assert_eq!(
        (gap.channel.as_str(), gap.reason.as_str()),
        (channel, reason)
    );
    let mut again = Listener::resume(transport, server.addr, channel, &gap.cursor).await;
    let (gaps, _) = opening(&mut again).await;
    assert_eq!(gaps, [], "just past the loss");
    gap
}

async fn p3_s3_l1_malformed_cursors_get_a_gap_and_then_live(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::start(variant).await;
    server.publish("a", "held").await;
    for cursor in malformed() {
        let mut listener = with_header(&server, transport, "a", &cursor).await;
        let gap = one_gap(&server, transport, &mut listener, "a", "malformed").await;
        assert_eq!(gap.lost_through, None, "it is not known");
        server.publish("a", "live").await;
        assert_eq!(listener.texts(1).await, ["live"], "{cursor:?}");
    }
}

async fn p3_an_empty_cursor_is_named_as_such(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    server.publish("a", "held").await;
    let mut header = with_header(&server, transport, "a", b"").await;
    one_gap(&server, transport, &mut header, "a", "empty").await;
    let mut query = Listener::open(transport, server.addr, "a", "after=").await;
    one_gap(&server, transport, &mut query, "a", "empty").await;
    server.publish("a", "live").await;
    assert_eq!(header.texts(1).await, ["live"]);
    assert_eq!(query.texts(1).await, ["live"]);
}

async fn p3_l1_a_future_cursor_is_told_at_once_and_never_waited_for(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::start(variant).await;
    let id = server.publish("a", "held").await;
    let epoch = id.split_once('-').unwrap().0;
    for beyond in [seq(&id) + 1, seq(&id) + 1_000_000, u64::MAX] {
        let cursor = format!("{epoch}-{beyond}");
        let mut listener = Listener::resume(transport, server.addr, "a", &cursor).await;
        let gap = one_gap(&server, transport, &mut listener, "a", "future").await;
        assert_eq!(gap.cursor, id, "from now");
    }
    let cursor = format!("{epoch}-{}", u64::MAX);
    let mut listener = Listener::resume(transport, server.addr, "a", &cursor).await;
    opening(&mut listener).await;
    server.publish("a", "live").await;
    assert_eq!(listener.texts(1).await, ["live"]);
}

async fn p3_a_trimmed_cursor_gets_what_is_held_after_the_gap(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| keep(config, "short", 3)).await;
    let mut ids = Vec::new();
    for at in 0..8 {
        ids.push(server.publish("short:a", &at.to_string()).await);
    }
    // Held: 5, 6, 7. A cursor just before them is still exact.
    let mut exact = Listener::resume(transport, server.addr, "short:a", &ids[4]).await;
    assert_eq!(exact.texts(3).await, ["5", "6", "7"]);
    let mut listener = Listener::resume(transport, server.addr, "short:a", &ids[2]).await;
    let (gaps, cursor) = opening(&mut listener).await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(
        (gaps[0].channel.as_str(), gaps[0].reason.as_str()),
        ("short:a", "trimmed")
    );
    assert_eq!(gaps[0].lost_through, Some(ids[4].clone()));
    assert_eq!(gaps[0].cursor, ids[4]);
    assert!(
        seq(&cursor) <= seq(&ids[4]),
        "an id ahead of messages owed: {cursor}"
    );
    server.publish("short:a", "live").await;
    assert_eq!(listener.texts(4).await, ["5", "6", "7", "live"]);
}

async fn p3_without_history_the_gap_is_told_only_where_something_was_missed(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| keep(config, "off", 0)).await;
    let id = server.publish("off:a", "gone").await;
    let mut nothing = Listener::resume(transport, server.addr, "off:a", &id).await;
    assert_eq!(opening(&mut nothing).await.0, []);
    live_without_history(&server, &mut nothing, "live").await;
    let mut missed = Listener::resume(transport, server.addr, "off:a", &id).await;
    one_gap(&server, transport, &mut missed, "off:a", "history_off").await;
    drop(nothing);
    live_without_history(&server, &mut missed, "after").await;
}

/// Where nothing is kept a poll hears only what comes while it is parked.
async fn live_without_history(server: &TestServer, listener: &mut Listener, text: &str) {
    let there = until("it to listen", || {
        (server.stats().subscribers > 0).then_some(())
    });
    let publish = async {
        there.await;
        server.publish("off:a", text).await;
    };
    let (heard, ()) = tokio::join!(listener.message(), publish);
    assert_eq!(heard.plain(), text);
}

async fn p3_after_a_restart_the_old_epoch_is_unknown(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let before = server.publish("a", "before").await;
    let mut there = Listener::open(transport, server.addr, "a", "after=earliest").await;
    assert_eq!(there.texts(1).await, ["before"]);
    let server = server.restart().await;
    // Nothing held: from now.
    let mut empty = Listener::resume(transport, server.addr, "a", &before).await;
    one_gap(&server, transport, &mut empty, "a", "epoch_unknown").await;
    for text in ["n1", "n2"] {
        server.publish("a", text).await;
    }
    assert_eq!(empty.texts(2).await, ["n1", "n2"]);
    // With all the history held.
    let mut back = Listener::resume(transport, server.addr, "a", &before).await;
    let (gaps, _) = opening(&mut back).await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].reason, "epoch_unknown");
    server.publish("a", "live").await;
    assert_eq!(back.texts(3).await, ["n1", "n2", "live"]);
}

async fn p3_every_channel_of_the_url_has_its_gap(variant: Variant, transport: Transport) {
    let server = TestServer::with(variant, |config| keep(config, "short", 1)).await;
    let start = server.now("short:a").await;
    let held = server.publish("a", "a1").await;
    for text in ["1", "2"] {
        server.publish("short:a", text).await;
        server.publish("short:b", text).await;
    }
    let list = "short:a,a,short:b,c";
    let mut some = Listener::resume(transport, server.addr, list, &start).await;
    let channels: Vec<String> = opening(&mut some)
        .await
        .0
        .into_iter()
        .map(|g| g.channel)
        .collect();
    assert_eq!(
        channels,
        ["short:a", "short:b"],
        "only those that lost something"
    );
    let mut heard = Vec::new();
    while heard.len() < 3 {
        match some.next().await {
            Said::Heard(message) => heard.push((message.plain(), message.id)),
            // Polls are stateless: until the cursor is past the loss it is told
            // again.
            Said::Gap(gap) if transport.is_poll() => {
                assert!(
                    channels.contains(&gap.channel) && heard.len() == 1,
                    "{gap:?}"
                );
            }
            Said::Cursor(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard[0], ("a1".into(), Some(held)));
    assert_eq!((heard[1].0.as_str(), heard[2].0.as_str()), ("2", "2"));
    let mut all = with_header(&server, transport, list, b"junk").await;
    let channels: Vec<String> = opening(&mut all)
        .await
        .0
        .into_iter()
        .map(|g| g.channel)
        .collect();
    assert_eq!(channels, ["short:a", "a", "short:b", "c"]);
}

async fn p3_a_raw_websocket_is_closed_with_3010_and_a_cursor_that_after_accepts(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        keep(config, "short", 2);
        keep(config, "off", 0);
    })
    .await;
    let old = server.now("a").await;
    server.publish("a", "held").await;
    let epoch = old.split_once('-').unwrap().0.to_owned();
    let missed = server.publish("off:a", "0").await;
    server.publish("off:a", "1").await;
    for text in ["1", "2", "3"] {
        server.publish("short:a", text).await;
    }
    let mut cases: Vec<(&str, Vec<u8>, Vec<&str>)> = malformed()
        .into_iter()
        .map(|cursor| ("a", cursor, vec![]))
        .collect();
    cases.push(("a", vec![], vec![]));
    cases.push(("a", format!("{epoch}-999999").into_bytes(), vec![]));
    cases.push(("a", b"1-1".to_vec(), vec!["held"]));
    cases.push(("short:a", old.clone().into_bytes(), vec!["2", "3"]));
    cases.push(("off:a", missed.into_bytes(), vec![]));
    // A loss that is not known leaves the stream at "now"; one that is, at what
    // is held. Channel a gets one message more with each case.
    let mut published = vec!["held".to_owned()];
    for (channel, cursor, held) in cases {
        let mut listener = with_header(&server, Transport::WsRaw, channel, &cursor).await;
        let Listener::Ws(ws) = &mut listener else {
            panic!("not a WebSocket")
        };
        let (code, reason) = ws.closed().await;
        assert_eq!(code, 3010, "{channel} after {cursor:?}: {reason}");
        let mut back = Listener::resume(Transport::WsRaw, server.addr, channel, &reason).await;
        let live = format!("live {}", published.len());
        server.publish(channel, &live).await;
        let mut expected: Vec<String> = match held.first() {
            Some(&"held") => published.clone(),
            _ => held.iter().map(|text| (*text).to_owned()).collect(),
        };
        expected.push(live.clone());
        assert_eq!(
            back.texts(expected.len()).await,
            expected,
            "{channel} after {cursor:?}"
        );
        if channel == "a" {
            published.push(live);
        }
    }
}

async fn p3_history_tells_gaps_too(variant: Variant) {
    let server = TestServer::with(variant, |config| keep(config, "short", 1)).await;
    let old = server.now("a").await;
    server.publish("short:a", "1").await;
    let last = server.publish("short:a", "2").await;
    for (cursor, reason, held) in [
        (old.as_str(), "trimmed", 1),
        ("junk", "malformed", 0),
        ("", "empty", 0),
    ] {
        let answer = server.get(&format!("short:a?after={cursor}"), &[]).await;
        let (said, next) = poll::read(&answer);
        assert!(
            matches!(&said[0], Said::Gap(gap) if gap.reason == reason),
            "{said:?}"
        );
        assert_eq!(said.len(), 1 + held, "{said:?}");
        assert_eq!(next, last);
        let keys = answer.json()["messages"][0]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>();
        assert_eq!(keys.len(), 3, "event, channel and data: {keys:?}");
    }
}

async fn p3_cursors_in_the_query_are_never_refused_either(variant: Variant) {
    let server = TestServer::start(variant).await;
    for transport in Transport::RESUMING {
        for cursor in [
            "%ff%fe",
            "%00",
            "a%2C1",
            "+",
            "a-1%0d%0aX: y",
            "'\u{22}",
            &"9".repeat(20_000),
        ] {
            let cursor = cursor.replace(['"', ' '], "%20");
            let mut listener =
                Listener::open(transport, server.addr, "a", &format!("after={cursor}")).await;
            let (gaps, _) = opening(&mut listener).await;
            assert_eq!(gaps.len(), 1, "{transport:?} {cursor}");
            assert_eq!(gaps[0].reason, "malformed", "{transport:?} {cursor}");
        }
    }
}
