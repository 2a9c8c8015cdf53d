//! P8 Closed by default: origins, hosts, proxies and keys.

use std::net::{Ipv4Addr, SocketAddr};

use fanwire::config::Secret;
use fanwire_tests::http::{self, Answer, Http, request};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;
use fanwire_tests::ws::Ws;

use crate::table::once;

once!(
    p8_o1_o2_a_foreign_origin_gets_403_on_websocket_and_post_and_no_cors_on_get,
    p8_the_servers_own_and_loopback_origins_are_allowed_on_loopback,
    p8_an_allowed_origin_matches_exactly,
    p8_o4_preflight_answers_for_allowed_origins_alone,
    p8_o5_a_host_that_is_not_loopback_is_403,
    p8_allow_host_names_the_hosts,
    p8_r1_while_unconfigured_a_proxied_request_is_refused,
    p8_a_server_that_others_can_reach_needs_a_key_or_open,
    p8_with_a_key_everything_needs_it,
    p8_a_wrong_key_is_401_everywhere_and_never_anonymous,
    p8_a_key_in_the_url_is_nothing_and_no_error_shows_it,
    p8_open_lets_everyone_in_and_still_knows_keys,
    p8_bearer_is_read_strictly,
);

const SECRET: &str = "s3cret-0123456789abcdef";
const BEARER: (&str, &str) = ("Authorization", "Bearer s3cret-0123456789abcdef");

async fn keyed(variant: Variant, open: bool) -> TestServer {
    TestServer::with(variant, |config| {
        config
            .access
            .api_keys
            .insert("ops".into(), Secret::new(SECRET));
        config.access.open = open;
    })
    .await
}

async fn ws_answer(server: &TestServer, headers: &[(&str, &str)]) -> Result<Ws, Answer> {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    Ws::try_open(server.addr, "/c/a", &headers).await.unwrap()
}

async fn sse_answer(server: &TestServer, headers: &[(&str, &str)]) -> Result<Sse, Answer> {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    Sse::try_open(server.addr, "/c/a", &headers).await.unwrap()
}

fn cors(headers: &[(String, String)]) -> Option<&str> {
    let mut all = headers
        .iter()
        .filter(|(name, _)| name == "access-control-allow-origin");
    all.next().map(|(_, value)| value.as_str())
}

/// This origin may publish, upgrade and read.
async fn allowed(server: &TestServer, origin: &str, host: &str) {
    let headers = [("Origin", origin), ("Host", host)];
    let get = server.get("a", &headers).await;
    assert_eq!(
        (get.status, cors(&get.headers)),
        (200, Some(origin)),
        "{origin}"
    );
    let post = server.post("a", &headers, b"x").await;
    assert_eq!(
        (post.status, cors(&post.headers)),
        (200, Some(origin)),
        "{origin}"
    );
    let sse = sse_answer(server, &headers).await.unwrap();
    assert_eq!(cors(&sse.head.headers), Some(origin));
    assert!(ws_answer(server, &headers).await.is_ok(), "{origin}");
}

/// This origin may not: what a page there can do is what a form could, at most.
async fn denied(server: &TestServer, origin: &str) {
    let headers = [("Origin", origin)];
    let refusal = server.post("a", &headers, b"x").await;
    let value = refusal.refused(403, "origin_denied");
    assert!(
        value["detail"].as_str().unwrap().contains("--allow-origin"),
        "{value}"
    );
    assert_eq!(cors(&refusal.headers), None);
    ws_answer(server, &headers)
        .await
        .unwrap_err()
        .refused(403, "origin_denied");
    let get = server.get("a", &headers).await;
    assert_eq!(cors(&get.headers), None, "{origin}");
    assert!(
        get.header("vary")
            .unwrap()
            .to_ascii_lowercase()
            .contains("origin")
    );
    if let Ok(sse) = sse_answer(server, &headers).await {
        assert_eq!(cors(&sse.head.headers), None, "{origin}");
    }
}

