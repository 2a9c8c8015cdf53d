//! Whoever is turned away is told of, once, whichever door it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanwire::config::{NamedRules, Network, Rooms, Secret};
use fanwire::{Application, Auth, Code, Config, ConnectRefusal, Refused, Running, Via};
use fanwire_tests::http::{self, Http};
use fanwire_tests::said::Said;
use fanwire_tests::socketio::Client;
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::Wire;
use fanwire_tests::ws::Ws;
use fanwire_tests::{socketio, token};
use serde_json::{Value, json};

/// What is told of one refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    client: String,
    via: Via,
    asked: Option<String>,
    namespace: Option<String>,
    code: Code,
    said: String,
    retry_in: Option<Duration>,
}

impl Told {
    fn of(refused: &Refused<'_>) -> Self {
        let asked = refused.method.zip(refused.path);
        Self {
            client: refused.client.to_string(),
            via: refused.via,
            asked: asked.map(|(method, path)| format!("{method} {path}")),
            namespace: refused.namespace.map(str::to_owned),
            code: refused.why.code,
            said: refused.why.detail.clone(),
            retry_in: refused.why.retry_in,
        }
    }

    fn is(&self, via: Via, code: Code, asked: Option<&str>) {
        let told = (self.via, self.code, self.asked.as_deref());
        assert_eq!(told, (via, code, asked), "{self:?}");
        assert!(self.said.len() > 8 || via == Via::EngineIo, "{self:?}");
    }
}

struct Watched {
    running: Running,
    addr: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Watched {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.listen.drain_window = Duration::ZERO;
        change(&mut config);
        let told = Arc::new(Mutex::new(Vec::new()));
        let here = told.clone();
        let server = fanwire::Server::new(config).unwrap();
        let server = server
            .application(application())
            .on_refused(move |refused| {
                here.lock().unwrap().push(Told::of(refused));
                // Whatever code does: nothing else of this server ends by it.
                std::panic::resume_unwind(Box::new("the hook's own fault"));
            });
        let running = server.start().await.unwrap();
        Self {
            addr: running.addr(),
            running,
            told,
        }
    }

    /// Everything that was told since it was last asked, at least one thing.
    async fn told(&self) -> Vec<Told> {
        let some = || Some(std::mem::take(&mut *self.told.lock().unwrap()));
        until("a refusal to be told", || {
            some().filter(|told| !told.is_empty())
        })
        .await
    }

