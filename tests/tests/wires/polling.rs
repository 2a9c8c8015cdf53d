//! The long poll as a form: group L of the bad inputs, and what its socket does
//! after it left the HTTP code and came back.

use std::time::Duration;

use fanwire_tests::http::{self, Http, request};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::Ending;

use crate::table::{modes, once, variants};

variants!(
    l5_a_time_out_is_200_with_an_empty_list_and_the_advanced_cursor,
    l10_one_publish_wakes_all_parked_polls_once,
    l3_a_poll_whose_answer_was_lost_hears_it_again,
    a_parked_polls_connection_is_used_again_with_what_was_pipelined,
    a_poller_misses_nothing_between_its_polls,
);
// The chaos broker may answer a read in parts.
modes!(a_poll_with_something_to_tell_answers_at_once);
once!(
    l8_answers_are_not_stored_and_cursors_differ,
    http_1_0_and_connection_close_end_by_close,
    a_get_with_a_body_is_refused_and_expect_is_no_hindrance,
    l4_a_poll_whose_client_left_is_let_go,
    history_pages_are_in_order_and_stateless,
);

/// Waits for so many parked polls or streams.
async fn parked(server: &TestServer, count: usize) {
    until("the polls to be parked", || {
        (server.stats().subscribers == count).then_some(())
    })
    .await;
}

fn heard(said: &[Said]) -> Vec<String> {
    let texts = said.iter().map(|said| match said {
        Said::Heard(heard) => heard.plain(),
        other => panic!("{other:?}"),
    });
    texts.collect()
}

async fn l5_a_time_out_is_200_with_an_empty_list_and_the_advanced_cursor(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.poll.wait = Duration::from_millis(100);
    })
    .await;
    let cursor = server.publish("a", "held").await;
    // Time passes elsewhere: the cursor of a quiet channel's reader advances.
    let other = server.publish("b", "elsewhere").await;
    let answer = server.get(&format!("a?wait&after={cursor}"), &[]).await;
    assert_eq!(
        answer.text(),
        format!("{{\"messages\":[],\"cursor\":\"{other}\"}}")
    );
}

async fn a_poll_with_something_to_tell_answers_at_once(variant: Variant) {
    let server = TestServer::start(variant).await;
    let start = server.now("a").await;
    for text in ["1", "2", "3"] {
        server.publish("a", text).await;
    }
    let (said, cursor) = poll::read(&server.get(&format!("a?wait=55&after={start}"), &[]).await);
    assert_eq!(heard(&said), ["1", "2", "3"]);
    let (said, next) = poll::read(
        &server
            .get(&format!("a?wait=55&limit=2&after={start}"), &[])
            .await,
    );
    assert_eq!(heard(&said), ["1", "2"]);
    let (said, last) = poll::read(&server.get(&format!("a?wait=55&after={next}"), &[]).await);
    assert_eq!((heard(&said), last), (vec!["3".to_owned()], cursor));
    let (said, _) = poll::read(&server.get("a?wait=55&rewind=1", &[]).await);
    assert_eq!(heard(&said), ["3"]);
}

async fn l10_one_publish_wakes_all_parked_polls_once(variant: Variant) {
    const POLLS: usize = 400;
    let server = TestServer::start(variant).await;
    let polls: Vec<_> = (0..POLLS)
        .map(|_| tokio::spawn(http_get(server.addr, "/c/a?wait=55".to_owned())))
        .collect();
    parked(&server, POLLS).await;
    let id = server.publish("a", "wake").await;
    for poll in polls {
        let answer = within("every poll's answer", poll).await.unwrap();
        let (said, cursor) = poll::read(&answer);
        assert_eq!(
            (heard(&said), cursor),
            (vec!["wake".to_owned()], id.clone())
        );
    }
    parked(&server, 0).await;
    // Published while they park: no poll falls between looking and waiting.
    for round in 0..30 {
        let start = server.now("a").await;
        let target = format!("/c/a?wait=55&after={start}");
        let polls: Vec<_> = (0..8)
            .map(|_| tokio::spawn(http_get(server.addr, target.clone())))
            .collect();
        server.publish("a", &round.to_string()).await;
        for poll in polls {
            let answer = within("a poll that raced a publish", poll).await.unwrap();
            assert_eq!(heard(&poll::read(&answer).0), [round.to_string()]);
        }
    }
}

