//! P3 and P7 from the client's side: gaps are told, what cannot be mended ends
//! the subscription with the server's own words, everything else is tried again.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{
    ALL, SSE_HEAD, Server, Then, answer, faithful, head, ids, message, options, problem, ready,
    response, system, until_message, write_envelope,
};
use fanwire_client::{Error, Event, Start, Subscriber, Transport};
use fanwire_proto::native::{PollWriter, System};
use fanwire_proto::sse::{LAST_CHUNK, chunk};
use fanwire_proto::ws::{self, CloseCode, Decoder, Limits, Opcode, Role, close_frame, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const GAP: System<'_> = System::Gap {
    channel: "news",
    reason: "trimmed",
    lost_through: Some("e-4"),
    cursor: "e-4",
};

#[tokio::test]
async fn p3_a_gap_is_told_before_any_message() {
    for transport in ALL {
        let server = Server::start(|_, request| {
            let transport = request.transport();
            if transport == Transport::Poll {
                let mut poll = PollWriter::new();
                poll.push(|out| GAP.write(out));
                poll.push(|out| write_envelope(out, "e-5"));
                let body = poll.finish("e-5");
                return (response("200 OK", "application/json", &body), Then::Hold);
            }
            let mut out = head(request);
            out.extend(system(transport, None, GAP));
            out.extend(ready(transport, "e-4"));
            out.extend(message(transport, "e-5"));
            (out, Then::Hold)
        })
        .await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        let events = until_message(&mut subscriber, 1).await;
        let [
            Event::Gap {
                channel,
                reason,
                lost_through,
                cursor,
            },
            Event::Ready { .. },
            Event::Message(_),
        ] = &events[..]
        else {
            panic!("{transport:?}: {events:?}")
        };
        assert_eq!((channel.as_str(), reason.as_str()), ("news", "trimmed"));
        assert_eq!(
            (lost_through.as_deref(), cursor.as_str()),
            (Some("e-4"), "e-4")
        );
    }
}

