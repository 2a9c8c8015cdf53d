//! Origins and hosts (O2, O4, O5, O6) over both HTTPs, on every path and verb.

use fanwire_tests::http::{Answer, Http};
use fanwire_tests::server::{TestServer, Variant};

use crate::table::once;

once!(
    o2_only_the_exact_origin_may_over_either_http,
    o4_vary_stands_on_every_answer,
    o4_each_verb_has_its_preflight,
    o5_a_rebound_host_is_403_over_either_http,
    o6_the_page_is_framed_by_nobody_and_says_nothing_of_the_request,
);

const GOOD: &str = "https://good.example";

/// Each transport's verbs by an allowed page, and by lookalikes.
async fn server(variant: Variant) -> TestServer {
    TestServer::with(variant, |config| {
        config.access.allow_origins = vec![GOOD.into()];
    })
    .await
}

async fn both(server: &TestServer) -> [Http; 2] {
    [
        Http::connect(server.addr).await,
        Http::connect2(server.addr).await,
    ]
}

fn cors(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[track_caller]
fn varies(answer: &Answer) {
    let vary = answer.header("vary").unwrap_or_default();
    assert!(vary.to_ascii_lowercase().contains("origin"), "{answer:?}");
}

async fn o2_only_the_exact_origin_may_over_either_http(variant: Variant) {
    let server = server(variant).await;
    for mut http in both(&server).await {
        let page = [("Origin", GOOD)];
        for (method, target) in [("POST", "/c/a"), ("GET", "/c/a"), ("GET", "/c/a?wait=0")] {
            let answer = http.ask(method, target, &page, b"").await;
            assert_eq!(
                (answer.status, cors(&answer)),
                (200, Some(GOOD)),
                "{method}"
            );
        }
        for foreign in [
            "null",
            "http://good.example",
            "https://good.example:8443",
            "https://good.example.evil.example",
            "https://evilgood.example",
            "https://good.example@evil.example",
            "https://good.example/",
            "https://xn--good.example",
        ] {
            let page = [("Origin", foreign)];
            let refused = http.ask("POST", "/c/a", &page, b"x").await;
            refused.refused(403, "origin_denied");
            assert_eq!(cors(&refused), None, "{foreign}");
            for target in ["/c/a", "/c/a?wait=0", "/healthz", "/"] {
                let answer = http.ask("GET", target, &page, b"").await;
                assert_eq!(cors(&answer), None, "{foreign} {target}");
                varies(&answer);
            }
        }
    }
}

async fn o4_vary_stands_on_every_answer(variant: Variant) {
    let server = server(variant).await;
    for origin in [None, Some(GOOD), Some("https://evil.example")] {
        let page = origin.map(|origin| ("Origin", origin));
        let headers: Vec<_> = page.into_iter().collect();
        for (method, target) in [
            ("GET", "/"),
            ("GET", "/healthz"),
            ("GET", "/readyz"),
            ("GET", "/metrics"),
            ("GET", "/nowhere"),
            ("POST", "/api/reload"),
            ("GET", "/c/a"),
            ("GET", "/c/a?limit=x"),
            ("GET", "/c/a?wait=0"),
            ("GET", "/c/%zz"),
            ("POST", "/c/a"),
            ("OPTIONS", "/c/a"),
            ("DELETE", "/c/a"),
            ("PUT", "/"),
        ] {
            for mut http in both(&server).await {
                let answer = http.ask(method, target, &headers, b"").await;
                varies(&answer);
                let allowed = origin == Some(GOOD);
                assert_eq!(cors(&answer).is_some(), allowed, "{method} {target}");
            }
        }
    }
}

async fn o4_each_verb_has_its_preflight(variant: Variant) {
    let server = server(variant).await;
    for mut http in both(&server).await {
        for (verb, wanted) in [
            ("GET", "last-event-id"),
            ("GET", "authorization"),
            ("GET", "cache-control"),
            ("POST", "content-type"),
            ("POST", "idempotency-key"),
        ] {
            let asked = |origin| {
                [
                    ("Origin", origin),
                    ("Access-Control-Request-Method", verb),
                    ("Access-Control-Request-Headers", wanted),
                ]
            };
            let answer = http.ask("OPTIONS", "/c/a,b", &asked(GOOD), b"").await;
            assert_eq!(answer.status, 204);
            assert_eq!(cors(&answer), Some(GOOD));
            let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
            assert!(header("access-control-allow-methods").contains(verb));
            let headers = header("access-control-allow-headers");
            assert!(headers.split(", ").any(|name| name == wanted), "{headers}");
            varies(&answer);
            let foreign = asked("https://evil.example");
            let answer = http.ask("OPTIONS", "/c/a,b", &foreign, b"").await;
            assert_eq!(cors(&answer), None);
            assert_eq!(answer.header("access-control-allow-methods"), None);
            varies(&answer);
        }
    }
}

async fn o5_a_rebound_host_is_403_over_either_http(variant: Variant) {
    let server = server(variant).await;
    for mut http in both(&server).await {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
        ] {
            for (method, target) in [("GET", "/c/a"), ("POST", "/c/a"), ("GET", "/metrics")] {
                let answer = http.ask(method, target, &[("Host", host)], b"").await;
                answer.refused(403, "host_denied");
                varies(&answer);
            }
        }
    }
}

async fn o6_the_page_is_framed_by_nobody_and_says_nothing_of_the_request(variant: Variant) {
    let server = server(variant).await;
    for mut http in both(&server).await {
        let page = http.ask("GET", "/?x=alert(1)", &[], b"").await;
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!page.text().contains("alert(1)"));
        // What a refusal repeats of a request is JSON, and is nothing else.
        let refused = http.ask("GET", "/c/%3Cscript%3E%01", &[], b"").await;
        let told = refused.refused(400, "invalid_channel");
        assert!(
            told["channel"]
                .as_str()
                .unwrap_or_default()
                .contains("<script>")
        );
    }
}