async fn http_get(to: std::net::SocketAddr, target: String) -> http::Answer {
    http::get(to, &target, &[]).await
}

async fn l3_a_poll_whose_answer_was_lost_hears_it_again(variant: Variant) {
    let server = TestServer::start(variant).await;
    let start = server.now("a").await;
    for round in 0..10 {
        let mut http = Http::connect(server.addr).await;
        let target = format!("/c/a?wait=55&after={start}");
        http.wire
            .send(&request("GET", &target, &[("Host", b"localhost")], b""))
            .await
            .unwrap();
        if round == 0 {
            parked(&server, 1).await;
            server.publish("a", "again").await;
        }
        drop(http);
        let (said, _) = poll::read(&server.get(&format!("a?wait=55&after={start}"), &[]).await);
        assert_eq!(heard(&said), ["again"]);
    }
}

async fn a_parked_polls_connection_is_used_again_with_what_was_pipelined(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut http = Http::connect(server.addr).await;
    let host: [(&str, &[u8]); 1] = [("Host", b"localhost")];
    let mut cursor = server.now("a").await;
    for round in 0..5 {
        // The next two requests are sent while the poll is parked, or with it.
        let parking = request("GET", &format!("/c/a?wait=55&after={cursor}"), &host, b"");
        let behind = [
            request("POST", "/c/b", &host, format!("piped {round}").as_bytes()),
            request("GET", "/c/b?limit=1", &host, b""),
        ];
        if round % 2 == 0 {
            http.wire
                .send(&[parking, behind.concat()].concat())
                .await
                .unwrap();
            parked(&server, 1).await;
        } else {
            http.wire.send(&parking).await.unwrap();
            parked(&server, 1).await;
            http.wire.send(&behind.concat()).await.unwrap();
        }
        server.publish("a", &format!("wake {round}")).await;
        let (said, next) = poll::read(&http.answer().await.unwrap());
        assert_eq!(heard(&said), [format!("wake {round}")]);
        http.answer().await.unwrap().id();
        let (said, _) = poll::read(&http.answer().await.unwrap());
        assert_eq!(heard(&said), [format!("piped {round}")]);
        cursor = next;
    }
}

async fn a_poller_misses_nothing_between_its_polls(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut poller = poll::Poller::new(server.addr, "/c/a", "");
    poller.anchor().await.unwrap();
    let to = server.addr;
    let publisher = tokio::spawn(async move {
        let mut http = Http::connect(to).await;
        for at in 0..300 {
            http.ask("POST", "/c/a", &[], at.to_string().as_bytes())
                .await
                .id();
        }
    });
    let mut at = 0;
    while at < 300 {
        match poller.next().await {
            Said::Heard(heard) => {
                assert_eq!(heard.plain(), at.to_string());
                at += 1;
            }
            Said::Cursor(_) => {}
            other => panic!("{other:?}"),
        }
    }
    publisher.await.unwrap();
}

async fn l8_answers_are_not_stored_and_cursors_differ(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut cursors = std::collections::HashSet::new();
    for _ in 0..5 {
        server.publish("a", "x").await;
        let answer = server.get("a?wait=20&rewind=1", &[]).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("etag"), None);
        let (_, cursor) = poll::read(&answer);
        assert!(cursor.len() <= 100);
        assert!(
            cursor
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
        );
        assert!(cursors.insert(cursor));
    }
}

