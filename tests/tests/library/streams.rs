//! Event streams and long polls of an application's own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Query;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use fanwire::sse::{self, Event};
use fanwire::{Changes, Config, Running};
use fanwire_tests::http::{self, Head, chunk, request};
use fanwire_tests::http2;
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;
use serde_json::json;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{StreamExt as _, iter};

async fn serve(routes: Router) -> Running {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.drain_window = Duration::ZERO;
    let server = fanwire::Server::new(config).unwrap().routes(routes);
    server.start().await.unwrap()
}

/// Numbers from behind the last one seen up to 3, then whatever is sent.
fn numbers(sender: &broadcast::Sender<u32>, comments: Duration) -> Router {
    let sender = sender.clone();
    let route = async move |headers: HeaderMap| {
        let last = sse::last_event_id(&headers).and_then(|id| id.parse().ok());
        let first = last.map_or(1, |last: u32| last + 1);
        let live = BroadcastStream::new(sender.subscribe()).filter_map(Result::ok);
        let numbered = |n: u32| Event::data(format!("Event {n}")).id(n.to_string());
        let begins = iter([Event::reconnect_after(Duration::from_secs(5))]);
        let stream = begins.chain(iter(first..4).chain(live).map(numbered));
        sse::events(stream).map(|events| events.comments_after(comments))
    };
    Router::new().route("/numbers", get(route))
}

async fn open(mut wire: Wire, last: Option<&str>) -> Wire {
    let mut headers: Vec<(&str, &[u8])> = vec![("Host", b"127.0.0.1")];
    headers.extend(last.map(|last| ("Last-Event-ID", last.as_bytes())));
    let asked = request("GET", "/numbers", &headers, b"");
    wire.send(&asked).await.unwrap();
    let head = Head::read(&mut wire).await.unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(
        head.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    wire
}

/// Reads on until the stream has said all of this.
async fn says(wire: &mut Wire, expected: &str) {
    let mut text = String::new();
    while text.len() < expected.len() {
        let piece = chunk(wire).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert_eq!(text, expected);
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn own_events_have_own_ids_and_resume_by_them_and_end_with_their_reader() {
    let (sender, _) = broadcast::channel(8);
    let running = serve(numbers(&sender, LONG)).await;
    let wires = [
        Wire::connect(running.addr()).await,
        http2::connect(running.addr()).await,
    ];
    for wire in wires {
        let mut wire = open(wire, Some("2")).await;
        says(&mut wire, "retry: 5000\n\nid: 3\ndata: Event 3\n\n").await;
        sender.send(4).unwrap();
        says(&mut wire, "id: 4\ndata: Event 4\n\n").await;
        assert_eq!(sender.receiver_count(), 1);
        drop(wire);
        let gone = || (sender.receiver_count() == 0).then_some(());
        fanwire_tests::wait::until("the stream to be dropped", gone).await;
    }
    within("the server to end", running.shutdown()).await;
}

#[tokio::test]
async fn a_quiet_stream_says_comments_and_a_server_that_stops_ends_it() {
    let (sender, _) = broadcast::channel(8);
    let running = serve(numbers(&sender, Duration::from_millis(20))).await;
    let mut wire = open(Wire::connect(running.addr()).await, Some("3")).await;
    says(&mut wire, "retry: 5000\n\n:\n\n:\n\n").await;
    let ends = async {
        // Its regular end, so that an EventSource comes back.
        while chunk(&mut wire).await.unwrap().is_some() {}
    };
    let both = async { tokio::join!(ends, running.shutdown()) };
    within("the stream and the server to end", both).await;
    assert_eq!(sender.receiver_count(), 0);
}

#[tokio::test]
async fn a_long_poll_of_an_application_answers_at_once_or_when_something_comes() {
    let (messages, changes) = (Arc::new(Mutex::new(Vec::<String>::new())), Changes::new());
    let (kept, told) = (messages.clone(), changes.clone());
    let read = async move |Query(from): Query<HashMap<String, u64>>| {
        let last = usize::try_from(from["last"]).unwrap();
        let new = || {
            let messages = kept.lock().unwrap();
            let new = messages.get(last..)?.to_vec();
            (!new.is_empty()).then_some(new)
        };
        let time = Duration::from_millis(from["within"]);
        Json(told.wait(time, new).await.unwrap_or_default())
    };
    let add = async move |text: String| {
        messages.lock().unwrap().push(text);
        changes.tell();
    };
    let running = serve(Router::new().route("/messages", get(read).merge(post(add)))).await;
    let addr = running.addr();
    let empty = http::get(addr, "/messages?last=0&within=1", &[]).await;
    assert_eq!(empty.json(), json!([]));
    let waiting = tokio::spawn(async move {
        http::get(addr, "/messages?last=0&within=600000", &[])
            .await
            .json()
    });
    assert_eq!(http::post(addr, "/messages", &[], b"one").await.status, 200);
    assert_eq!(waiting.await.unwrap(), json!(["one"]));
    let at_once = http::get(addr, "/messages?last=0&within=600000", &[]).await;
    assert_eq!(at_once.json(), json!(["one"]));
    within("the server to end", running.shutdown()).await;
}
