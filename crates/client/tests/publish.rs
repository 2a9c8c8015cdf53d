//! P4 from the publisher's side: the same message under the same key until it
//! is kept, and never again after a no.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Server, Then, problem, response};
use fanwire_client::{Backoff, Body, Error, Publication, PublishOptions, Publisher};
use tokio::net::TcpListener;

fn publisher(url: &str) -> Publisher {
    let backoff = Backoff {
        initial: Duration::ZERO,
        max: Duration::ZERO,
    };
    let api_key = Some("hunter2".to_owned());
    Publisher::new(PublishOptions {
        backoff,
        api_key,
        ..PublishOptions::new(url)
    })
    .unwrap()
}

fn text(body: &'static str) -> Publication {
    Publication::new("news", Body::Text(Bytes::from_static(body.as_bytes())))
}

fn kept(id: &str) -> Vec<u8> {
    response(
        "200 OK",
        "application/json",
        format!("{{\"id\":\"{id}\"}}").as_bytes(),
    )
}

#[tokio::test]
async fn each_kind_and_option_goes_where_the_protocol_says() {
    let server = Server::start(|_, _| (kept("e-1"), Then::Next)).await;
    let mut publisher = publisher(&server.url);
    let json = Bytes::from_static(b"[1, {\"$bin\":\"\"}]");
    let kinds = [
        (Body::Json(json.clone()), "application/json"),
        (
            Body::Text(Bytes::from_static("é".as_bytes())),
            "text/plain; charset=utf-8",
        ),
        (
            Body::Binary(Bytes::from_static(b"\0\xFF")),
            "application/octet-stream",
        ),
        (Body::Args(json), "application/json"),
    ];
    for (n, (body, kind)) in kinds.into_iter().enumerate() {
        let publication = Publication {
            channels: vec!["chat:a".to_owned(), "chat:b,c".to_owned()],
            event: Some("sc&re".to_owned()),
            key: Some("k".to_owned()),
            exclude: Some("conn".to_owned()),
            idempotency_key: Some("once".to_owned()),
            volatile: true,
            ..Publication::new("", body.clone())
        };
        let published = publisher.publish(&publication).await.unwrap();
        assert_eq!(
            (published.id.as_deref(), published.duplicate),
            (Some("e-1"), false)
        );
        let request = &server.requests()[n];
        assert!(
            request.line.starts_with("POST /c/chat:a,chat:b%2Cc?"),
            "{}",
            request.line
        );
        assert_eq!(request.header("content-type"), Some(kind));
        assert_eq!(request.header("idempotency-key"), Some("once"));
        assert_eq!(request.header("authorization"), Some("Bearer hunter2"));
        assert_eq!(request.param("event"), Some("sc%26re"));
        assert_eq!(
            (request.param("key"), request.param("exclude")),
            (Some("k"), Some("conn"))
        );
        assert_eq!(request.param("volatile"), Some("1"));
        assert_eq!(
            request.param("args").is_some(),
            matches!(body, Body::Args(_))
        );
        let (Body::Json(sent) | Body::Text(sent) | Body::Binary(sent) | Body::Args(sent)) = body;
        assert_eq!(request.body, sent);
    }
    let mut plain = text("x");
    plain.channels = vec!["a".to_owned()];
    publisher.publish(&plain).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert!(
        request.line.starts_with("POST /c/a HTTP/1.1"),
        "nothing is said that was not set"
    );
    assert_eq!(request.header("idempotency-key"), None);
}

#[tokio::test]
async fn p4_a_retried_message_bears_one_key_through_every_kind_of_failure() {
    let server = Server::start(|n, _| match n {
        0 => (Vec::new(), Then::Reset),
        1 => (b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), Then::Reset),
        2 => (
            b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"id\"".to_vec(),
            Then::Close,
        ),
        3 => (
            problem(503, "outcome_unknown", "retry-after: 0\r\n"),
            Then::Next,
        ),
        4 => (problem(429, "rate_limited", ""), Then::Close),
        5 => (problem(500, "internal", ""), Then::Close),
        _ => {
            let body = br#"{"id":"e-9","duplicate":true}"#;
            (response("200 OK", "application/json", body), Then::Close)
        }
    })
    .await;
    let mut retries = Vec::new();
    let published = publisher(&server.url)
        .publish_retrying(&text("x"), |error, _| retries.push(error.to_string()))
        .await
        .unwrap();
    assert_eq!(
        (published.id.as_deref(), published.duplicate),
        (Some("e-9"), true)
    );
    assert_eq!(retries.len(), 6, "{retries:?}");
    assert!(retries[3].contains("outcome_unknown"));
    let requests = server.requests();
    let key = requests[0].header("idempotency-key").unwrap();
    assert_eq!(key.len(), 32, "a random key, where none is given");
    for request in &requests {
        assert_eq!(request.header("idempotency-key"), Some(key));
        assert_eq!(request.body, b"x");
    }
}

