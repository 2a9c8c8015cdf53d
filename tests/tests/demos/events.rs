//! `/events…`, `POST /broadcast`.

use std::time::Duration;

use fanwire_tests::http::{Answer, Http};
use fanwire_tests::sse::{Block, Sse};
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;
use serde_json::{Value, json};

use crate::demos::{Demos, SOON};

async fn open(demos: &Demos, target: &str, last: Option<&str>) -> Sse {
    let last = last.map(|last| ("Last-Event-ID", last.as_bytes()));
    let stream = Sse::open(demos.addr, target, last.as_slice()).await;
    let all = stream.head.headers.iter();
    let open: Vec<_> = all
        .filter(|(name, _)| name == "access-control-allow-origin")
        .collect();
    assert!(
        matches!(open.as_slice(), [(_, all)] if all == "*"),
        "{open:?}"
    );
    stream
}

async fn block(stream: &mut Sse) -> Block {
    within("an event", stream.block()).await.unwrap()
}

/// The next event's id, name and data.
async fn next(stream: &mut Sse) -> (Option<String>, String, String) {
    let block = block(stream).await;
    let data = String::from_utf8(block.data.join(&b'\n')).unwrap();
    (block.id, block.name, data)
}

async fn data(stream: &mut Sse) -> String {
    let (id, name, data) = next(stream).await;
    assert_eq!((id, name.as_str()), (None, ""));
    data
}