async fn p8_o1_o2_a_foreign_origin_gets_403_on_websocket_and_post_and_no_cors_on_get(
    variant: Variant,
) {
    let server = TestServer::start(variant).await;
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "https://localhost@evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil-localhost",
        "file://",
        "http://10.0.0.1",
        "",
        "garbage",
        "http://localhost:80:80",
        "http://[::2]",
    ] {
        denied(&server, origin).await;
    }
    assert!(
        server.get("a", &[]).await.json()["messages"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

async fn p8_the_servers_own_and_loopback_origins_are_allowed_on_loopback(variant: Variant) {
    let server = TestServer::start(variant).await;
    let own = server.addr.to_string();
    allowed(&server, &format!("http://{own}"), &own).await;
    let port = server.addr.port();
    for origin in [
        "http://localhost:5173",
        "http://127.0.0.1",
        "http://[::1]:8080",
        "https://localhost",
    ] {
        allowed(&server, origin, &own).await;
    }
    allowed(
        &server,
        &format!("http://localhost:{port}"),
        &format!("localhost:{port}"),
    )
    .await;
}

async fn p8_an_allowed_origin_matches_exactly(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.allow_origins = vec![
            "https://good.example".into(),
            "http://a.example:8080".into(),
        ];
    })
    .await;
    let host = server.addr.to_string();
    allowed(&server, "https://good.example", &host).await;
    allowed(&server, "http://a.example:8080", &host).await;
    for origin in [
        "http://good.example",
        "https://good.example:8443",
        "https://good.example.evil.com",
        "https://evilgood.example",
        "https://sub.good.example",
        "http://a.example",
        "null",
        "https://good.example/",
        "https://good.example https://evil.example",
    ] {
        denied(&server, origin).await;
    }
}

async fn p8_o4_preflight_answers_for_allowed_origins_alone(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.allow_origins = vec!["https://good.example".into()];
    })
    .await;
    for (origin, fine) in [
        ("https://good.example", true),
        ("https://evil.example", false),
    ] {
        for method in ["GET", "POST"] {
            let headers = [
                ("Origin", origin),
                ("Access-Control-Request-Method", method),
                (
                    "Access-Control-Request-Headers",
                    "authorization,idempotency-key,content-type,last-event-id",
                ),
            ];
            let answer = Http::connect(server.addr)
                .await
                .ask("OPTIONS", "/c/a", &headers, b"")
                .await;
            assert_eq!(answer.status, 204);
            assert_eq!(cors(&answer.headers), fine.then_some(origin));
            assert!(
                answer
                    .header("vary")
                    .unwrap()
                    .to_ascii_lowercase()
                    .contains("origin")
            );
            if fine {
                let methods = answer.header("access-control-allow-methods").unwrap();
                assert!(
                    methods.contains("GET") && methods.contains("POST"),
                    "{methods}"
                );
                let names = answer
                    .header("access-control-allow-headers")
                    .unwrap()
                    .to_ascii_lowercase();
                for name in [
                    "authorization",
                    "idempotency-key",
                    "content-type",
                    "last-event-id",
                ] {
                    assert!(names.contains(name), "{name} in {names}");
                }
            }
        }
    }
}

