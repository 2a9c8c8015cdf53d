//! `GET /ticker`.

use std::collections::HashMap;
use std::time::Duration;

use fanwire_tests::http::{self, Http, request};
use fanwire_tests::wire::Wire;
use serde_json::Value;

use crate::demos::{Demos, NEVER, SOON};

async fn moving() -> Demos {
    Demos::start(|timings| {
        timings.tick = Duration::from_millis(2);
        timings.ticker = NEVER;
    })
    .await
}

fn quotes(answer: &Value) -> &[Value] {
    answer["quotes"].as_array().unwrap()
}

#[tokio::test]
async fn first_everything_comes_then_only_what_has_changed() {
    let demos = moving().await;
    let mut http = Http::connect(demos.addr).await;
    let all = http.ask("GET", "/ticker", &[], b"").await.json();
    let mut since = all["version"].as_u64().unwrap();
    let mut prices = HashMap::new();
    for quote in quotes(&all) {
        assert_eq!(
            quote["day"].as_array().unwrap().last(),
            Some(&quote["price"])
        );
        assert!(quote["name"].is_string() && quote["open"].is_u64());
        prices.insert(
            quote["symbol"].to_string(),
            quote["price"].as_u64().unwrap(),
        );
    }
    assert_eq!(prices.len(), 8);
    let mut fewer = 0;
    for _ in 0..30 {
        let asked = format!("/ticker?since={since}");
        let answer = http.ask("GET", &asked, &[], b"").await.json();
        let version = answer["version"].as_u64().unwrap();
        assert!(version > since, "{version} after {since}");
        since = version;
        let new = quotes(&answer);
        assert!(
            !new.is_empty(),
            "an empty answer long before the time is over"
        );
        fewer += usize::from(new.len() < prices.len());
        for quote in new {
            assert!(quote.get("day").is_none() && quote.get("name").is_none());
            let known = prices.get_mut(&quote["symbol"].to_string()).unwrap();
            let price = quote["price"].as_u64().unwrap();
            assert_ne!(*known, price);
            *known = price;
        }
    }
    assert!(fewer > 0, "every answer brought everything");
    // What was added up is what there is now, but for what has moved since.
    let present = http.ask("GET", "/ticker", &[], b"").await.json();
    if present["version"] == since {
        for quote in quotes(&present) {
            assert_eq!(
                Some(prices[&quote["symbol"].to_string()]),
                quote["price"].as_u64()
            );
        }
    }
    drop(http);
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn while_nothing_moves_a_request_waits_and_ends_empty() {
    let demos = Demos::start(|timings| {
        timings.tick = NEVER;
        timings.ticker = SOON;
    })
    .await;
    let all = http::get(demos.addr, "/ticker", &[]).await.json();
    let asked = format!("/ticker?since={}", all["version"]);
    let answer = http::get(demos.addr, &asked, &[]).await.json();
    assert_eq!(
        (quotes(&answer), &answer["version"]),
        (&[][..], &all["version"])
    );
    demos.stop().await;
}

#[tokio::test]
async fn a_version_of_another_run_gets_everything_and_what_is_none_a_sentence() {
    let demos = moving().await;
    for since in ["0", "1", "9007199254740993", "18446744073709551615"] {
        let asked = format!("/ticker?since={since}");
        let answer = http::get(demos.addr, &asked, &[]).await.json();
        assert_eq!(quotes(&answer).len(), 8, "{since}");
        assert!(
            quotes(&answer).iter().all(|quote| quote["day"].is_array()),
            "{since}"
        );
    }
    for since in [
        "",
        "-1",
        "1.5",
        "abc",
        "0x10",
        "%00",
        "18446744073709551616",
        "1&since=2",
    ] {
        let asked = format!("/ticker?since={since}");
        let refused = http::get(demos.addr, &asked, &[]).await;
        assert_eq!(refused.status, 400, "{since}");
        assert_eq!(
            refused.header("content-type"),
            Some("application/problem+json")
        );
        let why = refused.json()["detail"].to_string();
        assert!(why.contains("`since` is the `version`"), "{since}: {why}");
    }
    demos.stop().await;
}

#[tokio::test]
async fn who_leaves_while_waiting_leaves_nothing_behind() {
    let demos = Demos::start(|timings| {
        timings.tick = NEVER;
        timings.ticker = NEVER;
    })
    .await;
    let all = http::get(demos.addr, "/ticker", &[]).await.json();
    let asked = format!("/ticker?since={}", all["version"]);
    for _ in 0..20 {
        let mut wire = Wire::connect(demos.addr).await;
        let bytes = request("GET", &asked, &[("Host", b"localhost")], b"");
        wire.send(&bytes).await.unwrap();
    }
    demos.deserted().await;
    demos.stop().await;
}
