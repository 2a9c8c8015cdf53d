//! P1 and P2 from the client's side: cut anywhere, on any transport, every
//! message comes once and in order.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ALL, Server, Then, answer, faithful, ids, options, until_message};
use fanwire_client::{Event, Subscriber, Transport};

#[tokio::test]
async fn p2_a_reset_at_every_byte_of_the_answer_loses_and_doubles_nothing() {
    for transport in ALL {
        let mut cut = 0;
        // The first answer is equally long every time: cut until it is whole.
        loop {
            let server = Server::start(move |n, request| {
                let mut answer = faithful(request, 3);
                if n > 0 {
                    return (answer, Then::Hold);
                }
                answer.truncate(cut);
                (answer, Then::Reset)
            })
            .await;
            let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
            let events = until_message(&mut subscriber, 3).await;
            assert_eq!(
                ids(&events),
                ["e-1", "e-2", "e-3"],
                "{transport:?} cut at byte {cut}"
            );
            assert_eq!(subscriber.cursor(), Some("e-3"));
            if cut == faithful(&server.requests()[0], 3).len() {
                break;
            }
            cut += 1;
        }
    }
}

#[tokio::test]
async fn the_cursor_moves_with_the_events_handed_over_not_with_those_received() {
    for transport in ALL {
        let server = Server::start(|_, request| (faithful(request, 3), Then::Hold)).await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        assert_eq!(subscriber.cursor(), Some("e-0"), "where it starts");
        let mut messages = 0;
        while messages < 3 {
            if let Event::Message(message) = subscriber.next().await.unwrap() {
                messages += 1;
                assert_eq!(subscriber.cursor(), message.id.as_deref(), "{transport:?}");
            }
        }
    }
}

#[tokio::test]
async fn p1_what_a_server_repeats_is_told_once() {
    for transport in ALL {
        // Whatever it is asked for, this server starts at the beginning; every
        // connection brings one message more.
        let server = Server::start(|n, request| {
            (
                answer(request, 0, n as u64 + 1),
                if n < 4 { Then::Close } else { Then::Hold },
            )
        })
        .await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        let events = until_message(&mut subscriber, 4).await;
        assert_eq!(ids(&events), ["e-1", "e-2", "e-3", "e-4"], "{transport:?}");
    }
}

#[tokio::test]
async fn every_transport_resumes_by_its_own_means() {
    for transport in ALL {
        let server = Server::start(|n, request| {
            (
                faithful(request, n as u64 + 1),
                if n < 3 { Then::Close } else { Then::Hold },
            )
        })
        .await;
        let mut subscriber = Subscriber::connect(options(&server.url, transport)).unwrap();
        let events = until_message(&mut subscriber, 4).await;
        assert_eq!(ids(&events), ["e-1", "e-2", "e-3", "e-4"]);
        let requests = server.requests();
        assert_eq!(requests[0].param("after"), Some("e-0"));
        for (n, request) in requests.iter().enumerate().take(4).skip(1) {
            assert_eq!(request.transport(), transport);
            let cursor = format!("e-{n}");
            let sent = match transport {
                Transport::Sse => request.header("last-event-id"),
                _ => request.param("after"),
            };
            assert_eq!(sent, Some(cursor.as_str()), "{transport:?}");
        }
    }
}

#[tokio::test]
async fn polls_share_a_connection_and_survive_its_end() {
    let server = Server::start(|n, request| {
        // Two answers per connection, then it is closed without a word.
        (
            faithful(request, n as u64 + 1),
            if n % 2 == 0 { Then::Next } else { Then::Close },
        )
    })
    .await;
    let mut subscriber = Subscriber::connect(options(&server.url, Transport::Poll)).unwrap();
    let events = until_message(&mut subscriber, 6).await;
    assert_eq!(ids(&events), ["e-1", "e-2", "e-3", "e-4", "e-5", "e-6"]);
}