async fn p8_o5_a_host_that_is_not_loopback_is_403(variant: Variant) {
    let server = TestServer::start(variant).await;
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]",
        "rebind.network:3000",
        "localhost:80@evil",
        "",
    ] {
        for path in ["/c/a", "/", "/c/a?wait=0"] {
            let answer = http::get(server.addr, path, &[("Host", host)]).await;
            assert!(
                [400, 403].contains(&answer.status),
                "{host}: {}",
                answer.status
            );
            if answer.status == 403 {
                answer.refused(403, "host_denied");
            }
        }
        let answer = server.post("a", &[("Host", host)], b"x").await;
        assert!(
            [400, 403].contains(&answer.status),
            "{host}: {}",
            answer.status
        );
        assert!(
            ws_answer(&server, &[("Host", host)]).await.is_err(),
            "{host}"
        );
    }
    for host in [
        "localhost",
        "localhost:9",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:3000",
        "LOCALHOST",
    ] {
        assert_eq!(
            server.get("a", &[("Host", host)]).await.status,
            200,
            "{host}"
        );
    }
    let two = request(
        "GET",
        "/c/a",
        &[("Host", b"localhost"), ("Host", b"evil.example")],
        b"",
    );
    assert!([400, 403].contains(&http::raw(server.addr, &two).await.unwrap().status));
    let none = http::raw(server.addr, b"GET /c/a HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    assert!(
        [400, 403].contains(&none.status),
        "no Host at all: {}",
        none.status
    );
    // The absolute form names the host too, and must not slip past.
    let absolute = b"GET http://evil.example/c/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = http::raw(server.addr, absolute).await.unwrap();
    assert!([400, 403].contains(&answer.status), "{}", answer.status);
}

async fn p8_allow_host_names_the_hosts(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.allow_hosts = vec!["push.example".into()];
    })
    .await;
    for host in ["push.example", "push.example:8080", "localhost"] {
        assert_eq!(
            server.get("a", &[("Host", host)]).await.status,
            200,
            "{host}"
        );
    }
    server
        .get("a", &[("Host", "other.example")])
        .await
        .refused(403, "host_denied");
}

async fn p8_r1_while_unconfigured_a_proxied_request_is_refused(variant: Variant) {
    let server = TestServer::start(variant).await;
    for header in [
        ("Forwarded", "for=1.2.3.4"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "x"),
        ("x-forwarded-anything", ""),
        ("Via", "1.1 proxy"),
    ] {
        server
            .get("a", &[header])
            .await
            .refused(403, "proxy_unconfigured");
        server
            .post("a", &[header], b"x")
            .await
            .refused(403, "proxy_unconfigured");
        ws_answer(&server, &[header])
            .await
            .unwrap_err()
            .refused(403, "proxy_unconfigured");
        sse_answer(&server, &[header])
            .await
            .unwrap_err()
            .refused(403, "proxy_unconfigured");
    }
    let configured = keyed(variant, false).await;
    let headers = [("X-Forwarded-For", "1.2.3.4"), BEARER];
    assert_eq!(configured.get("a", &headers).await.status, 200);
}

async fn p8_a_server_that_others_can_reach_needs_a_key_or_open(_variant: Variant) {
    let mut config = fanwire::Config::default();
    config.listen.addresses = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))];
    let Err(problems) = fanwire::Server::new(config.clone()).map(drop) else {
        panic!("it starts, open to the world")
    };
    let text = problems.to_string();
    assert!(
        text.contains("--open") && text.contains("--api-key"),
        "{text}"
    );
    config
        .access
        .api_keys
        .insert("ops".into(), Secret::new(SECRET));
    assert!(fanwire::Server::new(config).is_ok());
}

async fn p8_with_a_key_everything_needs_it(variant: Variant) {
    let server = keyed(variant, false).await;
    server.get("a", &[]).await.refused(401, "unauthorized");
    server
        .get("a?wait=20", &[])
        .await
        .refused(401, "unauthorized");
    let refusal = server.post("a", &[], b"x").await;
    refusal.refused(401, "unauthorized");
    assert!(
        refusal
            .header("www-authenticate")
            .is_some_and(|v| v.starts_with("Bearer"))
    );
    ws_answer(&server, &[])
        .await
        .unwrap_err()
        .refused(401, "unauthorized");
    sse_answer(&server, &[])
        .await
        .unwrap_err()
        .refused(401, "unauthorized");
    server.post("a", &[BEARER], b"x").await.id();
    assert_eq!(server.get("a", &[BEARER]).await.status, 200);
    let mut ws = ws_answer(&server, &[BEARER]).await.unwrap();
    let mut sse = sse_answer(&server, &[BEARER]).await.unwrap();
    assert!(matches!(sse.next().await, Said::Ready(_)));
    ws.text("in").await;
    assert!(matches!(ws.next().await, Said::Heard(heard) if heard.text() == "in"));
    assert!(matches!(sse.next().await, Said::Heard(heard) if heard.text() == "in"));
    // What says nothing about anyone stays open.
    assert_eq!(http::get(server.addr, "/healthz", &[]).await.status, 200);
}