    /// The only thing that was.
    async fn one(&self) -> Told {
        let mut told = self.told().await;
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    /// Ends it; nothing else was told.
    async fn stop(self) {
        within("the server to end", self.running.shutdown()).await;
        assert_eq!(*self.told.lock().unwrap(), []);
    }
}

fn application() -> Application {
    Application::new()
        .namespace("/vip", |vip| {
            vip.on_connect(|auth: Auth| async move {
                match auth.get::<Value>("name") {
                    Some(_) => Ok(()),
                    None => Err(ConnectRefusal::new("members only").with(json!({"level": 3}))),
                }
            });
        })
        .unwrap()
}

fn keyed(config: &mut Config) {
    let secret = Secret::new("s3cret-0123456789abcdef");
    config.access.api_keys.insert("ops".into(), secret);
}

#[tokio::test]
async fn a_request_is_told_of_with_who_sent_it_for_what_and_without_its_secrets() {
    let watched = Watched::start(keyed).await;
    let token = "s3cret-which-is-wrong-1234";
    let bearer = format!("Bearer {token}");
    for mut http in [
        Http::connect(watched.addr).await,
        Http::connect2(watched.addr).await,
    ] {
        let target = format!("/c/news?event=a&token={token}");
        let shown = [("Authorization", bearer.as_str())];
        let refused = http.ask("POST", &target, &shown, b"x").await;
        refused.refused(401, "unauthorized");
        let told = watched.one().await;
        assert_eq!((told.client.as_str(), told.retry_in), ("127.0.0.1", None));
        told.is(Via::Http, Code::Unauthorized, Some("POST /c/news"));
        assert!(!format!("{told:?}").contains("s3cret"), "{told:?}");
        assert_eq!(http.ask("PUT", "/c/news", &[], b"").await.status, 405);
        let told = watched.one().await;
        told.is(Via::Http, Code::MethodNotAllowed, Some("PUT /c/news"));
        assert!(told.said.contains("GET, POST"), "{told:?}");
        let polled = http.ask("GET", "/c/news?wait=5", &[], b"").await;
        polled.refused(401, "unauthorized");
        let told = watched.one().await;
        told.is(Via::Poll, Code::Unauthorized, Some("GET /c/news"));
        assert_eq!(http.ask("GET", "/nowhere", &[], b"").await.status, 404);
        let told = watched.one().await;
        told.is(Via::Http, Code::NotFound, Some("GET /nowhere"));
    }
    let evil = [("Origin", &b"https://evil.example"[..])];
    let refused = Ws::try_open(watched.addr, "/c/news", &evil).await;
    refused.unwrap().unwrap_err().refused(403, "origin_denied");
    let told = watched.one().await;
    told.is(Via::WebSocket, Code::OriginDenied, Some("GET /c/news"));
    let rebound = [("Host", "evil.example"), ("Accept", "text/event-stream")];
    let refused = http::get(watched.addr, "/c/news", &rebound).await;
    refused.refused(403, "host_denied");
    let told = watched.one().await;
    told.is(Via::Sse, Code::HostDenied, Some("GET /c/news"));
    watched.stop().await;
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_told_of_by_its_address_alone() {
    let watched = Watched::start(|config| {
        config.http.header_timeout = Duration::from_millis(50);
        config.http.header_bytes = 8192;
    })
    .await;
    let asked = http::raw(watched.addr, b"hello\r\n\r\n").await;
    assert_eq!(asked.unwrap().status, 400);
    watched.one().await.is(Via::Http, Code::BadRequest, None);
    let long = format!("GET /c/a HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(9000));
    let asked = http::raw(watched.addr, long.as_bytes()).await;
    assert_eq!(asked.unwrap().status, 431);
    watched
        .one()
        .await
        .is(Via::Http, Code::HeadersTooLarge, None);
    let asked = http::raw(watched.addr, b"GET /c/a HTTP/1.1\r\n").await;
    assert_eq!(asked.unwrap().status, 408);
    watched
        .one()
        .await
        .is(Via::Http, Code::RequestTimeout, None);
    watched.stop().await;
}

#[tokio::test]
async fn connections_that_are_not_taken_in_are_told_of() {
    let watched = Watched::start(|config| {
        config.listen.admin_addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.limits.admin_connections = 1;
        config.limits.connections = 1;
    })
    .await;
    let first = Http::connect(watched.addr).await;
    let mut second = Http::connect(watched.addr).await;
    let refused = second.ask("GET", "/c/a", &[], b"").await;
    refused.refused(429, "connection_limit");
    let told = watched.one().await;
    told.is(Via::Http, Code::ConnectionLimit, Some("GET /c/a"));
    // Nobody is told there, but the hook.
    let operators = watched.running.admin_addrs()[0];
    let one = Wire::connect(operators).await;
    let mut two = Wire::connect(operators).await;
    two.rest().await;
    let told = watched.one().await;
    told.is(Via::Accept, Code::ConnectionLimit, None);
    drop((first, second, one, two));
    watched.stop().await;
}

#[tokio::test]
async fn a_bad_proxy_header_is_told_of_and_behind_a_good_one_the_client_is() {
    let watched = Watched::start(|config| {
        config.access.open = true;
        config.access.proxies = vec![Network::parse("127.0.0.1").unwrap()];
        config.listen.proxy_protocol = true;
    })
    .await;
    let mut wire = Wire::connect(watched.addr).await;
    wire.send(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    wire.rest().await;
    let told = watched.one().await;
    told.is(Via::Accept, Code::BadRequest, None);
    assert_eq!(told.client, "127.0.0.1");
    let mut wire = Wire::connect(watched.addr).await;
    let line = b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\n";
    wire.send(line).await.unwrap();
    let mut http = Http::over(wire, watched.addr);
    assert_eq!(http.ask("GET", "/nowhere", &[], b"").await.status, 404);
    assert_eq!(watched.one().await.client, "192.0.2.7");
    let mut wire = Wire::connect(watched.addr).await;
    wire.send(b"PROXY UNKNOWN\r\n").await.unwrap();
    let mut http = Http::over(wire, watched.addr);
    let forwarded = [("X-Forwarded-For", "192.0.2.9")];
    assert_eq!(http.ask("GET", "/no", &forwarded, b"").await.status, 404);
    assert_eq!(watched.one().await.client, "192.0.2.9");
    watched.stop().await;
}

#[tokio::test]
async fn a_handshake_of_tls_that_comes_to_nothing_is_told_of() {
    let watched = Watched::start(|config| {
        config.tls.self_signed = true;
        config.tls.handshake_timeout = Duration::from_millis(50);
    })
    .await;
    let mut plain = Wire::connect(watched.addr).await;
    plain.send(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    plain.rest().await;
    watched.one().await.is(Via::Tls, Code::BadRequest, None);
    let mut silent = Wire::connect(watched.addr).await;
    silent.rest().await;
    watched.one().await.is(Via::Tls, Code::RequestTimeout, None);
    watched.stop().await;
}

#[tokio::test]
async fn refusals_of_engine_io_are_told_of_and_those_of_its_namespaces() {
    let watched = Watched::start(|_| {}).await;
    let path = socketio::PATH;
    for (query, said) in [
        ("EIO=4&transport=pigeon", "Transport unknown"),
        ("EIO=4&transport=polling&sid=secret1", "Session ID unknown"),
        ("EIO=3&transport=polling", "Unsupported protocol version"),
    ] {
        let asked = http::get(watched.addr, &format!("{path}?{query}"), &[]).await;
        assert_eq!(asked.status, 400);
        let told = watched.one().await;
        let get = format!("GET {path}");
        told.is(Via::EngineIo, Code::BadRequest, Some(&get));
        assert_eq!(told.said, said);
    }
    let foreign = [("Origin", "https://evil.example")];
    let asked = http::get(
        watched.addr,
        &format!("{path}?EIO=4&transport=polling"),
        &foreign,
    )
    .await;
    assert_eq!(asked.status, 403);
    let told = watched.one().await;
    let get = format!("GET {path}");
    told.is(Via::EngineIo, Code::OriginDenied, Some(&get));
    assert!(told.said.contains("access.allow_origins"), "{told:?}");
    let mut client = Client::open(watched.addr).await;
    let no = client.try_connect("/vip", Value::Null).await;
    assert!(no.contains("members only"), "{no}");
    let told = watched.one().await;
    assert_eq!((told.via, told.code), (Via::SocketIo, Code::Forbidden));
    assert_eq!(told.said, "members only");
    assert_eq!(told.namespace.as_deref(), Some("/vip"));
    assert_eq!(told.asked.unwrap(), format!("GET {path}"));
    let no = client.try_connect("/nobody here", Value::Null).await;
    assert!(no.contains("Invalid namespace"), "{no}");
    let told = watched.one().await;
    assert_eq!((told.via, told.code), (Via::SocketIo, Code::NotFound));
    // It is let in all the same where it may be.
    client.connect("/vip", json!({"name": "Ada"})).await;
    // It stays where nothing takes its event.
    let no = client.ask(r#"42/vip,1["dance"]"#).await;
    assert!(no.contains("nothing here takes this event"), "{no}");
    let told = watched.one().await;
    assert_eq!((told.via, told.code), (Via::Frame, Code::Forbidden));
    assert_eq!(told.namespace.as_deref(), Some("/vip"));
    drop(client);
    watched.stop().await;
}

#[tokio::test]
async fn a_socket_that_shows_a_bad_token_first_is_told_of_and_so_are_refused_frames() {
    let watched = Watched::start(|config| {
        token::configure(config);
        config.ws.auth_timeout = Duration::from_millis(500);
    })
    .await;
    let get = Some("GET /c/news");
    for (first, code) in [
        (r#"{"auth":"s3cret.x.y"}"#, Code::Unauthorized),
        (r#"{"data":1}"#, Code::Unauthorized),
        ("", Code::RequestTimeout),
    ] {
        let mut ws = Ws::envelope(watched.addr, "/c/news").await;
        if !first.is_empty() {
            ws.text(first).await;
        }
        ws.closed().await;
        let told = watched.one().await;
        told.is(Via::WebSocket, code, get);
        assert!(!told.said.contains("s3cret"), "{told:?}");
    }
    let granted = json!({"subscribe": ["news"]});
    let mut ws = Ws::envelope(watched.addr, "/c/news").await;
    let token = token::of("ada", 60, granted);
    ws.text(&json!({ "auth": token }).to_string()).await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws.text(r#"{"data":1,"ref":1}"#).await;
    assert!(matches!(ws.next().await, Said::Reply(_)));
    watched.one().await.is(Via::Frame, Code::Forbidden, get);
    drop(ws);
    watched.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_ended_by_a_refusal_is_told_of() {
    let mut kept = Config::default();
    let watched = Watched::start(|config| {
        keyed(config);
        kept = config.clone();
        config.access.open = true;
    })
    .await;
    let accept = [("Accept", &b"text/event-stream"[..])];
    let mut sse = Sse::open(watched.addr, "/c/news", &accept).await;
    assert!(matches!(sse.next().await, Said::Ready(_)));
    watched.running.reload_to(kept).unwrap();
    while !matches!(sse.next().await, Said::Cut | Said::Ended) {}
    let told = watched.one().await;
    assert_eq!(
        (told.via, told.asked.as_deref()),
        (Via::Sse, Some("GET /c/news"))
    );
    assert!(!told.code.retry(), "{told:?}");
    watched.stop().await;
}

#[tokio::test]
async fn what_is_counted_is_told() {
    let watched = Watched::start(|config| {
        let closed = NamedRules {
            rooms: Some(Rooms::Closed),
            ..NamedRules::default()
        };
        config
            .namespaces
            .by_name
            .insert("closed".to_owned(), closed);
    })
    .await;
    for target in ["/c/", "/c/closed:x", "/c/a?limit=x", "/nowhere", "/api/x"] {
        let asked = http::get(watched.addr, target, &[]).await;
        assert!(asked.status >= 400, "{target}");
    }
    http::post(watched.addr, "/healthz", &[], b"").await;
    http::get(watched.addr, socketio::PATH, &[]).await;
    let mut told = BTreeMap::new();
    for one in watched.told().await {
        *told.entry(one.code.as_str().to_owned()).or_insert(0) += 1;
    }
    let figures = http::get(watched.addr, "/metrics", &[]).await.text();
    let counted = figures.lines().filter_map(|line| {
        let rest = line.strip_prefix("fanwire_refusals_total{code=\"")?;
        let (code, count) = rest.split_once("\"} ")?;
        Some((code.to_owned(), count.parse::<u32>().ok()?)).filter(|(_, count)| *count > 0)
    });
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), told);
    assert_eq!(told.values().sum::<u32>(), 7);
    watched.stop().await;
}