async fn http_1_0_and_connection_close_end_by_close(variant: Variant) {
    let server = TestServer::start(variant).await;
    server.publish("a", "held").await;
    let old =
        |target: &str| format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n").into_bytes();
    let closing = |target: &str| {
        request(
            "GET",
            target,
            &[("Host", b"localhost"), ("Connection", b"close")],
            b"",
        )
    };
    for form in [&old as &dyn Fn(&str) -> Vec<u8>, &closing] {
        for target in ["/c/a", "/c/a?wait=55&rewind=1", "/c/a?wait=55"] {
            let mut http = Http::connect(server.addr).await;
            http.wire.send(&form(target)).await.unwrap();
            if target == "/c/a?wait=55" {
                parked(&server, 1).await;
                server.publish("a", "held").await;
            }
            let answer = http.answer().await.unwrap();
            assert!(!heard(&poll::read(&answer).0).is_empty());
            assert_eq!(http.wire.rest().await, (vec![], Ending::Fin), "{target}");
        }
        // A stream without chunks, for who does not know them.
        let mut http = Http::connect(server.addr).await;
        http.wire
            .send(&form("/c/a?format=sse&rewind=1"))
            .await
            .unwrap();
        let head = http::Head::read(&mut http.wire).await.unwrap();
        assert_eq!(head.status, 200);
        if head.header("transfer-encoding").is_some() {
            assert_eq!(head.version, "HTTP/1.1");
        }
        let mut sse = fanwire_tests::sse::Sse::over(http.wire, head);
        assert!(matches!(sse.next().await, Said::Ready(_)));
        assert!(matches!(sse.next().await, Said::Heard(_)));
    }
    let mut http = Http::connect(server.addr).await;
    http.wire
        .send(b"GET /c/a?format=sse HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let head = http::Head::read(&mut http.wire).await.unwrap();
    assert_eq!(
        head.header("transfer-encoding"),
        None,
        "HTTP/1.0 knows no chunks"
    );
}

async fn a_get_with_a_body_is_refused_and_expect_is_no_hindrance(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut http = Http::connect(server.addr).await;
    let get = |extra: &str| {
        let text = format!("GET /c/a?wait=55 HTTP/1.1\r\nHost: localhost\r\n{extra}");
        text.into_bytes()
    };
    let bytes = get("Content-Length: 3\r\n\r\nabc");
    http.wire.send(&bytes).await.unwrap();
    http.answer().await.unwrap().refused(400, "bad_request");
    let mut http = Http::connect(server.addr).await;
    let bytes = get("Expect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    http.wire.send(&bytes).await.unwrap();
    parked(&server, 1).await;
    server.publish("a", "wake").await;
    let mut head = http::Head::read(&mut http.wire).await.unwrap();
    if head.status == 100 {
        head = http::Head::read(&mut http.wire).await.unwrap();
    }
    let answer = head.body(&mut http.wire).await.unwrap();
    assert_eq!(heard(&poll::read(&answer).0), ["wake"]);
}

async fn l4_a_poll_whose_client_left_is_let_go(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut polls = Vec::new();
    for _ in 0..20 {
        let mut http = Http::connect(server.addr).await;
        http.wire
            .send(&request(
                "GET",
                "/c/a?wait=55",
                &[("Host", b"localhost")],
                b"",
            ))
            .await
            .unwrap();
        polls.push(http);
    }
    parked(&server, 20).await;
    drop(polls);
    parked(&server, 0).await;
}

async fn history_pages_are_in_order_and_stateless(variant: Variant) {
    let server = TestServer::start(variant).await;
    for at in 0..25 {
        server.publish(["a", "b"][at % 2], &at.to_string()).await;
    }
    let mut cursor = "earliest".to_owned();
    let mut all = Vec::new();
    loop {
        let target = format!("a,b?limit=4&after={cursor}");
        let (said, next) = poll::read(&server.get(&target, &[]).await);
        let (again, _) = poll::read(&server.get(&target, &[]).await);
        assert_eq!(said, again, "asking changes nothing");
        if said.is_empty() {
            break;
        }
        all.extend(heard(&said));
        cursor = next;
    }
    assert_eq!(all, (0..25).map(|at| at.to_string()).collect::<Vec<_>>());
    let (said, _) = poll::read(&server.get("a,b?limit=3", &[]).await);
    assert_eq!(heard(&said), ["22", "23", "24"], "the newest of the union");
}