async fn p8_a_wrong_key_is_401_everywhere_and_never_anonymous(variant: Variant) {
    for server in [
        keyed(variant, false).await,
        keyed(variant, true).await,
        TestServer::start(variant).await,
    ] {
        let wrong = [("Authorization", "Bearer wrong-0123456789abcdef")];
        server.get("a", &wrong).await.refused(401, "unauthorized");
        server
            .get("a?wait=20", &wrong)
            .await
            .refused(401, "unauthorized");
        server
            .post("a", &wrong, b"x")
            .await
            .refused(401, "unauthorized");
        ws_answer(&server, &wrong)
            .await
            .unwrap_err()
            .refused(401, "unauthorized");
        sse_answer(&server, &wrong)
            .await
            .unwrap_err()
            .refused(401, "unauthorized");
    }
}

async fn p8_a_key_in_the_url_is_nothing_and_no_error_shows_it(variant: Variant) {
    let server = keyed(variant, false).await;
    for query in [
        "key=",
        "token=",
        "access_token=",
        "api_key=",
        "authorization=Bearer%20",
    ] {
        let answer = server.get(&format!("a?{query}{SECRET}"), &[]).await;
        answer.refused(401, "unauthorized");
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
    }
    let almost = format!("Bearer {SECRET}x");
    let answer = server.get("a", &[("Authorization", &almost)]).await;
    answer.refused(401, "unauthorized");
    assert!(!answer.text().contains(SECRET), "{}", answer.text());
    let user = format!("http://ops:{SECRET}@127.0.0.1/c/a");
    let absolute = request("GET", &user, &[("Host", b"127.0.0.1")], b"");
    assert_ne!(http::raw(server.addr, &absolute).await.unwrap().status, 200);
}

async fn p8_open_lets_everyone_in_and_still_knows_keys(variant: Variant) {
    let server = keyed(variant, true).await;
    server.publish("a", "anonymous").await;
    server.post("a", &[BEARER], b"known").await.id();
    let messages = server.get("a", &[]).await.json()["messages"].clone();
    assert!(messages[0].get("from").is_none());
    assert_eq!(messages[1]["from"], "ops");
}

async fn p8_bearer_is_read_strictly(variant: Variant) {
    let server = keyed(variant, false).await;
    for bad in [
        SECRET.to_owned(),
        format!("Basic {SECRET}"),
        format!("Bearer{SECRET}"),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Bearer {SECRET},{SECRET}"),
        format!("Bearer {}", &SECRET[..SECRET.len() - 1]),
        format!("Bearer {}", SECRET.to_uppercase()),
        format!("Bearer {SECRET} {SECRET}"),
        format!("Bearer ops={SECRET}"),
    ] {
        server
            .get("a", &[("Authorization", &bad)])
            .await
            .refused(401, "unauthorized");
    }
    // The scheme's name has no case (RFC 9110, 11.1).
    let lower = format!("bearer {SECRET}");
    assert_eq!(
        server.get("a", &[("Authorization", &lower)]).await.status,
        200
    );
    let twice = request(
        "GET",
        "/c/a",
        &[
            ("Host", b"localhost"),
            (BEARER.0, BEARER.1.as_bytes()),
            (BEARER.0, b"Bearer wrong"),
        ],
        b"",
    );
    let answer = http::raw(server.addr, &twice).await.unwrap();
    assert!([400, 401].contains(&answer.status), "{}", answer.status);
}
