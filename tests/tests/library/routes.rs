//! Routes of an application's own beside ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use fanwire::{Client, Config, Namespaces, Running};
use fanwire_tests::http::{Head, Http, chunk, request};
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A body whose pieces come as permits do, and which says when it is dropped.
struct Dripping {
    more: Arc<Semaphore>,
    _gone: Gone,
}

struct Gone(Arc<Semaphore>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

fn routes(served_more: &Arc<Semaphore>, served_gone: &Arc<Semaphore>) -> Router {
    let (more, gone) = (served_more.clone(), served_gone.clone());
    let dripping = move || {
        let state = Dripping {
            more: more.clone(),
            _gone: Gone(gone.clone()),
        };
        async move { drip(state) }
    };
    let (permits, leaves) = (served_more.clone(), served_gone.clone());
    let waiting = async move || {
        let _gone = Gone(leaves);
        permits.acquire().await.unwrap().forget();
        "waited"
    };
    Router::new()
        .route("/", get(async || "mine"))
        .route(
            "/hello/{name}",
            get(async |Path(name): Path<String>| format!("Hello, {name}!")),
        )
        .route(
            "/double",
            post(async |Json(number): Json<u32>| Json(number * 2)),
        )
        .route(
            "/who",
            get(async |Extension(client): Extension<Client>| client.0.to_string()),
        )
        .route("/notice", post(notice))
        .route("/drip", get(dripping))
        .route("/wait", get(waiting))
        .route("/late", get(late))
        .route("/late/nothing", get(nothing_late))
        .route("/large", get(async || Body::from(vec![b'x'; 3 << 20])))
        .route("/panic", get(broken))
        .route("/api/mine", get(async || "never"))
}

async fn notice(Extension(namespaces): Extension<Namespaces>, text: String) -> &'static str {
    assert!(namespaces.io("/a b").is_none());
    let root = namespaces.io("/").unwrap();
    root.to("news").emit("notice", text).await.unwrap();
    "sent"
}

/// Longer than an answer takes that hyper sends.
async fn late() -> &'static str {
    tokio::time::sleep(Duration::from_millis(150)).await;
    "late"
}

async fn nothing_late() -> http::StatusCode {
    late().await;
    http::StatusCode::NO_CONTENT
}

async fn broken() -> &'static str {
    panic!("a route's own fault")
}

/// A piece of two bytes for each permit, and no end.
fn drip(state: Dripping) -> Response {
    struct Pieces(Dripping, Option<Acquiring>);
    type Acquiring = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    impl futures_core::Stream for Pieces {
        type Item = Result<Bytes, std::convert::Infallible>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            let more = self.0.more.clone();
            let acquiring = self.1.get_or_insert_with(|| {
                // It is never closed.
                Box::pin(async move { more.acquire().await.unwrap().forget() })
            });
            std::task::ready!(acquiring.as_mut().poll(cx));
            self.1 = None;
            std::task::Poll::Ready(Some(Ok(Bytes::from_static(b"ab"))))
        }
    }
    Body::from_stream(Pieces(state, None)).into_response()
}

struct Served {
    running: Running,
    more: Arc<Semaphore>,
    gone: Arc<Semaphore>,
}

async fn serve(change: impl FnOnce(&mut Config)) -> Served {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.drain_window = Duration::ZERO;
    change(&mut config);
    let (more, gone) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let server = fanwire::Server::new(config).unwrap();
    let running = server.routes(routes(&more, &gone)).start().await.unwrap();
    Served {
        running,
        more,
        gone,
    }
}

impl Served {
    /// Over HTTP/1.1 and over HTTP/2.
    async fn both(&self) -> [Http; 2] {
        let addr = self.running.addr();
        [Http::connect(addr).await, Http::connect2(addr).await]
    }

    async fn stop(self) {
        within("the server to end", self.running.shutdown()).await;
    }
}