#[tokio::test]
async fn a_word_at_once_then_greetings_with_the_time() {
    let demos = Demos::start(|timings| timings.greeting = SOON).await;
    let mut stream = open(&demos, "/events", None).await;
    assert_eq!(data(&mut stream).await, "Connected");
    let mut before = String::new();
    for _ in 0..3 {
        let text = data(&mut stream).await;
        assert!(text.starts_with(r#"{"time":""#), "{text}");
        let greeting: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(greeting["message"], "Hello!");
        let time = greeting["time"].as_str().unwrap();
        assert!(
            time.ends_with('Z') && time > before.as_str(),
            "{time} after {before}"
        );
        before = time.to_owned();
    }
    drop(stream);
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn three_names_come_round_after_round() {
    let demos = Demos::start(|timings| timings.greeting = SOON).await;
    let mut stream = open(&demos, "/events/typed", None).await;
    for _ in 0..2 {
        for (name, data) in [
            ("message", "Hello"),
            ("notification", "New notification!"),
            ("update", r#"{"count": 10}"#),
        ] {
            assert_eq!(
                next(&mut stream).await,
                (None, name.to_owned(), data.to_owned())
            );
        }
    }
    demos.stop().await;
}

#[tokio::test]
async fn who_comes_back_goes_on_behind_the_last_number() {
    let demos = Demos::start(|timings| timings.count = SOON).await;
    let (mut expected, mut last) = (1_u64, None);
    for _ in 0..3 {
        let mut stream = open(&demos, "/events/resumable", last.as_deref()).await;
        for _ in 0..5 {
            let id = expected.to_string();
            let said = (Some(id.clone()), String::new(), format!("Event {id}"));
            assert_eq!(next(&mut stream).await, said);
            expected += 1;
        }
        last = stream.last_id.clone();
    }
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn s8_an_id_that_is_none_of_ours_begins_at_one() {
    let demos = Demos::start(|_| {}).await;
    for id in [
        "",
        "-1",
        "x",
        "7x",
        "1.5",
        "\u{ff}",
        "18446744073709551615",
        "99999999999999999999999",
    ] {
        let mut stream = open(&demos, "/events/resumable", Some(id)).await;
        assert_eq!(next(&mut stream).await.0.as_deref(), Some("1"), "{id}");
    }
    let mut stream = open(&demos, "/events/resumable", Some("0")).await;
    assert_eq!(next(&mut stream).await.0.as_deref(), Some("1"));
    drop(stream);
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn a_client_is_told_when_to_come_back_in_one_event() {
    let demos = Demos::start(|_| {}).await;
    let mut stream = open(&demos, "/events/retry", None).await;
    assert_eq!(data(&mut stream).await, "Connected");
    assert_eq!(stream.retry, Some(5000));
    drop(stream);
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn all_hear_every_broadcast_in_one_order_and_one_who_leaves_takes_nothing_away() {
    let demos = Demos::start(|_| {}).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(open(&demos, "/events/stream", None).await);
    }
    // Two at once, so that there is an order to agree on.
    let say = async |who: &str| {
        for n in 0..20 {
            let said = json!({ "message": format!("{who} {n}\nand more") });
            let answer = demos.post("/broadcast", &said.to_string()).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, r#"{"success":true}"#)
            );
        }
    };
    drop(streams.pop());
    tokio::join!(say("a"), say("b"));
    let mut orders = Vec::new();
    for stream in &mut streams {
        let mut order = Vec::new();
        for _ in 0..40 {
            order.push(data(stream).await);
        }
        orders.push(order);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    let first: Value = serde_json::from_str(&orders[0][0]).unwrap();
    assert!(first["message"].as_str().unwrap().ends_with(" 0\nand more"));
    drop(streams);
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn a_reader_far_behind_hears_the_end_and_never_a_gap() {
    let demos = Demos::start(|_| {}).await;
    // Its side holds little, so that less has to be said until it is behind.
    let wire = Wire::connect_from(demos.addr.ip(), demos.addr, 4096).await;
    let http = Http::over(wire, demos.addr);
    let opened = Sse::try_open_over(http, demos.addr, "/events/stream", &[]).await;
    let mut slow = opened.unwrap().unwrap();
    let text = "x".repeat(4000);
    let mut http = Http::connect(demos.addr).await;
    // More than is kept and more than all buffers on the way hold.
    for n in 0..3000_u32 {
        let said = json!({ "message": format!("{n:04}{}", &text[4..]) }).to_string();
        assert_eq!(posted(&mut http, &said).await.status, 200);
    }
    let mut heard = 0;
    while let Ok(block) = within("the end", slow.block()).await {
        let said: Value = serde_json::from_slice(&block.data[0]).unwrap();
        let expected = format!("{heard:04}x");
        assert!(said["message"].as_str().unwrap().starts_with(&expected));
        heard += 1;
    }
    assert!(heard < 3000, "all of them fitted in");
    drop((slow, http));
    demos.deserted().await;
    demos.stop().await;
}

async fn posted(http: &mut Http, json: &str) -> Answer {
    let kind = [("Content-Type", "application/json")];
    http.ask("POST", "/broadcast", &kind, json.as_bytes()).await
}

#[tokio::test]
async fn x1_what_is_no_broadcast_is_refused_to_any_origin_with_a_sentence() {
    let demos = Demos::start(|_| {}).await;
    let long = json!({ "message": "x".repeat(4001) }).to_string();
    let huge = json!({ "message": "x".repeat(100_000) }).to_string();
    for body in [
        "",
        "null",
        "7",
        "{}",
        r#"{"message":7}"#,
        r#"{"message":""}"#,
        &long,
        &huge,
    ] {
        let answer = demos.post("/broadcast", body).await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert!(answer.json()["detail"].is_string());
    }
    let mut http = Http::connect(demos.addr).await;
    let asks = [
        ("Origin", "http://elsewhere.test"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let may = http.ask("OPTIONS", "/broadcast", &asks, b"").await;
    assert_eq!(may.status, 204);
    assert_eq!(may.header("access-control-allow-origin"), Some("*"));
    assert!(
        may.header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
    assert!(
        may.header("access-control-allow-headers")
            .unwrap()
            .contains("content-type")
    );
    let wrong = http.ask("GET", "/broadcast", &[], b"").await;
    assert_eq!(wrong.status, 405);
    demos.stop().await;
}

#[tokio::test]
async fn streams_end_regularly_when_the_server_stops() {
    let demos = Demos::start(|timings| timings.count = Duration::from_millis(1)).await;
    let mut streams = Vec::new();
    for target in [
        "/events",
        "/events/stream",
        "/events/typed",
        "/events/resumable",
        "/events/retry",
    ] {
        streams.push(open(&demos, target, None).await);
    }
    let stopping = tokio::spawn(demos.stop());
    for stream in &mut streams {
        while within("the end", stream.block()).await.is_ok() {}
    }
    stopping.await.unwrap();
}
