//! `GET /messages`, `POST /messages`.

use fanwire_tests::http::{self, Http};
use serde_json::{Value, json};

use crate::demos::{Demos, SOON};

/// The texts of an answer, and the last number in it.
fn texts(answer: &Value) -> (Vec<&str>, Option<u64>) {
    let messages = answer["messages"].as_array().unwrap();
    let texts = messages.iter().map(|m| m["text"].as_str().unwrap());
    (
        texts.collect(),
        messages.last().and_then(|m| m["id"].as_u64()),
    )
}

#[tokio::test]
async fn who_asks_from_the_last_number_seen_gets_every_message_once_and_in_order() {
    let demos = Demos::start(|_| {}).await;
    let addr = demos.addr;
    let reader = tokio::spawn(async move {
        let (mut seen, mut last) = (Vec::new(), 0);
        let mut http = Http::connect(addr).await;
        while seen.len() < 40 {
            let asked = format!("/messages?lastId={last}");
            let answer = http.ask("GET", &asked, &[], b"").await.json();
            let (new, highest) = texts(&answer);
            assert!(
                !new.is_empty(),
                "an empty answer long before the time is over"
            );
            seen.extend(new.into_iter().map(str::to_owned));
            last = highest.unwrap();
        }
        seen
    });
    let expected: Vec<_> = (0..40).map(|n| format!("number {n}")).collect();
    for text in &expected {
        let added = demos
            .post("/messages", &json!({ "text": text }).to_string())
            .await;
        assert_eq!(
            (added.status, &added.json()["success"]),
            (201, &json!(true))
        );
    }
    assert_eq!(reader.await.unwrap(), expected);
    demos.stop().await;
}

#[tokio::test]
async fn without_news_a_poll_ends_with_an_empty_list() {
    let demos = Demos::start(|timings| timings.patience = SOON).await;
    let answer = http::get(demos.addr, "/messages?lastId=0", &[]).await;
    assert_eq!(answer.json(), json!({ "messages": [] }));
    // Of a server that was there before it.
    let answer = http::get(demos.addr, "/messages?lastId=77", &[]).await;
    assert_eq!(answer.json(), json!({ "messages": [] }));
    demos.stop().await;
}

#[tokio::test]
async fn what_a_message_says_besides_goes_with_it_but_for_what_the_server_says() {
    let demos = Demos::start(|_| {}).await;
    let said = r#"{"message":"hi","user":"ann","id":77,"timestamp":"never"}"#;
    assert_eq!(demos.post("/messages", said).await.status, 201);
    let answer = http::get(demos.addr, "/messages", &[]).await.json();
    let message = &answer["messages"][0];
    assert_eq!(
        (&message["message"], &message["user"]),
        (&json!("hi"), &json!("ann"))
    );
    assert_eq!(message["id"], 1);
    assert!(message["timestamp"].is_u64());
    demos.stop().await;
}

#[tokio::test]
async fn who_leaves_while_waiting_leaves_nothing_behind_and_stops_nobody() {
    let demos = Demos::start(|_| {}).await;
    let asked = http::request("GET", "/messages", &[("Host", b"127.0.0.1")], b"");
    let mut waiting = Http::connect(demos.addr).await;
    waiting.wire.send(&asked).await.unwrap();
    let mut leaves = Http::connect(demos.addr).await;
    leaves.wire.send(&asked).await.unwrap();
    drop(leaves);
    demos
        .post("/messages", r#"{"text":"for who stayed"}"#)
        .await;
    let answer = waiting.answer().await.unwrap().json();
    assert_eq!(texts(&answer).0, ["for who stayed"]);
    drop(waiting);
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn x1_what_is_no_message_is_refused_with_a_sentence() {
    let demos = Demos::start(|_| {}).await;
    let long = json!({ "text": "x".repeat(4001) }).to_string();
    let huge = json!({ "text": "x".repeat(100_000) }).to_string();
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"text":7}"#,
        r#"{"text":" "}"#,
        &long,
        &huge,
    ] {
        let answer = demos.post("/messages", body).await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert!(answer.json()["detail"].is_string());
    }
    for last in ["x", "-1", "1e3", "99999999999999999999999"] {
        let target = format!("/messages?lastId={last}");
        assert_eq!(
            http::get(demos.addr, &target, &[]).await.status,
            400,
            "{last}"
        );
    }
    demos.stop().await;
}
