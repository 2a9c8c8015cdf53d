//! The examples of the library do what they say.

use std::net::SocketAddr;
use std::time::Duration;

use fanwire::Config;
use fanwire_tests::http::{self, Head, chunk, request};
use fanwire_tests::said::Said;
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::Ws;
use serde_json::json;

#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/chat.rs"]
mod chat;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/clock.rs"]
mod clock;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/routes.rs"]
mod routes;

fn config() -> Config {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.drain_window = Duration::ZERO;
    config
}

const OFTEN: Duration = Duration::from_millis(5);

#[tokio::test]
async fn the_chat_is_heard_by_whoever_listens() {
    let running = chat::chat(config()).unwrap().start().await.unwrap();
    let mut ws = Ws::envelope(running.addr(), "/c/chat:lobby").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    let sent = http::post(running.addr(), "/c/chat:lobby?event=say", &[], b"hi").await;
    assert_eq!(sent.json(), json!("sent"));
    let Said::Heard(said) = ws.next().await else {
        panic!("nothing is said")
    };
    let data: serde_json::Value = serde_json::from_slice(&said.data).unwrap();
    assert_eq!((said.event.as_str(), &data["text"]), ("said", &json!("hi")));
    within("the server to end", running.shutdown()).await;
}

#[tokio::test]
async fn the_clock_ticks() {
    let running = clock::clock(config(), OFTEN).await.unwrap();
    let mut ws = Ws::envelope(running.addr(), "/c/clock:seconds").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    for _ in 0..2 {
        match ws.next().await {
            Said::Heard(tick) => assert_eq!(tick.event, "tick"),
            other => panic!("no tick: {other:?}"),
        }
    }
    within("the server to end", running.shutdown()).await;
}

#[tokio::test]
async fn the_routes_show_a_page_and_count_on() {
    let running = routes::served(config(), OFTEN)
        .unwrap()
        .start()
        .await
        .unwrap();
    let page = http::get(running.addr(), "/", &[]).await;
    assert!(page.text().contains("EventSource"));
    let mut wire = Wire::connect(running.addr()).await;
    let headers: [(&str, &[u8]); 2] = [("Host", b"127.0.0.1"), ("Last-Event-ID", b"41")];
    let asked = request("GET", "/count", &headers, b"");
    wire.send(&asked).await.unwrap();
    assert_eq!(Head::read(&mut wire).await.unwrap().status, 200);
    let first = chunk(&mut wire).await.unwrap().unwrap();
    assert_eq!(first, b"id: 42\ndata: Event 42\n\n");
    drop(wire);
    within("the server to end", running.shutdown()).await;
}