#[tokio::test]
async fn p7_a_refusal_ends_it_with_the_servers_code_and_sentence() {
    for transport in ALL {
        let server = Server::start(|_, _| (problem(403, "forbidden", ""), Then::Close)).await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        let Err(Error::Refused(refusal)) = subscriber.next().await else {
            panic!()
        };
        assert_eq!((refusal.status, refusal.code.as_str()), (403, "forbidden"));
        assert!(refusal.to_string().contains("do this"));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_a_retry_can_mend_is_tried_again() {
    for transport in ALL {
        let server = Server::start(|n, request| match n {
            0 => (
                problem(429, "rate_limited", "retry-after: 0\r\n"),
                Then::Close,
            ),
            1 => (problem(503, "unavailable", ""), Then::Next),
            2 => (response("500 X", "text/html", b"<p>not ours"), Then::Reset),
            3 => (Vec::new(), Then::Reset),
            _ => (faithful(request, 1), Then::Hold),
        })
        .await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        let events = until_message(&mut subscriber, 1).await;
        let why: Vec<_> = events
            .iter()
            .filter_map(|e| match e {
                Event::Disconnected { why, .. } => Some(why.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(why.len(), 4, "{transport:?} {why:?}");
        assert!(
            why[0].contains("rate_limited") && why[1].contains("unavailable"),
            "{why:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut subscriber = Subscriber::connect(options(&url, Transport::Ws)).unwrap();
    for _ in 0..3 {
        assert!(matches!(
            subscriber.next().await,
            Ok(Event::Disconnected { .. })
        ));
    }
}

#[tokio::test]
async fn close_codes_decide_whether_a_socket_comes_back() {
    let server = Server::start(|n, request| {
        let mut out = answer(request, 0, n as u64);
        let code = if n < 2 {
            CloseCode::SLOW
        } else {
            CloseCode::FORBIDDEN
        };
        out.extend_from_slice(&close_frame(Some(code), "no longer"));
        (out, Then::Hold)
    })
    .await;
    let mut subscriber = Subscriber::connect(options(&server.url, Transport::Ws)).unwrap();
    let events = until_message(&mut subscriber, 2).await;
    assert_eq!(ids(&events), ["e-1", "e-2"]);
    let error = subscriber.next().await.unwrap_err();
    let expected = Error::Closed {
        code: CloseCode::FORBIDDEN,
        reason: "no longer".to_owned(),
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn an_event_stream_put_off_with_200_comes_back() {
    let server = Server::start(|n, request| {
        if n == 0 {
            let mut out = SSE_HEAD.to_vec();
            out.extend_from_slice(&chunk(b"retry: 1\n\n"));
            out.extend_from_slice(LAST_CHUNK);
            return (out, Then::Close);
        }
        (faithful(request, 1), Then::Hold)
    })
    .await;
    let mut subscriber = Subscriber::connect(options(&server.url, Transport::Sse)).unwrap();
    let Ok(Event::Disconnected { retry_in, .. }) = subscriber.next().await else {
        panic!()
    };
    assert_eq!(
        retry_in,
        Duration::from_millis(1),
        "the time that the server named"
    );
    assert_eq!(ids(&until_message(&mut subscriber, 1).await), ["e-1"]);
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up_and_resumed() {
    for transport in ALL {
        let server = Server::start(|n, request| match (n, request.transport()) {
            // Open, and nothing more, ever.
            (0, Transport::Poll) => (Vec::new(), Then::Hold),
            (0, _) => (faithful(request, 1), Then::Hold),
            _ => (faithful(request, 2), Then::Hold),
        })
        .await;
        let options = fanwire_client::SubscribeOptions {
            read_timeout: Duration::from_millis(100),
            connect_timeout: Duration::from_millis(100),
            ..options(&server.url, transport)
        };
        let mut subscriber = Subscriber::connect(options).unwrap();
        let events = until_message(&mut subscriber, 2).await;
        assert_eq!(ids(&events), ["e-1", "e-2"]);
        let silent = |e: &Event| matches!(e, Event::Disconnected { why, .. } if why.contains("nothing came"));
        assert!(events.iter().any(silent), "{transport:?} {events:?}");
    }
}

#[tokio::test]
async fn another_kind_of_server_ends_it_with_a_clear_error() {
    for transport in ALL {
        let server =
            Server::start(|_, _| (response("200 OK", "text/html", b"<p>hello"), Then::Close)).await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        assert!(subscriber.next().await.is_err(), "{transport:?}");
        assert_eq!(server.requests().len(), 1);
    }
    let broken = Server::start(|_, _| (b"SSH-2.0-OpenSSH_9\r\n".to_vec(), Then::Close)).await;
    let mut subscriber = Subscriber::connect(options(&broken.url, Transport::Sse)).unwrap();
    assert!(matches!(
        subscriber.next().await,
        Ok(Event::Disconnected { .. })
    ));
}

#[tokio::test]
async fn frames_that_are_not_the_envelope_end_it() {
    let bad: [Vec<u8>; 4] = [
        frame(Opcode::Binary, b"x").to_vec(),
        frame(Opcode::Text, b"hello").to_vec(),
        frame(Opcode::Text, b"\xFF").to_vec(),
        ws::masked_frame(Opcode::Text, b"{}", [1, 2, 3, 4]).to_vec(),
    ];
    for bytes in bad {
        let server = Server::start(move |_, request| {
            let mut out = head(request);
            out.extend_from_slice(&bytes);
            (out, Then::Hold)
        })
        .await;
        let mut subscriber = Subscriber::connect(options(&server.url, Transport::Ws)).unwrap();
        assert!(matches!(subscriber.next().await, Err(Error::Protocol(_))));
    }
}

#[tokio::test]
async fn a_message_over_the_limit_ends_it_instead_of_coming_for_ever() {
    for transport in ALL {
        let server = Server::start(|_, request| (faithful(request, 1), Then::Hold)).await;
        let options = fanwire_client::SubscribeOptions {
            max_message: 20,
            ..options(&server.url, transport)
        };
        let mut subscriber = Subscriber::connect(options).unwrap();
        assert!(
            matches!(subscriber.next().await, Err(Error::Protocol(_))),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn pings_are_answered_and_a_close_is_echoed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let seen = common::Seen {
            line: String::new(),
            head: String::from_utf8(request).unwrap(),
            body: Vec::new(),
        };
        let mut out = head(&seen);
        out.extend(ready(Transport::Ws, "e-0"));
        out.extend_from_slice(&frame(Opcode::Ping, b"are you there"));
        stream.write_all(&out).await.unwrap();

        // The message follows only upon the pong, the end only upon the echo.
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        let mut events = Vec::new();
        let mut buf = [0; 1024];
        loop {
            let n = stream.read(&mut buf).await.unwrap();
            let mut input = &buf[..n];
            while let Some(event) = decoder.decode(&mut input).unwrap() {
                if matches!(event, ws::Event::Pong(_)) {
                    let mut out = message(Transport::Ws, "e-1");
                    out.extend_from_slice(&close_frame(Some(CloseCode::UNAUTHORIZED), ""));
                    stream.write_all(&out).await.unwrap();
                }
                events.push(event);
            }
            if n == 0 {
                return events;
            }
        }
    });
    let mut subscriber = Subscriber::connect(options(&url, Transport::Ws)).unwrap();
    assert_eq!(ids(&until_message(&mut subscriber, 1).await), ["e-1"]);
    assert!(matches!(subscriber.next().await, Err(Error::Closed { .. })));
    let events = server.await.unwrap();
    let expected = [
        ws::Event::Pong(bytes::Bytes::from_static(b"are you there")),
        ws::Event::Close(Some(CloseCode::UNAUTHORIZED), String::new()),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    for transport in ALL {
        let server = Server::start(|_, request| (faithful(request, 5), Then::Hold)).await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        let mut heard = Vec::new();
        while heard.len() < 5 {
            // Each wait is dropped after one look, unless it is over by then.
            tokio::select! {
                biased;
                event = subscriber.next() => heard.extend(ids(&[event.unwrap()])),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(heard, ["e-1", "e-2", "e-3", "e-4", "e-5"], "{transport:?}");
    }
}

#[tokio::test]
async fn the_api_key_goes_into_a_header_and_never_into_a_url_or_a_log() {
    for transport in ALL {
        let server = Server::start(|_, request| (faithful(request, 1), Then::Hold)).await;
        let options = fanwire_client::SubscribeOptions {
            api_key: Some("hunter2".to_owned()),
            start: Start::Latest,
            ..options(&server.url, transport)
        };
        assert!(!format!("{options:?}").contains("hunter2"));
        let mut subscriber = Subscriber::connect(options).unwrap();
        until_message(&mut subscriber, 1).await;
        assert!(!format!("{subscriber:?}").contains("hunter2"));
        let request = &server.requests()[0];
        assert_eq!(request.header("authorization"), Some("Bearer hunter2"));
        assert!(!request.line.contains("hunter2"));
    }
    for bad in ["", "a b", "a\r\nb", "ü"] {
        let mut options = options("http://h", Transport::Ws);
        options.api_key = Some(bad.to_owned());
        assert!(matches!(
            Subscriber::connect(options),
            Err(Error::Config(_))
        ));
    }
}

#[tokio::test]
async fn a_caller_who_looks_often_notices_silence_too() {
    for transport in [Transport::Ws, Transport::Sse] {
        let server = Server::start(|_, request| (faithful(request, 1), Then::Hold)).await;
        let options = fanwire_client::SubscribeOptions {
            read_timeout: Duration::from_millis(100),
            ..options(&server.url, transport)
        };
        let mut subscriber = Subscriber::connect(options).unwrap();
        until_message(&mut subscriber, 1).await;
        loop {
            tokio::select! {
                biased;
                event = subscriber.next() => {
                    assert!(matches!(event, Ok(Event::Disconnected { .. })), "{event:?}");
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    }
}
