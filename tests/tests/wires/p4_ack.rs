//! P4 Ack means kept; an `Idempotency-Key` is delivered once.

use std::net::{IpAddr, Ipv4Addr};

use fanwire::config::Secret;
use fanwire_tests::http::{Answer, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;

use crate::table::variants;

variants!(
    p4_an_ack_can_be_read_back_at_once,
    p4_a_key_used_again_gives_the_same_id_and_is_delivered_once,
    p4_a_key_used_for_anything_else_is_422,
    p4_a_key_belongs_to_its_publisher_and_namespace,
    p4_concurrent_twins_are_one_message,
    p4_refusals_are_not_remembered,
    p4_one_key_past_a_limit_is_refused_and_none_is_forgotten,
    p4_a_key_is_forgotten_after_its_time,
);

async fn keyed(server: &TestServer, list: &str, key: &str, body: &str) -> Answer {
    server
        .post(list, &[("Idempotency-Key", key)], body.as_bytes())
        .await
}

fn duplicate(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .json()
        .get("duplicate")
        .is_some_and(|value| value == true)
}

async fn p4_an_ack_can_be_read_back_at_once(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut http = Http::connect(server.addr).await;
    for at in 0..50 {
        let answer = http
            .ask("POST", "/c/a", &[], at.to_string().as_bytes())
            .await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let (said, cursor) = poll::read(&http.ask("GET", "/c/a?limit=1", &[], b"").await);
        let [Said::Heard(heard)] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!(
            (heard.id.clone(), heard.plain()),
            (Some(answer.id()), at.to_string())
        );
        assert_eq!(cursor, answer.id());
    }
}

async fn p4_a_key_used_again_gives_the_same_id_and_is_delivered_once(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::SseRaw, server.addr, "a", "").await;
    let first = keyed(&server, "a", "k1", "once").await;
    assert!(!duplicate(&first));
    server.publish("a", "between").await;
    for _ in 0..3 {
        let again = keyed(&server, "a", "k1", "once").await;
        assert!(duplicate(&again));
        assert_eq!(again.id(), first.id());
    }
    let other = keyed(&server, "a", "k2", "once").await;
    assert!(!duplicate(&other));
    assert_ne!(other.id(), first.id());
    assert_eq!(listener.texts(3).await, ["once", "between", "once"]);
}

async fn p4_a_key_used_for_anything_else_is_422(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::SseEnvelope, server.addr, "a,b", "").await;
    let conn = listener.ready().await.conn;
    let json = ("Content-Type", "application/json");
    let text = ("Content-Type", "text/plain");
    let key = ("Idempotency-Key", "k");
    let first = server.post("a?event=e&key=x", &[key, text], b"[1]").await;
    let others = [
        ("targets", "b?event=e&key=x".to_owned(), text, "[1]"),
        ("more targets", "a,b?event=e&key=x".to_owned(), text, "[1]"),
        ("event", "a?event=f&key=x".to_owned(), text, "[1]"),
        ("no event", "a?key=x".to_owned(), text, "[1]"),
        ("key", "a?event=e&key=y".to_owned(), text, "[1]"),
        ("no key", "a?event=e".to_owned(), text, "[1]"),
        (
            "except",
            format!("a?event=e&key=x&exclude={conn}"),
            text,
            "[1]",
        ),
        ("kind json", "a?event=e&key=x".to_owned(), json, "[1]"),
        (
            "kind args",
            "a?event=e&key=x&args=1".to_owned(),
            json,
            "[1]",
        ),
        (
            "kind binary",
            "a?event=e&key=x".to_owned(),
            ("Content-Type", "x/y"),
            "[1]",
        ),
        ("body", "a?event=e&key=x".to_owned(), text, "[2]"),
    ];
    for (what, list, kind, body) in others {
        let answer = server.post(&list, &[key, kind], body.as_bytes()).await;
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        answer.refused(422, "idempotency_mismatch");
    }
    let again = server.post("a?key=x&event=e", &[text, key], b"[1]").await;
    assert_eq!(again.id(), first.id(), "the order of parameters is nothing");
    server.publish("a", "end").await;
    assert_eq!(listener.texts_until("end").await, ["[1]"]);
}

