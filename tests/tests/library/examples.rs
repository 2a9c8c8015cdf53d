//! The examples of the library do what they say.

use std::net::SocketAddr;
use std::time::Duration;

use fanwire::Config;
use fanwire_tests::http::{self, Head, chunk, request};
use fanwire_tests::said::Said;
use fanwire_tests::socketio::Client;
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::Ws;
use serde_json::{Value, json};

#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/chat.rs"]
mod chat;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/clock.rs"]
mod clock;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/lobby.rs"]
mod lobby;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/mounted.rs"]
mod mounted;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/private_messages.rs"]
mod private_messages;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/routes.rs"]
mod routes;
#[allow(dead_code, unreachable_pub)] // Its main, and a crate of its own elsewhere.
#[path = "../../../crates/server/examples/timers.rs"]
mod timers;

fn config() -> Config {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.drain_window = Duration::ZERO;
    config
}

const OFTEN: Duration = Duration::from_millis(5);

#[tokio::test]
async fn the_chat_of_the_readme_is_a_chat() {
    let running = chat::chat(config()).unwrap().start().await.unwrap();
    let [mut ann, mut bob] = [
        Client::join(running.addr(), "/", Value::Null).await.0,
        Client::join(running.addr(), "/", Value::Null).await.0,
    ];
    bob.say(r#"421["message","nobody yet"]"#).await;
    let refused = bob.hear().await;
    assert!(
        refused.starts_with("431[{\"code\":\"forbidden\""),
        "{refused}"
    );
    for (client, name) in [(&mut ann, "Ann"), (&mut bob, "Bob")] {
        client.say(&format!(r#"42["register","{name}"]"#)).await;
    }
    for client in [&mut ann, &mut bob] {
        let heard = [client.hear().await, client.hear().await];
        assert_eq!(
            heard,
            [r#"42["user-joined","Ann"]"#, r#"42["user-joined","Bob"]"#]
        );
    }
    ann.say(r#"42["message","hello"]"#).await;
    let said = r#"42["message",{"message":"hello","username":"Ann"}]"#;
    assert_eq!([ann.hear().await, bob.hear().await], [said, said]);
    drop(ann);
    assert_eq!(bob.hear().await, r#"42["user-left","Ann"]"#);
    within("the server to end", running.shutdown()).await;
}

/// The program in the README is the example, from its first line of code.
#[test]
fn the_readme_shows_the_chat_as_it_is_in_25_lines() {
    let readme = include_str!("../../../README.md");
    let example = include_str!("../../../crates/server/examples/chat.rs");
    let code = &example[example.find("use fanwire").unwrap()..];
    assert!(readme.contains(&format!("```rust\n{code}```\n")));
    assert!(code.lines().count() <= 25);
}

#[tokio::test]
async fn the_lobby_is_heard_by_whoever_listens() {
    let running = lobby::lobby(config()).unwrap().start().await.unwrap();
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

#[tokio::test]
#[allow(clippy::disallowed_methods)] // axum's own server is what this is about.
async fn an_app_with_fanwire_in_it_shows_its_page_and_the_news() {
    let app = mounted::app(config()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let serving = tokio::spawn(mounted::serve(listener, app, stopped));
    let page = http::get(to, "/", &[]).await;
    assert!(page.text().contains("/realtime/c/news"));
    let mut ws = Ws::envelope(to, "/realtime/c/news").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    http::post(to, "/realtime/c/news", &[], b"hi").await.id();
    assert!(matches!(ws.next().await, Said::Heard(_)));
    // Its reader is told, and keeps nothing open.
    drop(stop);
    within("the WebSocket's end", async {
        while !matches!(ws.next().await, Said::Closed(..) | Said::Ended | Said::Cut) {}
    })
    .await;
    within("the server to end", serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn private_messages_go_to_whoever_has_the_name() {
    let running = private_messages::served(config()).unwrap();
    let running = running.start().await.unwrap();
    let (mut ann, _) = Client::join(running.addr(), "/", json!(null)).await;
    let (mut bob, _) = Client::join(running.addr(), "/", json!(null)).await;
    let refused = ann.ask(r#"421["write",{"to":"bob","text":"hi"}]"#).await;
    assert!(refused.contains(r#""code":"forbidden""#), "{refused}");
    assert_eq!(ann.ask(r#"422["register","ann"]"#).await, "432[]");
    let taken = bob.ask(r#"421["register","ann"]"#).await;
    assert!(taken.contains(r#""code":"taken""#), "{taken}");
    let empty = bob.ask(r#"422["register",""]"#).await;
    assert!(empty.contains(r#""at":"args[0]""#), "{empty}");
    assert_eq!(bob.ask(r#"423["register","bob"]"#).await, "433[]");
    assert_eq!(
        ann.ask(r#"423["write",{"to":"bob","text":"hi"}]"#).await,
        "433[]"
    );
    assert_eq!(bob.hear().await, r#"42["letter","ann","hi"]"#);
    let wrong = ann.ask(r#"424["write",{"to":7,"text":"hi"}]"#).await;
    assert!(wrong.contains(r#""at":"args[0].to""#), "{wrong}");
    let nobody = ann.ask(r#"425["write",{"to":"eve","text":"hi"}]"#).await;
    assert!(nobody.contains(r#""code":"nobody""#), "{nobody}");
    within("the server to end", running.shutdown()).await;
}

#[tokio::test]
async fn timers_tick_for_who_asked_and_what_was_said_is_there_for_who_comes_later() {
    let running = timers::served(config()).unwrap().start().await.unwrap();
    let (mut ann, _) = Client::join(running.addr(), "/", json!(null)).await;
    assert_eq!(ann.ask(r#"421["say","one"]"#).await, r#"42["said","one"]"#);
    assert_eq!(ann.hear().await, "431[]");
    assert_eq!(ann.ask(r#"422["start",10]"#).await, "432[]");
    for count in 1..4 {
        assert_eq!(ann.hear().await, format!(r#"42["tick",{count}]"#));
    }
    ann.say("41").await;
    let (mut bob, _) = Client::join(running.addr(), "/", json!(null)).await;
    assert_eq!(bob.ask(r#"421["past"]"#).await, r#"431[["one"]]"#);
    within("the server to end", running.shutdown()).await;
}