#[tokio::test]
async fn a_publisher_waits_as_long_as_the_server_asks() {
    let server = Server::start(|_, _| {
        (
            problem(503, "overloaded", "retry-after: 3600\r\n"),
            Then::Close,
        )
    })
    .await;
    let (heard, mut wait) = tokio::sync::oneshot::channel();
    let mut heard = Some(heard);
    let (mut publisher, message) = (publisher(&server.url), text("x"));
    let publish = publisher.publish_retrying(&message, |_, wait| {
        heard.take().unwrap().send(wait).unwrap();
    });
    tokio::select! {
        done = publish => panic!("{done:?}"),
        wait = &mut wait => assert_eq!(wait.unwrap(), Duration::from_secs(60), "a minute at most"),
    }
}

#[tokio::test]
async fn p4_two_messages_never_share_a_key_that_was_made_up() {
    let server = Server::start(|_, _| (kept("e-1"), Then::Next)).await;
    let mut publisher = publisher(&server.url);
    for _ in 0..2 {
        publisher
            .publish_retrying(&text("x"), |_, _| ())
            .await
            .unwrap();
    }
    let requests = server.requests();
    assert_ne!(
        requests[0].header("idempotency-key"),
        requests[1].header("idempotency-key")
    );
}

#[tokio::test]
async fn a_no_that_no_retry_can_mend_is_final() {
    for status in [400, 401, 403, 404, 413, 422] {
        let server =
            Server::start(move |_, _| (problem(status, "some_code", ""), Then::Close)).await;
        let error = publisher(&server.url)
            .publish_retrying(&text("x"), |_, _| panic!("retried"))
            .await
            .unwrap_err();
        let Error::Refused(refusal) = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (refusal.status, refusal.code.as_str()),
            (status, "some_code")
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn one_attempt_is_one_attempt() {
    let server = Server::start(|_, _| (problem(503, "overloaded", ""), Then::Close)).await;
    let error = publisher(&server.url)
        .publish(&text("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused(_)) && error.is_retryable());
    assert_eq!(server.requests().len(), 1);
    let lost = Server::start(|_, _| (Vec::new(), Then::Reset)).await;
    let error = publisher(&lost.url).publish(&text("x")).await.unwrap_err();
    assert!(matches!(error, Error::Connection(_)));
    assert_eq!(
        lost.requests().len(),
        1,
        "it may have been taken: not sent again"
    );
}

#[tokio::test]
async fn a_server_that_comes_late_gets_the_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut failures = 0;
    let mut publisher = publisher(&format!("http://{address}"));
    let message = text("x");
    let publish = publisher.publish_retrying(&message, |error, _| {
        assert!(matches!(error, Error::Connection(_)));
        failures += 1;
    });
    // Long enough for some attempts to fail; not waited for otherwise.
    let given_up = tokio::time::timeout(Duration::from_millis(50), publish).await;
    assert!(given_up.is_err(), "it goes on trying");
    assert!(failures > 0);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let server = Server::start(|n, _| {
        let mut answer = kept(&format!("e-{n}"));
        if n == 1 {
            answer = String::from_utf8(answer)
                .unwrap()
                .replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
                .into();
        }
        (answer, if n == 1 { Then::Close } else { Then::Next })
    })
    .await;
    let mut publisher = publisher(&server.url);
    for n in 0..4 {
        let published = publisher.publish(&text("x")).await.unwrap();
        assert_eq!(published.id, Some(format!("e-{n}")));
    }
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start(|_, _| (Vec::new(), Then::Hold)).await;
    let options = PublishOptions {
        timeout: Duration::from_millis(50),
        ..PublishOptions::new(&server.url)
    };
    let error = Publisher::new(options)
        .unwrap()
        .publish(&text("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Connection(_)), "{error}");
}

#[tokio::test]
async fn a_volatile_message_has_no_id_and_another_kind_of_server_is_said_so() {
    let body = br#"{"id":null}"#;
    let server =
        Server::start(|_, _| (response("200 OK", "application/json", body), Then::Close)).await;
    let published = publisher(&server.url).publish(&text("x")).await.unwrap();
    assert_eq!(published.id, None);
    let other = Server::start(|_, _| (response("200 OK", "text/html", b"<p>"), Then::Close)).await;
    let error = publisher(&other.url).publish(&text("x")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)));
    let bad_key = Publication {
        idempotency_key: Some("a\nb".to_owned()),
        ..text("x")
    };
    assert!(matches!(
        publisher(&other.url).publish(&bad_key).await,
        Err(Error::Config(_))
    ));
}