async fn p4_a_key_belongs_to_its_publisher_and_namespace(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.open = true;
        for name in ["alice", "bob"] {
            let secret = Secret::new(format!("{name}-secret-0123456789"));
            config.access.api_keys.insert(name.into(), secret);
        }
    })
    .await;
    let mut ids = std::collections::HashSet::new();
    for (list, bearer) in [
        ("a", None),
        ("chat:a", None),
        ("a", Some("Bearer alice-secret-0123456789")),
        ("a", Some("Bearer bob-secret-0123456789")),
    ] {
        let mut headers = vec![("Idempotency-Key", "same")];
        headers.extend(bearer.map(|bearer| ("Authorization", bearer)));
        let answer = server.post(list, &headers, b"x").await;
        assert!(!duplicate(&answer), "{list} {bearer:?}");
        assert!(ids.insert(answer.id()));
        assert!(duplicate(&server.post(list, &headers, b"x").await));
    }
    // The anonymous are told apart by their address.
    let neighbour = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let wire = Wire::connect_from(neighbour, server.addr, 0).await;
    let mut http = Http::over(wire, server.addr);
    let answer = http
        .ask("POST", "/c/a", &[("Idempotency-Key", "same")], b"x")
        .await;
    assert!(!duplicate(&answer), "of another address");
    assert!(ids.insert(answer.id()));
}

async fn p4_concurrent_twins_are_one_message(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    for round in 0..10 {
        let key = format!("twin {round}");
        let twins: Vec<_> = (0..12)
            .map(|_| {
                let (to, key) = (server.addr, key.clone());
                tokio::spawn(async move {
                    let headers = [("Idempotency-Key", key.as_str())];
                    fanwire_tests::http::post(to, "/c/a", &headers, key.as_bytes()).await
                })
            })
            .collect();
        let mut answers = Vec::new();
        for twin in twins {
            answers.push(within("a twin's answer", twin).await.unwrap());
        }
        assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
        let originals = answers.iter().filter(|answer| !duplicate(answer)).count();
        assert_eq!(originals, 1);
        server.publish("a", "end").await;
        assert_eq!(listener.texts_until("end").await, [key]);
    }
}

async fn p4_refusals_are_not_remembered(variant: Variant) {
    let server = TestServer::start(variant).await;
    let json = ("Content-Type", "application/json");
    let key = ("Idempotency-Key", "k");
    server
        .post("a", &[key, json], b"{broken")
        .await
        .refused(400, "invalid_body");
    let big = vec![b'x'; 64 * 1024 + 1];
    server
        .post("a", &[key], &big)
        .await
        .refused(413, "too_large");
    server
        .post("a?event=$x", &[key], b"")
        .await
        .refused(400, "invalid_event");
    assert!(!duplicate(&server.post("a", &[key, json], b"{}").await));
}

async fn p4_one_key_past_a_limit_is_refused_and_none_is_forgotten(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.idempotency_per_publisher = 3;
        config.limits.idempotency_keys = 5;
    })
    .await;
    let mut first = Vec::new();
    for at in 0..3 {
        first.push(keyed(&server, "a", &format!("k{at}"), "x").await.id());
    }
    let refusal = keyed(&server, "a", "k3", "x").await;
    refusal.refused(429, "idempotency_full");
    assert!(refusal.header("retry-after").is_some(), "when to come back");
    for (at, id) in first.iter().enumerate() {
        let answer = keyed(&server, "a", &format!("k{at}"), "x").await;
        assert!(duplicate(&answer) && answer.id() == *id, "k{at}");
    }
    server.publish("a", "without a key").await;
    // Another publisher has room until all together are at the limit.
    let mut answers = Vec::new();
    for at in 0..3 {
        let wire = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 9).into(), server.addr, 0).await;
        let key = format!("k{at}");
        let headers = [("Idempotency-Key", key.as_str())];
        answers.push(
            Http::over(wire, server.addr)
                .ask("POST", "/c/a", &headers, b"x")
                .await,
        );
    }
    assert_eq!((answers[0].status, answers[1].status), (200, 200));
    answers[2].refused(429, "idempotency_full");
}

async fn p4_a_key_is_forgotten_after_its_time(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.limits.idempotency_ttl = std::time::Duration::from_millis(300);
    })
    .await;
    let first = keyed(&server, "a", "k", "x").await.id();
    within("the key to be forgotten", async {
        loop {
            let answer = keyed(&server, "a", "k", "x").await;
            if !duplicate(&answer) {
                assert_ne!(answer.id(), first);
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}
