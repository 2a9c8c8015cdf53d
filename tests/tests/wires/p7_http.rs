//! P7 as plain HTTP sees it: paths, methods, negotiation, broken requests.

use fanwire_tests::http::{self, Http, request};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;

use crate::table::once;

once!(
    unknown_paths_are_404_and_unknown_methods_405,
    s8_s9_negotiation_is_as_the_table_of_requests_says,
    broken_requests_are_400_and_never_hang,
    requests_on_one_connection_are_answered_in_order_after_a_refusal,
    every_answer_under_c_is_no_store_and_varies_by_origin,
);

async fn unknown_paths_are_404_and_unknown_methods_405(variant: Variant) {
    let server = TestServer::start(variant).await;
    for path in [
        "/nope",
        "/c2/a",
        "/C/a",
        "/connect/x",
        "//c/a",
        "/healthz/x",
    ] {
        http::get(server.addr, path, &[])
            .await
            .refused(404, "not_found");
    }
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let mut http = Http::connect(server.addr).await;
        let answer = http.ask(method, "/c/a", &[], b"").await;
        answer.refused(405, "method_not_allowed");
        assert_eq!(
            answer.header("allow"),
            Some("GET, POST, OPTIONS"),
            "{method}"
        );
    }
    // A HEAD has no body, so only its head can be looked at.
    let mut http = Http::connect(server.addr).await;
    http.wire
        .send(&request("HEAD", "/c/a", &[("Host", b"localhost")], b""))
        .await
        .unwrap();
    let head = http::Head::read(&mut http.wire).await.unwrap();
    assert_eq!(
        (head.status, head.header("allow")),
        (405, Some("GET, POST, OPTIONS"))
    );
    let answer = Http::connect(server.addr)
        .await
        .ask("OPTIONS", "/c/a", &[], b"")
        .await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, Some("GET, POST, OPTIONS"))
    );
    let answer = http::get(server.addr, "/healthz", &[]).await;
    assert_eq!((answer.status, answer.text().trim()), (200, "ok"));
    let page = http::get(server.addr, "/", &[]).await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.header("content-security-policy").is_some(), "o6");
}

async fn s8_s9_negotiation_is_as_the_table_of_requests_says(variant: Variant) {
    let server = TestServer::start(variant).await;
    server.publish("a", "x").await;
    let is = async |target: &str, accept: Option<&str>| {
        let headers: Vec<(&str, &str)> = accept
            .map(|accept| ("Accept", accept))
            .into_iter()
            .collect();
        let mut http = Http::connect(server.addr).await;
        let mut all: Vec<(&str, &[u8])> = vec![("Host", b"localhost")];
        all.extend(headers.iter().map(|(n, v)| (*n, v.as_bytes())));
        http.wire
            .send(&request("GET", target, &all, b""))
            .await
            .unwrap();
        let head = http::Head::read(&mut http.wire).await.unwrap();
        head.header("content-type").unwrap().to_owned()
    };
    let (stream, json) = ("text/event-stream; charset=utf-8", "application/json");
    for accept in [
        "text/event-stream",
        "text/html, text/event-stream;q=0.9",
        "TEXT/EVENT-STREAM",
    ] {
        assert_eq!(is("/c/a", Some(accept)).await, stream, "{accept}");
    }
    for accept in [
        None,
        Some("*/*"),
        Some("text/*"),
        Some("application/json"),
        Some("text/html"),
    ] {
        assert_eq!(is("/c/a", accept).await, json, "{accept:?}");
    }
    assert_eq!(is("/c/a?format=sse", None).await, stream);
    assert_eq!(
        is("/c/a?format=sse,envelope", Some("application/json")).await,
        stream
    );
    assert_eq!(
        is("/c/a?format=json", Some("text/event-stream")).await,
        json
    );
    assert_eq!(
        is("/c/a?format=json&wait=0", Some("text/event-stream")).await,
        json
    );
    let sse = Sse::open(server.addr, "/c/a", &[]).await;
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(sse.head.header(name), Some(value), "{name}");
    }
    assert!(sse.head.header("date").is_some());
    assert_eq!(sse.head.header("content-encoding"), None, "s12");
}