#[tokio::test]
async fn own_routes_are_served_beside_ours_on_the_same_connection() {
    let served = serve(|_| {}).await;
    for mut http in served.both().await {
        assert_eq!(http.ask("GET", "/", &[], b"").await.text(), "mine");
        let hello = http.ask("GET", "/hello/Ada", &[], b"").await;
        assert_eq!((hello.status, hello.text().as_str()), (200, "Hello, Ada!"));
        let json_type = [("Content-Type", "application/json")];
        // After a publish the next request is read without hyper.
        for _ in 0..2 {
            let published = http.ask("POST", "/c/news", &[], b"x").await;
            assert_eq!(published.status, 200);
            let doubled = http.ask("POST", "/double", &json_type, b"21").await;
            assert_eq!(doubled.json(), json!(42));
        }
        assert_eq!(http.ask("GET", "/who", &[], b"").await.text(), "127.0.0.1");
        assert_eq!(http.ask("GET", "/healthz", &[], b"").await.text(), "ok");
        assert_eq!(http.ask("GET", "/nowhere", &[], b"").await.status, 404);
        // Ours stay ours.
        let ours = http.ask("GET", "/api/mine", &[], b"").await;
        assert_ne!(ours.text(), "never");
    }
    served.stop().await;
}

#[tokio::test]
async fn p7_a_route_that_panics_is_a_500_and_the_connection_goes_on() {
    let served = serve(|_| {}).await;
    for mut http in served.both().await {
        let broken = http.ask("GET", "/panic", &[], b"").await;
        broken.refused(500, "internal");
        assert_eq!(http.ask("GET", "/hello/Eve", &[], b"").await.status, 200);
    }
    served.stop().await;
}

#[tokio::test]
async fn p8_own_routes_are_behind_the_rules_and_limits_of_ours() {
    let served = serve(|config| config.http.uri_bytes = 100).await;
    for mut http in served.both().await {
        let long = format!("/hello/{}", "x".repeat(100));
        let refused = http.ask("GET", &long, &[], b"").await;
        refused.refused(414, "uri_too_long");
        let proxied = [("X-Forwarded-For", "1.2.3.4")];
        let refused = http.ask("GET", "/", &proxied, b"").await;
        refused.refused(403, "proxy_unconfigured");
    }
    let mut wire = Wire::connect(served.running.addr()).await;
    let rebound = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    wire.send(rebound.as_bytes()).await.unwrap();
    assert_eq!(Head::read(&mut wire).await.unwrap().status, 403);
    served.stop().await;
}

#[tokio::test]
async fn an_answer_without_a_length_flows_and_ends_with_its_reader() {
    let served = serve(|_| {}).await;
    let mut wire = Wire::connect(served.running.addr()).await;
    let asked = request("GET", "/drip", &[("Host", b"127.0.0.1")], b"");
    wire.send(&asked).await.unwrap();
    let head = Head::read(&mut wire).await.unwrap();
    assert_eq!(
        (head.status, head.header("transfer-encoding")),
        (200, Some("chunked"))
    );
    for _ in 0..3 {
        served.more.add_permits(1);
        assert_eq!(chunk(&mut wire).await.unwrap().unwrap(), b"ab");
    }
    assert_eq!(served.gone.available_permits(), 0);
    // Nothing comes any more; it is seen all the same that the reader went.
    drop(wire);
    within("the stream to go", served.gone.acquire())
        .await
        .unwrap()
        .forget();
    served.stop().await;
}

#[tokio::test]
async fn c6_a_route_that_waits_is_dropped_when_who_asked_has_gone() {
    let served = serve(|_| {}).await;
    for by_half in [false, true] {
        let mut wire = Wire::connect(served.running.addr()).await;
        let asked = request("GET", "/wait", &[("Host", b"127.0.0.1")], b"");
        wire.send(&asked).await.unwrap();
        // Else it is reset.
        let open = match by_half {
            true => {
                wire.finish().await;
                Some(wire)
            }
            false => {
                drop(wire);
                None
            }
        };
        within("the route to go", served.gone.acquire())
            .await
            .unwrap()
            .forget();
        drop(open);
    }
    let mut http = Http::connect2(served.running.addr()).await;
    served.more.add_permits(1);
    assert_eq!(http.ask("GET", "/wait", &[], b"").await.text(), "waited");
    served.stop().await;
}

