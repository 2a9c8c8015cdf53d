//! Fanwire within an axum app, under the app's own server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use axum::routing::get;
use fanwire::config::Secret;
use fanwire::{Application, Client, Config, MountedService, Rejected, Running, Server, Socket};
use fanwire_tests::engineio::{Polling, open_ws, text};
use fanwire_tests::http::{self, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::{Ws, frame};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_service::Service as _;

const ALL: [Transport; 8] = [
    Transport::SseRaw,
    Transport::SseEnvelope,
    Transport::Poll,
    Transport::WsEnvelope,
    Transport::WsRaw,
    Transport::SseHttp2,
    Transport::PollHttp2,
    Transport::WsHttp2,
];

/// An axum app that is served, with Fanwire in it.
struct App {
    to: SocketAddr,
    running: Running,
    refused: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

async fn whose(ConnectInfo(from): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(Client(from.ip()));
    request
}

fn application() -> Application {
    Application::new()
        .namespace("/chat", |chat| {
            chat.on_connect(|socket: Socket| async move {
                socket.join("lobby").map_err(|why| (&why).into())
            });
            chat.on("say", |socket: Socket, text: String| async move {
                socket.io().to("lobby").emit("said", text).await?;
                Ok::<_, Rejected>("sent")
            });
        })
        .unwrap()
}

#[allow(clippy::disallowed_methods)] // axum's own server is what this is about.
impl App {
    async fn serve(
        change: impl FnOnce(&mut Config),
        router: impl FnOnce(MountedService) -> Router,
    ) -> Self {
        let mut config = Config::default();
        config.listen.drain_window = Duration::ZERO;
        change(&mut config);
        let refused = Arc::new(Mutex::new(Vec::new()));
        let here = refused.clone();
        let server = Server::new(config).unwrap().application(application());
        let server = server.on_refused(move |refused| {
            let told = format!("{} {}", refused.client, refused.why.code.as_str());
            here.lock().unwrap().push(told);
        });
        let mounted = server.mount().await.unwrap();
        let app = router(mounted.service).into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            to: listener.local_addr().unwrap(),
            running: mounted.running,
            refused,
            serving: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }),
        }
    }

    /// Beside a route of the app's own, knowing whose each request is.
    async fn beside(change: impl FnOnce(&mut Config)) -> Self {
        Self::serve(change, |fanwire| {
            Router::new()
                .route("/mine", get(async || "mine"))
                .fallback_service(fanwire)
                .layer(map_request(whose))
        })
        .await
    }

    async fn post(&self, list: &str, body: &[u8]) -> String {
        http::post(self.to, &format!("/c/{list}"), &[], body)
            .await
            .id()
    }

    /// Nothing is left of anyone.
    async fn is_empty(&self) {
        until("everyone to be gone", || {
            let stats = self.running.hub().stats();
            let none = stats.subscribers == 0 && self.running.connections() == 0;
            (none && self.running.hub().keys() == 0).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        within("the server to end", self.running.shutdown()).await;
        self.serving.abort();
    }
}

#[tokio::test]
async fn every_transport_hears_and_comes_back_beside_the_apps_own_routes() {
    let app = App::beside(|_| {}).await;
    let mut all = Vec::new();
    for transport in ALL {
        all.push(Listener::open(transport, app.to, "news", "").await);
    }
    for n in 0..3 {
        app.post("news", format!("message {n}").as_bytes()).await;
    }
    for (transport, mut listener) in ALL.into_iter().zip(all) {
        let heard = listener.texts(3).await;
        assert_eq!(
            heard,
            ["message 0", "message 1", "message 2"],
            "{transport:?}"
        );
        let Some(last) = listener.last().filter(|_| transport.has_ids()) else {
            continue;
        };
        drop(listener);
        app.post("news", b"missed").await;
        app.post("news", b"missed too").await;
        let mut back = Listener::resume(transport, app.to, "news", &last).await;
        assert_eq!(
            back.texts(2).await,
            ["missed", "missed too"],
            "{transport:?}"
        );
    }
    let mut http = Http::connect(app.to).await;
    assert_eq!(http.ask("GET", "/mine", &[], b"").await.text(), "mine");
    let history = http.ask("GET", "/c/news?limit=2", &[], b"").await;
    let messages = history.json()["messages"].as_array().unwrap().len();
    assert_eq!(messages, 2);
    // The page at / would be the app's.
    let page = http.ask("GET", "/", &[], b"").await;
    page.refused(404, "not_found");
    drop(http);
    app.is_empty().await;
    app.stop().await;
}

#[tokio::test]
async fn nested_under_a_prefix_everything_is_there() {
    let app = App::serve(
        |_| {},
        |fanwire| {
            Router::new()
                .nest_service("/realtime", fanwire)
                .layer(map_request(whose))
        },
    )
    .await;
    let mut ws = Ws::envelope(app.to, "/realtime/c/chat:lobby").await;
    ws.send(&frame(0x81, br#"{"event":"say","data":"hi","ref":1}"#))
        .await;
    let path = "/realtime/socket.io/";
    let (mut socket, _) = open_ws(app.to, path).await;
    socket.text("40/chat,").await;
    assert!(text(&mut socket).await.starts_with("40/chat,"));
    let mut polling = Polling::open(app.to, path).await;
    assert_eq!(polling.post("40/chat,").await.text(), "ok");
    assert!(polling.packets(1).await[0].starts_with("40/chat,"));
    socket.text(r#"42/chat,7["say","hello"]"#).await;
    let mut heard = [text(&mut socket).await, text(&mut socket).await];
    heard.sort();
    assert_eq!(heard[1], r#"43/chat,7["sent"]"#);
    assert!(
        heard[0].starts_with(r#"42/chat,["said","hello""#),
        "{heard:?}"
    );
    let polled = polling.packets(1).await;
    assert!(
        polled[0].starts_with(r#"42/chat,["said","hello""#),
        "{polled:?}"
    );
    // A session moves to a WebSocket.
    let mut moved = polling.socket().await;
    moved.text("2probe").await;
    assert_eq!(text(&mut moved).await, "3probe");
    moved.text("5").await;
    socket.text(r#"42/chat,["say","again"]"#).await;
    assert!(text(&mut moved).await.contains("again"));
    drop((ws, socket, moved, polling));
    app.is_empty().await;
    app.stop().await;
}

#[tokio::test]
async fn whoever_goes_leaves_nothing_behind_though_nothing_is_said() {
    let app = App::beside(|_| {}).await;
    for transport in ALL {
        let listener = Listener::open(transport, app.to, "quiet", "").await;
        if !transport.is_poll() {
            assert_eq!(app.running.hub().stats().subscribers, 1, "{transport:?}");
        }
        drop(listener);
        app.is_empty().await;
    }
    let mut http = Http::connect(app.to).await;
    let poll = b"GET /c/quiet?wait=50 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    http.wire.send(poll).await.unwrap();
    until("the poll to wait", || {
        (app.running.hub().stats().subscribers == 1).then_some(())
    })
    .await;
    drop(http);
    app.is_empty().await;
    app.stop().await;
}

#[tokio::test]
async fn p5_a_reader_that_takes_nothing_is_let_go_and_others_hear_on() {
    let app = App::beside(|config| {
        config.limits.write_progress = Duration::from_millis(300);
        config.listen.shutdown_grace = Duration::from_millis(300);
    })
    .await;
    let lazy = [
        Listener::lazy(Transport::SseRaw, app.to, "much").await,
        Listener::lazy(Transport::WsRaw, app.to, "much").await,
        Listener::lazy(Transport::SseHttp2, app.to, "much").await,
    ];
    let mut reads = Listener::open(Transport::WsRaw, app.to, "much", "").await;
    let body = vec![b'x'; 60_000];
    // As long as they are there, and far beyond all buffers of their connections.
    let mut sent = 0;
    while app.running.hub().stats().subscribers > 1 {
        assert!(sent < 5_000, "nobody is let go");
        app.post("much", &body).await;
        sent += 1;
        assert_eq!(reads.message().await.data.len(), body.len());
    }
    // Their connections are still there.
    drop(reads);
    app.is_empty().await;
    drop(lazy);
    app.stop().await;
}

#[tokio::test]
async fn p8_nobody_is_a_program_of_this_machine_unless_the_app_says_so() {
    let bare = |fanwire: MountedService| Router::new().fallback_service(fanwire);
    let app = App::serve(|_| {}, bare).await;
    let refused = http::get(app.to, "/c/news", &[]).await;
    refused.refused(403, "forbidden");
    assert_eq!(app.refused.lock().unwrap()[..], ["0.0.0.0 forbidden"]);
    app.stop().await;
    // With a key the app need not say it.
    let keyed = |config: &mut Config| {
        let secret = Secret::new("s3cret-0123456789abcdef");
        config.access.api_keys.insert("ops".into(), secret);
        config.limits.connections_per_ip = 1;
        // There is no such address here.
        config.listen.admin_addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    };
    let app = App::serve(keyed, bare).await;
    let shown = [("Authorization", &b"Bearer s3cret-0123456789abcdef"[..])];
    let mut all = Vec::new();
    for _ in 0..3 {
        let opened = Listener::ask(Transport::SseRaw, app.to, "news", "", &shown).await;
        all.push(opened.unwrap().unwrap());
    }
    let asked = http::get(app.to, "/c/news", &[]).await;
    asked.refused(401, "unauthorized");
    let key = [("Authorization", "Bearer s3cret-0123456789abcdef")];
    let figures = http::get(app.to, "/metrics", &key).await;
    assert!(figures.text().contains("fanwire_subscribers 3"));
    drop(all);
    app.is_empty().await;
    app.stop().await;
}

#[tokio::test]
async fn p7_refusals_are_those_of_a_server_of_its_own() {
    let app = App::beside(|_| {}).await;
    for mut http in [Http::connect(app.to).await, Http::connect2(app.to).await] {
        let evil = [("Origin", "https://evil.example")];
        let refused = http.ask("POST", "/c/news", &evil, b"x").await;
        refused.refused(403, "origin_denied");
        let proxied = [("X-Forwarded-For", "192.0.2.1")];
        let refused = http.ask("GET", "/c/news", &proxied, b"").await;
        refused.refused(403, "proxy_unconfigured");
        let large = vec![b'x'; 100_000];
        let refused = http.ask("POST", "/c/news", &[], &large).await;
        refused.refused(413, "too_large");
        assert_eq!(http.ask("PUT", "/c/news", &[], b"").await.status, 405);
        assert_eq!(http.ask("GET", "/mine", &[], b"").await.text(), "mine");
    }
    let rebound = [("Host", "evil.example")];
    let refused = http::get(app.to, "/c/news", &rebound).await;
    refused.refused(403, "host_denied");
    let version = [("Sec-WebSocket-Version", &b"12"[..])];
    let refused = Ws::try_open(app.to, "/c/news", &version).await;
    let refused = refused.unwrap().unwrap_err();
    refused.refused(426, "upgrade_required");
    let told = app.refused.lock().unwrap().clone();
    assert_eq!(told.len(), 10, "{told:?}");
    assert!(told.iter().all(|told| told.starts_with("127.0.0.1 ")));
    app.stop().await;
}

#[tokio::test]
async fn r3_one_too_many_is_told_so_in_its_transports_words() {
    let app = App::beside(|config| config.limits.connections = 1).await;
    let first = Listener::open(Transport::SseRaw, app.to, "news", "").await;
    let refused = http::get(app.to, "/c/news", &[]).await;
    refused.refused(429, "connection_limit");
    let put_off = http::get(app.to, "/c/news?format=sse", &[]).await;
    assert_eq!(put_off.status, 200);
    assert!(put_off.text().starts_with("retry: "), "{}", put_off.text());
    let mut ws = Ws::open(app.to, "/c/news", &[]).await;
    assert_eq!(ws.closed().await.0, 3504);
    drop(first);
    app.is_empty().await;
    app.post("news", b"x").await;
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_ends_streams_in_their_turn_and_refuses_who_comes_then() {
    let app = App::beside(|_| {}).await;
    let mut all = Vec::new();
    for transport in ALL.into_iter().filter(|transport| !transport.is_poll()) {
        all.push(Listener::open(transport, app.to, "news", "").await);
    }
    let mut waiting = Http::connect(app.to).await;
    let poll = b"GET /c/news?wait=50 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    waiting.wire.send(poll).await.unwrap();
    until("all to wait", || {
        (app.running.hub().stats().subscribers == all.len() + 1).then_some(())
    })
    .await;
    let App {
        to,
        running,
        serving,
        ..
    } = app;
    let heard = tokio::spawn(async move {
        let mut ends = Vec::new();
        for mut listener in all {
            ends.push(listener.rest().await.pop());
        }
        (ends, waiting.answer().await.unwrap().status)
    });
    let stopped = within("the server to end", running.shutdown()).await;
    assert_eq!(stopped.cut, 0);
    let (ends, polled) = within("all to end", heard).await.unwrap();
    for end in ends {
        assert!(
            matches!(end, Some(Said::Ended | Said::Closed(1012, _))),
            "{end:?}"
        );
    }
    assert!(matches!(polled, 200 | 503), "{polled}");
    let refused = http::get(to, "/c/news", &[]).await;
    refused.refused(503, "unavailable");
    assert_eq!(http::get(to, "/mine", &[]).await.text(), "mine");
    serving.abort();
}

#[tokio::test]
async fn a_server_that_takes_no_upgrades_is_told_so() {
    let mut mounted = Server::new(Config::default())
        .unwrap()
        .mount()
        .await
        .unwrap();
    let request = axum::http::Request::get("/c/news")
        .header("host", "localhost")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", fanwire_tests::ws::KEY)
        .extension(Client([127, 0, 0, 1].into()))
        .body(Body::empty())
        .unwrap();
    let answer = mounted.service.call(request).await.unwrap();
    assert_eq!(answer.status(), 400);
    let bytes = axum::body::to_bytes(Body::new(answer.into_body()), 10_000).await;
    let problem: serde_json::Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
    assert_eq!(problem["code"], json!("bad_request"));
    assert!(problem["detail"].as_str().unwrap().contains("upgrades"));
    until("nothing to be left", || {
        (mounted.running.hub().stats().subscribers == 0).then_some(())
    })
    .await;
    within("the server to end", mounted.running.shutdown()).await;
}

#[tokio::test]
async fn a_body_that_is_dropped_unread_lets_its_stream_go() {
    let mut mounted = Server::new(Config::default())
        .unwrap()
        .mount()
        .await
        .unwrap();
    let request = axum::http::Request::get("/c/news?format=sse")
        .header("host", "localhost")
        .extension(Client([127, 0, 0, 1].into()))
        .body(Body::empty())
        .unwrap();
    let answer = mounted.service.call(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(mounted.running.hub().stats().subscribers, 1);
    drop(answer);
    until("nothing to be left", || {
        (mounted.running.hub().stats().subscribers == 0).then_some(())
    })
    .await;
    assert_eq!(mounted.running.connections(), 0);
    within("the server to end", mounted.running.shutdown()).await;
}

#[tokio::test]
async fn p7_a_request_in_pieces_is_heard_as_any_other() {
    let app = App::beside(|_| {}).await;
    let mut wire = Wire::connect(app.to).await;
    let head = b"POST /c/news HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    for piece in [&head[..], b"3\r\nabc\r\n", b"3\r\ndef\r\n", b"0\r\n\r\n"] {
        wire.send(piece).await.unwrap();
    }
    let mut http = Http::over(wire, app.to);
    http.answer().await.unwrap().id();
    let history = http.ask("GET", "/c/news", &[], b"").await.json();
    assert_eq!(history["messages"][0]["data"], json!("abcdef"));
    app.stop().await;
}
