//! Tokens: shown on every transport, and another one where one has ended.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{ALL, Answer, Seen, Server, Then, answer, faithful, ids, options, problem, response};
use fanwire_client::{
    Body, Error, Publication, PublishOptions, Publisher, SubscribeOptions, Subscriber, TokenSource,
    Transport,
};

/// Gives `t1`, `t2`, … and counts.
fn supplier() -> (TokenSource, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let source = TokenSource::new(move || {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Ok(format!("t{number}")) }
    });
    (source, asked)
}

fn shown(request: &Seen) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

/// Serves whoever shows this token; others have one that has ended.
fn door(token: &'static str) -> impl Fn(usize, &Seen) -> Answer {
    move |_, request| match shown(request) {
        Some(one) if one == token => {
            let then = match request.transport() {
                Transport::Poll => Then::Next,
                Transport::Ws | Transport::Sse => Then::Hold,
            };
            (faithful(request, 3), then)
        }
        _ => (problem(401, "token_expired", ""), Then::Close),
    }
}

fn with(url: &str, transport: Transport, token: TokenSource) -> SubscribeOptions {
    SubscribeOptions {
        token: Some(token),
        ..options(url, transport)
    }
}

#[tokio::test]
async fn every_transport_shows_the_token() {
    for transport in ALL {
        let server = Server::start(door("t1")).await;
        let token = TokenSource::fixed("t1");
        let mut subscriber = Subscriber::connect(with(&server.url, transport, token)).unwrap();
        let events = common::until_message(&mut subscriber, 3).await;
        assert_eq!(ids(&events), ["e-1", "e-2", "e-3"], "{transport:?}");
    }
}

#[tokio::test]
async fn a13_another_token_is_asked_for_once_the_server_says_that_one_has_ended() {
    for transport in ALL {
        let server = Server::start(door("t3")).await;
        let (token, asked) = supplier();
        let mut subscriber = Subscriber::connect(with(&server.url, transport, token)).unwrap();
        let events = common::until_message(&mut subscriber, 3).await;
        assert_eq!(ids(&events), ["e-1", "e-2", "e-3"], "{transport:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 3, "{transport:?}");
    }
}

#[tokio::test]
async fn a13_a_stream_that_ends_with_its_token_goes_on_with_the_next() {
    for transport in ALL {
        // Two messages with the first token, then its end, as each transport tells it.
        let server = Server::start(|n, request| match (n, request.transport()) {
            (0, transport) => {
                let mut out = answer(request, 0, 2);
                match transport {
                    Transport::Ws => out.extend(common::closed(3005)),
                    Transport::Sse => out.extend(common::expired()),
                    Transport::Poll => return (out, Then::Next),
                }
                (out, Then::Close)
            }
            (1, Transport::Poll) => (problem(401, "token_expired", ""), Then::Close),
            _ => door("t2")(n, request),
        });
        let server = server.await;
        let (token, asked) = supplier();
        let mut subscriber = Subscriber::connect(with(&server.url, transport, token)).unwrap();
        let events = common::until_message(&mut subscriber, 3).await;
        assert_eq!(ids(&events), ["e-1", "e-2", "e-3"], "{transport:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 2, "{transport:?}");
        // None is refused before the next one is asked for, where it was told.
        let requests = if transport == Transport::Poll { 3 } else { 2 };
        assert_eq!(server.requests().len(), requests, "{transport:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_the_only_one_ends_the_subscription() {
    for transport in ALL {
        let server = Server::start(door("another")).await;
        let token = TokenSource::fixed("t1");
        let mut subscriber = Subscriber::connect(with(&server.url, transport, token)).unwrap();
        match subscriber.next().await.unwrap_err() {
            Error::Refused(refusal) => assert!(refusal.is_expired()),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_supplier_without_a_token_is_asked_again() {
    let server = Server::start(door("late")).await;
    let asked = AtomicUsize::new(0);
    let token = TokenSource::new(move || {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            match first {
                true => Err("not yet".to_owned()),
                false => Ok("late".to_owned()),
            }
        }
    });
    let options = with(&server.url, Transport::Sse, token);
    let mut subscriber = Subscriber::connect(options).unwrap();
    let events = common::until_message(&mut subscriber, 1).await;
    assert!(format!("{:?}", events[0]).contains("no token: not yet"));
}

#[tokio::test]
async fn a_publish_that_is_tried_again_comes_with_the_next_token() {
    let server = Server::start(|_, request| match shown(request) {
        Some("t2") => {
            let answer = response("200 OK", "application/json", br#"{"id":"e-1"}"#);
            (answer, Then::Next)
        }
        _ => (problem(401, "token_expired", ""), Then::Next),
    });
    let server = server.await;
    let publication = Publication::new("news", Body::Text("x".into()));
    let (token, asked) = supplier();
    let publisher = |token| {
        Publisher::new(PublishOptions {
            token: Some(token),
            backoff: options(&server.url, Transport::Ws).backoff,
            ..PublishOptions::new(&server.url)
        })
    };
    let mut one = publisher(token).unwrap();
    let published = one.publish_retrying(&publication, |_, _| {}).await.unwrap();
    assert_eq!(published.id.as_deref(), Some("e-1"));
    one.publish(&publication).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // All attempts are the same publish.
    let keys: Vec<_> = server.requests();
    let first = keys[0].header("idempotency-key").unwrap();
    assert_eq!(keys[1].header("idempotency-key"), Some(first));

    let mut fixed = publisher(TokenSource::fixed("t1")).unwrap();
    let refused = fixed.publish_retrying(&publication, |_, _| {}).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
}
