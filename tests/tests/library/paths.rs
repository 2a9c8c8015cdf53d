//! Channels at paths of an application's own, for clients that exist.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::routing::{any, post};
use fanwire::config::{Config, NamedRules, Rooms};
use fanwire::{Application, Args, Auth, Client, Rejected, Running, Server, Socket};
use fanwire_tests::http::{self, Head, Http, request};
use fanwire_tests::http2;
use fanwire_tests::said::{Heard, Said};
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::within;
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::{Ws, upgrade};

const HTTP_2: [bool; 2] = [false, true];

const GOOD: &str = "https://good.example";

fn config() -> Config {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.drain_window = std::time::Duration::ZERO;
    let rules = NamedRules {
        rooms: Some(Rooms::Public),
        ..NamedRules::default()
    };
    config.namespaces.by_name.insert("echo".to_owned(), rules);
    config
}

fn server(config: Config) -> Server {
    let application = Application::new().namespace("/echo", |echo| {
        echo.on_connect(async |_: Socket, auth: Auth| match auth.get::<u8>("no") {
            None if auth.get::<String>("no").is_none() => Ok(()),
            _ => Err("you said no".into()),
        });
        echo.on_connected(async |socket: Socket| {
            let _ = socket.emit("message", "Connected to server!").await;
        });
        echo.on("message", async |socket: Socket, args: Args| {
            let sent = socket.io().to("all").emit("message", args).await;
            sent.map_err(Rejected::from)
        });
    });
    let routes = Router::new()
        .route("/", any(async || "mine"))
        .route("/events/stream", post(async || "posted"));
    Server::new(config)
        .unwrap()
        .application(application.unwrap())
        .routes(routes)
        .web_socket_at("/", "wall")
        .and_then(|server| server.web_socket_at("/echo", "echo:all"))
        .and_then(|server| server.event_stream_at("/events/stream", "news of the day"))
        .unwrap()
}

async fn start(config: Config) -> Running {
    let starting = server(config).start();
    within("the server to start", starting).await.unwrap()
}

/// The same under an axum server of the application's own, until it is aborted.
#[allow(clippy::disallowed_methods)] // axum's own server is what this is about.
async fn mount(config: Config) -> (SocketAddr, Running, tokio::task::JoinHandle<()>) {
    let mounted = server(config).mount().await.unwrap();
    let whose = map_request(|mut request: Request| {
        request
            .extensions_mut()
            .insert(Client([127, 0, 0, 1].into()));
        std::future::ready(request)
    });
    let app = Router::new().fallback_service(mounted.service).layer(whose);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (to, mounted.running, serving)
}

async fn wire(to: SocketAddr, second: bool) -> Wire {
    match second {
        true => http2::connect(to).await,
        false => Wire::connect(to).await,
    }
}

async fn try_open(to: SocketAddr, second: bool, target: &str, headers: &[(&str, &[u8])]) -> Ws {
    let bytes = upgrade(to, target, headers);
    let opened = Ws::try_send_over(wire(to, second).await, &bytes).await;
    opened.unwrap().unwrap()
}

async fn heard(ws: &mut Ws) -> Heard {
    match ws.next().await {
        Said::Heard(heard) => heard,
        other => panic!("no message: {other:?}"),
    }
}