async fn broken_requests_are_400_and_never_hang(variant: Variant) {
    let server = TestServer::start(variant).await;
    for broken in [
        "GET\r\n\r\n",
        "hello\r\n\r\n",
        "GET /c/a HTTP/9.9\r\n\r\n",
        "GET /c/a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /c/a HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /c/a HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
        "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST /c/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /c/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        // Almost the preface of HTTP/2.
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let answer = http::raw(server.addr, broken.as_bytes()).await;
        let status = answer.map(|answer| answer.status);
        assert!(
            matches!(status, Ok(400 | 501 | 505)),
            "{broken:?}: {status:?}"
        );
    }
    // Two lengths that disagree in kind: never a second request.
    let both = "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = http::raw(server.addr, both.as_bytes()).await.unwrap();
    assert!([200, 400].contains(&answer.status));
    // Whoever leaves in the middle is not waited for.
    for part in [
        "GET /c/a HT",
        "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc",
    ] {
        let mut http = Http::connect(server.addr).await;
        http.wire.send(part.as_bytes()).await.unwrap();
        http.wire.finish().await;
        http.wire.rest().await;
    }
    assert_eq!(server.get("a", &[]).await.status, 200);
}

async fn requests_on_one_connection_are_answered_in_order_after_a_refusal(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut http = Http::connect(server.addr).await;
    http.ask("GET", "/nope", &[], b"")
        .await
        .refused(404, "not_found");
    http.ask("GET", "/c/@x", &[], b"")
        .await
        .refused(400, "invalid_channel");
    http.ask("POST", "/c/a?event=open", &[], b"body")
        .await
        .refused(400, "invalid_event");
    http.ask(
        "POST",
        "/c/a",
        &[("Content-Type", "application/json")],
        b"{",
    )
    .await
    .refused(400, "invalid_body");
    let id = http.ask("POST", "/c/a", &[], b"fine").await.id();
    // Pipelined: three requests in one packet.
    let host: [(&str, &[u8]); 1] = [("Host", b"localhost")];
    let bytes = [
        request("POST", "/c/a", &host, b"piped"),
        request("GET", "/nope", &host, b""),
        request("GET", "/c/a?limit=2", &host, b""),
    ];
    http.wire.send(&bytes.concat()).await.unwrap();
    let piped = http.answer().await.unwrap().id();
    http.answer().await.unwrap().refused(404, "not_found");
    let (said, _) = poll::read(&http.answer().await.unwrap());
    let ids: Vec<_> = said
        .iter()
        .map(|said| match said {
            Said::Heard(heard) => heard.id.clone().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [id, piped]);
}

async fn every_answer_under_c_is_no_store_and_varies_by_origin(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut answers = vec![
        server.get("a", &[]).await,
        server.get("a?wait=0", &[]).await,
        server.get("@bad", &[]).await,
        server.post("a", &[], b"x").await,
        Http::connect(server.addr)
            .await
            .ask("OPTIONS", "/c/a", &[], b"")
            .await,
        Http::connect(server.addr)
            .await
            .ask("PUT", "/c/a", &[], b"")
            .await,
    ];
    let sse = Sse::open(server.addr, "/c/a", &[]).await;
    answers.push(http::Answer {
        status: 200,
        headers: sse.head.headers.clone(),
        body: vec![],
    });
    for answer in answers {
        assert_eq!(
            answer.header("cache-control"),
            Some("no-store"),
            "l8 {answer:?}"
        );
        let vary = answer
            .header("vary")
            .unwrap_or_default()
            .to_ascii_lowercase();
        assert!(vary.contains("origin"), "o4 {answer:?}");
    }
}