#[tokio::test]
async fn an_answer_that_took_its_time_says_its_length_once_and_only_where_it_has_one() {
    let served = serve(|_| {}).await;
    let mut http = Http::connect(served.running.addr()).await;
    let lengths = |headers: &[(String, String)]| {
        let all = headers.iter().filter(|(name, _)| name == "content-length");
        all.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let answer = http.ask("GET", "/late", &[], b"").await;
        assert_eq!(
            (answer.status, lengths(&answer.headers)),
            (200, vec!["4".into()])
        );
        let bare = http.ask("GET", "/late/nothing", &[], b"").await;
        assert_eq!((bare.status, lengths(&bare.headers)), (204, vec![]));
        assert_eq!(bare.body, b"");
    }
    let asked = request("HEAD", "/late", &[("Host", b"127.0.0.1")], b"");
    http.wire.send(&asked).await.unwrap();
    let head = Head::read(&mut http.wire).await.unwrap();
    assert_eq!(
        (head.status, lengths(&head.headers)),
        (200, vec!["4".into()])
    );
    // Nothing of a body: the next answer begins there.
    assert_eq!(http.ask("GET", "/late", &[], b"").await.text(), "late");
    served.stop().await;
}

#[tokio::test]
async fn behind_an_answer_that_took_its_time_the_connection_goes_on_as_it_was_asked() {
    let served = serve(|_| {}).await;
    let mut wire = Wire::connect(served.running.addr()).await;
    let host: (&str, &[u8]) = ("Host", b"127.0.0.1");
    // Two at once, and one behind them.
    let mut asked = request("GET", "/late", &[host], b"");
    asked.extend(request("GET", "/hello/Ada", &[host], b""));
    wire.send(&asked).await.unwrap();
    for said in ["late", "Hello, Ada!"] {
        let head = Head::read(&mut wire).await.unwrap();
        assert_eq!((head.status, head.header("connection")), (200, None));
        assert_eq!(head.body(&mut wire).await.unwrap().text(), said);
    }
    let last = request("GET", "/late", &[host, ("Connection", b"foo, Close")], b"");
    wire.send(&last).await.unwrap();
    let head = Head::read(&mut wire).await.unwrap();
    assert_eq!(head.header("connection"), Some("close"));
    assert_eq!(head.body(&mut wire).await.unwrap().text(), "late");
    assert!(wire.fill().await.is_err());
    served.stop().await;
}

#[tokio::test]
async fn a_large_answer_comes_whole() {
    let served = serve(|_| {}).await;
    for mut http in served.both().await {
        let large = http.ask("GET", "/large", &[], b"").await;
        assert_eq!((large.status, large.body.len()), (200, 3 << 20));
        assert!(large.body.iter().all(|byte| *byte == b'x'));
    }
    served.stop().await;
}

#[tokio::test]
async fn without_routes_a_path_of_nobody_is_a_problem() {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let running = fanwire::Server::new(config).unwrap().start().await.unwrap();
    let mut http = Http::connect(running.addr()).await;
    let refused: Value = http
        .ask("GET", "/nowhere", &[], b"")
        .await
        .refused(404, "not_found");
    assert_eq!(refused["title"], "Not found");
    within("the server to end", running.shutdown()).await;
}

#[tokio::test]
async fn a_route_sends_to_whoever_listens() {
    let served = serve(|_| {}).await;
    let [mut one, _] = served.both().await;
    let sent = one.ask("POST", "/notice", &[], b"closing").await;
    assert_eq!(sent.text(), "sent");
    let news = one.ask("GET", "/c/news", &[], b"").await.json();
    let heard = &news["messages"][0];
    assert_eq!(
        (&heard["event"], &heard["data"]),
        (&json!("notice"), &json!("closing"))
    );
    served.stop().await;
}