#[tokio::test]
async fn a_websocket_at_a_path_of_ones_own_is_one_of_its_channel() {
    let running = start(config()).await;
    let to = running.addr();
    for second in HTTP_2 {
        let mut raw = try_open(to, second, "/", &[]).await;
        let mut whole = try_open(to, second, "/?format=envelope", &[])
            .await
            .enveloped(true);
        let Said::Ready(ready) = whole.next().await else {
            panic!("no $ready")
        };
        assert_eq!(ready.channels, ["wall"]);
        raw.text("hi").await;
        assert_eq!(heard(&mut raw).await.data, b"hi");
        let said = heard(&mut whole).await;
        assert_eq!(said.channel.as_deref(), Some("wall"));
        // The request's own query: from the beginning.
        let earliest = "/?after=earliest";
        let mut late = try_open(to, second, earliest, &[]).await;
        assert_eq!(heard(&mut late).await.data, b"hi");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_path_of_ones_own_leads_to_code_as_its_channel_does() {
    let running = start(config()).await;
    let to = running.addr();
    for second in HTTP_2 {
        let mut one = try_open(to, second, "/echo", &[]).await;
        let mut two = try_open(to, second, "/echo", &[]).await;
        for ws in [&mut one, &mut two] {
            assert_eq!(heard(ws).await.data, b"Connected to server!");
        }
        one.binary(b"\x00\x01").await;
        for ws in [&mut one, &mut two] {
            assert_eq!(heard(ws).await.data, b"\x00\x01");
        }
        let mut refused = try_open(to, second, "/echo?no=1", &[]).await;
        assert_eq!(refused.closed().await, (3507, "you said no".to_owned()));
        // The subprotocol is named with the refusal, or browsers would not hear it.
        let offer: [(&str, &[u8]); 1] = [("Sec-WebSocket-Protocol", b"fanwire.envelope")];
        let refused = try_open(to, second, "/echo?no=1", &offer).await;
        let named = refused.head.header("sec-websocket-protocol");
        assert_eq!(named, Some("fanwire.envelope"));
    }
    running.shutdown().await;
}

#[tokio::test]
async fn an_event_stream_at_a_path_of_ones_own_is_one_of_its_channel() {
    let running = start(config()).await;
    let to = running.addr();
    for second in HTTP_2 {
        let http = match second {
            true => Http::connect2(to).await,
            false => Http::connect(to).await,
        };
        // What a browser sends is nothing that it depends on.
        let page: [(&str, &[u8]); 1] = [("Accept", b"text/html")];
        let opened = Sse::try_open_over(http, to, "/events/stream", &page).await;
        let mut stream = opened.unwrap().unwrap();
        let Said::Ready(ready) = stream.next().await else {
            panic!("no $ready")
        };
        assert_eq!(ready.channels, ["news of the day"]);
        let target = "/c/news%20of%20the%20day";
        let id = http::post(to, target, &[], b"new").await.id();
        let Said::Heard(new) = stream.next().await else {
            panic!("no message")
        };
        assert_eq!((new.id, &new.data[..]), (Some(id.clone()), &b"new"[..]));
        drop(stream);
        // It comes back where it was.
        let again = http::post(to, target, &[], b"newer").await.id();
        let last: [(&str, &[u8]); 1] = [("Last-Event-ID", id.as_bytes())];
        let mut stream = Sse::open(to, "/events/stream", &last).await;
        assert!(matches!(stream.next().await, Said::Ready(_)));
        let Said::Heard(newer) = stream.next().await else {
            panic!("no message")
        };
        assert_eq!(newer.id, Some(again));
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_paths_other_requests_go_on_to_the_applications_routes() {
    let running = start(config()).await;
    let to = running.addr();
    for second in HTTP_2 {
        let mut http = match second {
            true => Http::connect2(to).await,
            false => Http::connect(to).await,
        };
        for (method, target, says) in [
            ("GET", "/", "mine"),
            ("POST", "/", "mine"),
            ("POST", "/events/stream", "posted"),
        ] {
            let answer = http.ask(method, target, &[], b"").await;
            assert_eq!((answer.status, answer.text().as_str()), (200, says));
        }
        // Neither a path below nor one that is only like it.
        let below = http.ask("GET", "/events/stream/", &[], b"").await;
        assert_eq!(below.status, 404);
    }
    let asked = upgrade(to, "/events/stream", &[]);
    let refused = Ws::try_send_over(Wire::connect(to).await, &asked).await;
    assert_eq!(refused.unwrap().unwrap_err().status, 405);
    running.shutdown().await;
}

#[tokio::test]
async fn p8_the_rules_of_channels_hold_at_paths_of_ones_own() {
    let mut config = config();
    fanwire_tests::token::configure(&mut config);
    let running = start(config).await;
    let to = running.addr();
    for second in HTTP_2 {
        let bytes = upgrade(to, "/", &[]);
        let opened = Ws::try_send_over(wire(to, second).await, &bytes).await;
        opened.unwrap().unwrap_err().refused(401, "unauthorized");
        let foreign: [(&str, &[u8]); 1] = [("Origin", b"https://evil.example")];
        let bytes = upgrade(to, "/", &foreign);
        let opened = Ws::try_send_over(wire(to, second).await, &bytes).await;
        opened.unwrap().unwrap_err().refused(403, "origin_denied");
    }
    let stream = Sse::try_open(to, "/events/stream", &[]).await;
    let refused = stream.unwrap().unwrap_err();
    refused.refused(401, "unauthorized");
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let granted = serde_json::json!({"subscribe": ["news of the day"]});
    let token = fanwire_tests::token::of("ann", 60, granted);
    let bearer = fanwire_tests::token::bearer(&token);
    let shown: [(&str, &[u8]); 1] = [("Authorization", bearer.as_bytes())];
    Sse::open(to, "/events/stream", &shown).await;
    running.shutdown().await;
}

/// The status, and what of a head says who may do what with the answer.
async fn policy(to: SocketAddr, second: bool, request: &[u8]) -> (u16, Vec<(String, String)>) {
    let mut wire = wire(to, second).await;
    wire.send(request).await.unwrap();
    let mut head = Head::read(&mut wire).await.unwrap();
    let tells = |name: &str| {
        name.starts_with("access-control-") || ["vary", "cache-control", "allow"].contains(&name)
    };
    head.headers.retain(|(name, _)| tells(name));
    head.headers.sort();
    (head.status, head.headers)
}

/// A path of one's own is judged and answered as its channel is, for every origin.
async fn same_for_pages(to: SocketAddr) {
    let host = to.to_string();
    let host: (&str, &[u8]) = ("Host", host.as_bytes());
    for (second, origin) in HTTP_2.into_iter().flat_map(|second| {
        let origins = [None, Some(GOOD), Some("null"), Some("https://evil.example")];
        origins.map(|origin| (second, origin))
    }) {
        let page: Vec<(&str, &[u8])> = origin
            .iter()
            .map(|origin| ("Origin", origin.as_bytes()))
            .collect();
        let asked = |method, target, more: &[(&str, &[u8])]| {
            request(method, target, &[&[host], &page[..], more].concat(), b"")
        };
        let stream: [(&str, &[u8]); 1] = [("Accept", b"text/event-stream")];
        let own = policy(to, second, &asked("GET", "/events/stream", &stream)).await;
        let channel = asked("GET", "/c/news%20of%20the%20day", &stream);
        assert_eq!(own, policy(to, second, &channel).await, "{origin:?}");
        assert_eq!(own.0, 200);

        let preflight: [(&str, &[u8]); 2] = [
            ("Access-Control-Request-Method", b"GET"),
            ("Access-Control-Request-Headers", b"authorization"),
        ];
        let own = policy(to, second, &asked("OPTIONS", "/events/stream", &preflight)).await;
        let channel = asked("OPTIONS", "/c/news%20of%20the%20day", &preflight);
        let mut channel = policy(to, second, &channel).await;
        // What is posted at one's own path is one's own to allow.
        for (_, value) in &mut channel.1 {
            *value = value.replace("GET, POST, OPTIONS", "GET, OPTIONS");
        }
        assert_eq!(own, channel, "{origin:?}");
        let allowed = |(name, _): &(String, String)| name == "access-control-allow-origin";
        let is_good = origin == Some(GOOD);
        assert_eq!((own.0, own.1.iter().any(allowed)), (204, is_good));

        let own = policy(to, second, &upgrade(to, "/", &page)).await;
        let channel = policy(to, second, &upgrade(to, "/c/wall", &page)).await;
        assert_eq!(own, channel, "{origin:?}");
        let refused = origin.is_some() && !is_good;
        assert_eq!(own.0 == 403, refused, "{origin:?}: {own:?}");
    }
}

fn for_pages() -> Config {
    let mut config = config();
    config.access.allow_origins = vec![GOOD.into()];
    config.access.allow_credentials = true;
    config
}

#[tokio::test]
async fn o4_paths_of_ones_own_are_open_to_the_pages_that_their_channels_are_open_to() {
    let running = start(for_pages()).await;
    within("all answers", Box::pin(same_for_pages(running.addr()))).await;
    running.shutdown().await;
}

#[tokio::test]
async fn o4_mounted_paths_of_ones_own_are_open_to_the_same_pages() {
    let (to, running, serving) = mount(for_pages()).await;
    within("all answers", Box::pin(same_for_pages(to))).await;
    running.shutdown().await;
    serving.abort();
}

#[tokio::test]
async fn o4_a_preflight_for_what_is_the_routes_is_theirs_to_answer() {
    let running = start(for_pages()).await;
    let to = running.addr();
    for second in HTTP_2 {
        let mut http = match second {
            true => Http::connect2(to).await,
            false => Http::connect(to).await,
        };
        let preflight = |method| [("Origin", GOOD), ("Access-Control-Request-Method", method)];
        // axum's own answers: there is no OPTIONS there, or any method.
        let posts = preflight("POST");
        let answer = http.ask("OPTIONS", "/events/stream", &posts, b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
        // A page asks nothing before a WebSocket.
        let answer = http.ask("OPTIONS", "/", &preflight("GET"), b"").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "mine"));
    }
    running.shutdown().await;
}

#[test]
fn what_cannot_be_served_at_a_path_is_refused_before_the_server_starts() {
    let server = || Server::new(Config::default()).unwrap();
    let why = |refused: Result<Server, _>| match refused {
        Ok(_) => panic!("it was taken"),
        Err::<_, fanwire::config::Problems>(why) => why.to_string(),
    };
    assert!(why(server().web_socket_at("wall", "wall")).contains("is not a path"));
    assert!(why(server().web_socket_at("/c/wall", "wall")).contains("something else"));
    assert!(why(server().event_stream_at("/events", "@every")).contains("is not a channel"));
    let twice = server().event_stream_at("/events", "a");
    assert!(why(twice.and_then(|one| one.event_stream_at("/events", "b"))).contains("twice"));
}
