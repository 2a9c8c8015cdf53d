//! The session against servers that exist only as values.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fanwire_proto::native::{self, Body, Envelope, Incoming, System, poll};
use fanwire_proto::ws::CloseCode;
use proptest::prelude::*;

use super::target::{Base, path};
use super::*;
use crate::options::Backoff;

const ALL: [Transport; 3] = [Transport::Ws, Transport::Sse, Transport::Poll];

fn options(transport: Transport, start: Start) -> SubscribeOptions {
    SubscribeOptions {
        transport,
        start,
        backoff: Backoff {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(2),
        },
        ..SubscribeOptions::new("http://h", ["news"])
    }
}

fn session(transport: Transport, start: Start) -> Session {
    Session::new(&options(transport, start)).unwrap()
}

fn message(id: Option<&str>) -> Incoming {
    let mut out = Vec::new();
    let (channel, event, body) = (Some("news"), "message", Body::Json(b"1"));
    Envelope {
        id,
        channel,
        event,
        body,
        ts: 1,
        from: None,
        key: None,
    }
    .write(&mut out);
    native::read::read(&out).unwrap()
}

fn system(event: System<'_>) -> Incoming {
    let mut out = Vec::new();
    event.write(&mut out);
    native::read::read(&out).unwrap()
}

fn ready(cursor: &str) -> Incoming {
    system(System::Ready {
        cursor,
        channels: &["news"],
        conn: "c",
    })
}

fn gap(reason: &str, cursor: &str) -> Incoming {
    system(System::Gap {
        channel: "news",
        reason,
        lost_through: None,
        cursor,
    })
}

fn lost() -> End {
    End::Lost("cut".to_owned())
}

/// What was told, one word each.
fn told(session: &mut Session) -> Vec<String> {
    std::iter::from_fn(|| session.poll_event())
        .map(|event| match event {
            Event::Ready { cursor, .. } => format!("ready {}", cursor.as_deref().unwrap_or("?")),
            Event::Message(message) => format!("message {}", message.id.as_deref().unwrap_or("-")),
            Event::Gap { reason, .. } => format!("gap {reason}"),
            Event::Cursor { cursor } => format!("cursor {cursor}"),
            Event::Disconnected { why, .. } => format!("disconnected {why}"),
        })
        .collect()
}

fn feed(session: &mut Session, stream: impl IntoIterator<Item = Incoming>) -> Vec<String> {
    for incoming in stream {
        session.handle_incoming(incoming);
    }
    told(session)
}

#[test]
fn requests_are_those_of_the_protocol() {
    let target = |transport, start| session(transport, start).request().target;
    assert_eq!(
        target(Transport::Ws, Start::Latest),
        "/c/news?format=envelope"
    );
    assert_eq!(
        target(Transport::Sse, Start::Earliest),
        "/c/news?format=sse,envelope&after=earliest"
    );
    assert_eq!(
        target(Transport::Ws, Start::Rewind(5)),
        "/c/news?format=envelope&rewind=5"
    );
    assert_eq!(
        target(Transport::Poll, Start::After("a&b=ü".to_owned())),
        "/c/news?wait=0&limit=1000&after=a%26b%3D%C3%BC"
    );
    let sse = session(Transport::Sse, Start::Latest).request();
    assert_eq!(sse.headers, [("accept", "text/event-stream".to_owned())]);
    let names = ["chat:lobby", ":user:5", "a,b", "x/y", "é ?#%", "@all"].map(str::to_owned);
    assert_eq!(
        path(&names),
        "/c/chat:lobby,:user:5,a%2Cb,x/y,%C3%A9%20%3F%23%25,@all"
    );
}

#[test]
fn a_first_poll_does_not_wait_and_the_next_one_does() {
    let mut session = session(Transport::Poll, Start::Latest);
    assert_eq!(session.request().wait, Duration::ZERO);
    session.handle_poll(poll::Poll {
        messages: vec![],
        cursor: "e-4".to_owned(),
    });
    assert_eq!(told(&mut session), ["ready e-4", "cursor e-4"]);
    let next = session.request();
    assert_eq!(next.wait, Duration::from_secs(25));
    assert_eq!(next.target, "/c/news?wait=25&limit=1000&after=e-4");
    session.handle_poll(poll::Poll {
        messages: vec![],
        cursor: "e-4".to_owned(),
    });
    assert!(told(&mut session).is_empty(), "nothing new, nothing told");
    let messages = vec![
        message(Some("e-5")),
        gap("lost", "e-7"),
        message(Some("e-8")),
    ];
    session.handle_poll(poll::Poll {
        messages,
        cursor: "e-9".to_owned(),
    });
    assert_eq!(
        told(&mut session),
        ["message e-5", "gap lost", "message e-8", "cursor e-9"]
    );
}

#[test]
fn p3_gaps_of_an_opening_come_before_ready_on_every_transport() {
    for transport in ALL {
        let mut session = session(transport, Start::After("old-1".to_owned()));
        if transport == Transport::Poll {
            let messages = vec![gap("epoch_unknown", "e-0"), message(Some("e-1"))];
            session.handle_poll(poll::Poll {
                messages,
                cursor: "e-1".to_owned(),
            });
            assert_eq!(
                told(&mut session),
                ["gap epoch_unknown", "ready ?", "message e-1"]
            );
        } else {
            let said = feed(
                &mut session,
                [
                    gap("epoch_unknown", "e-0"),
                    ready("e-0"),
                    message(Some("e-1")),
                ],
            );
            assert_eq!(said, ["gap epoch_unknown", "ready e-0", "message e-1"]);
        }
    }
}

#[test]
fn a_gap_does_not_move_the_cursor_until_something_comes_after_it() {
    let mut session = session(Transport::Ws, Start::Latest);
    feed(
        &mut session,
        [ready("e-4"), message(Some("e-5")), gap("lost", "e-9")],
    );
    assert_eq!(session.cursor(), Some("e-5"));
    assert!(
        session.request().target.ends_with("after=e-5"),
        "cut here, it is told again"
    );
    feed(&mut session, [message(Some("e-10"))]);
    assert_eq!(session.cursor(), Some("e-10"));
}

#[test]
fn after_a_gap_the_server_may_go_on_below_a_cursor_it_did_not_know() {
    let mut session = session(Transport::Sse, Start::Latest);
    feed(&mut session, [ready("e-99")]);
    session.handle_end(lost(), 0.0).unwrap();
    told(&mut session);
    // The store was restored from an older copy.
    let said = feed(
        &mut session,
        [gap("future", "e-5"), ready("e-5"), message(Some("e-6"))],
    );
    assert_eq!(said, ["gap future", "ready e-5", "message e-6"]);
    assert_eq!(session.cursor(), Some("e-6"));
}

#[test]
fn without_a_gap_a_cursor_never_goes_back() {
    let mut session = session(Transport::Ws, Start::Latest);
    feed(&mut session, [ready("e-4"), message(Some("e-5"))]);
    session.handle_end(lost(), 0.0).unwrap();
    let repeated = [
        ready("e-3"),
        message(Some("e-4")),
        message(Some("e-5")),
        message(Some("e-6")),
    ];
    assert_eq!(
        feed(&mut session, repeated),
        ["disconnected cut", "ready e-5", "message e-6"]
    );
    let cursors = ["e-6", "e-2", "e-8", "e-8"].map(|cursor| system(System::Cursor { cursor }));
    assert_eq!(feed(&mut session, cursors), ["cursor e-8"]);
    assert_eq!(session.cursor(), Some("e-8"));
}

#[test]
fn a_volatile_message_is_told_and_leaves_the_cursor() {
    let mut session = session(Transport::Ws, Start::Latest);
    let said = feed(&mut session, [ready("e-4"), message(None), message(None)]);
    assert_eq!(said, ["ready e-4", "message -", "message -"]);
    assert_eq!(session.cursor(), Some("e-4"));
}

#[test]
fn ids_of_another_form_or_epoch_count_as_new() {
    let mut session = session(Transport::Ws, Start::Latest);
    let ids = [
        "a-9",
        "b-1",
        "x",
        "x",
        "y",
        "b-99999999999999999999999",
        "b-2",
    ];
    let said = feed(&mut session, ids.map(|id| message(Some(id))));
    let expected: Vec<_> = ["a-9", "b-1", "x", "y", "b-99999999999999999999999", "b-2"]
        .map(|id| format!("message {id}"))
        .into();
    assert_eq!(said, expected);
}

#[test]
fn waits_double_up_to_the_longest_and_jitter_takes_off_up_to_half() {
    let waits = |jitter: f64| -> Vec<u128> {
        let mut session = session(Transport::Ws, Start::Latest);
        (0..7)
            .map(|_| session.handle_end(lost(), jitter).unwrap().as_millis())
            .collect()
    };
    assert_eq!(waits(0.0), [50, 100, 200, 400, 800, 1000, 1000]);
    assert_eq!(waits(1.0), [100, 200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(waits(0.5), [75, 150, 300, 600, 1200, 1500, 1500]);
    assert_eq!(waits(f64::NAN), waits(0.0));
    assert_eq!(waits(7.0), waits(1.0));
    let mut session = session(Transport::Ws, Start::Latest);
    for _ in 0..1000 {
        assert!(session.handle_end(lost(), 1.0).unwrap() <= Duration::from_secs(2));
    }
    session.handle_incoming(ready("e-1"));
    assert_eq!(
        session.handle_end(lost(), 1.0).unwrap().as_millis(),
        100,
        "success begins anew"
    );
}

#[test]
fn what_the_server_asks_for_is_the_least_wait() {
    let mut session = session(Transport::Sse, Start::Latest);
    session.handle_retry(2417);
    assert_eq!(session.handle_end(lost(), 0.0).unwrap().as_millis(), 2417);
    assert_eq!(
        session.handle_end(lost(), 0.0).unwrap().as_millis(),
        2417,
        "it stays in force"
    );
    session.handle_retry(u64::MAX);
    assert_eq!(
        session.handle_end(lost(), 0.0).unwrap().as_secs(),
        60,
        "but not for ever"
    );
    session.handle_retry(0);
    let busy = |retry_after| End::Refused {
        refusal: Refusal {
            status: 503,
            code: "overloaded".into(),
            detail: String::new(),
            channel: None,
        },
        retry_after,
    };
    let asked = Some(Duration::from_secs(7));
    assert_eq!(session.handle_end(busy(asked), 0.0).unwrap().as_secs(), 7);
    assert_eq!(
        session.handle_end(busy(None), 0.0).unwrap().as_secs(),
        0,
        "asked for once"
    );
}

#[test]
fn after_a_restart_clients_come_back_spread_over_two_seconds() {
    let closed = || End::Closed {
        code: Some(CloseCode::RESTART),
        reason: String::new(),
    };
    let wait = |jitter| {
        let mut session = session(Transport::Ws, Start::Latest);
        session.handle_end(closed(), jitter).unwrap().as_millis()
    };
    assert_eq!((wait(0.0), wait(1.0)), (1000, 2000));
}

#[test]
fn after_drain_a_cut_is_a_restart_and_the_servers_own_time_holds() {
    let drain = || Incoming::Drain {
        within_ms: 5000,
        reason: "shutdown".to_owned(),
    };
    let lost = || End::Lost("the connection ended".to_owned());
    let wait = |transport, hint: Option<u64>, jitter| {
        let mut session = session(transport, Start::Latest);
        session.handle_incoming(drain());
        assert!(session.poll_event().is_none(), "it is not over yet");
        hint.into_iter().for_each(|ms| session.handle_retry(ms));
        session.handle_end(lost(), jitter).unwrap().as_millis()
    };
    assert_eq!(wait(Transport::Ws, None, 0.0), 1000);
    assert_eq!(wait(Transport::Ws, None, 1.0), 2000);
    assert_eq!(wait(Transport::Sse, Some(3210), 0.5), 3210);
}

#[test]
fn p7_close_codes_say_whether_to_come_back() {
    let end = |code: Option<u16>| {
        let mut session = session(Transport::Ws, Start::Latest);
        let code = code.map(CloseCode);
        session.handle_end(
            End::Closed {
                code,
                reason: "because".into(),
            },
            0.5,
        )
    };
    for back in [
        1000, 1001, 1011, 1012, 1013, 3000, 3001, 3008, 3010, 3012, 3013, 3499,
    ] {
        assert!(end(Some(back)).is_ok(), "{back}");
    }
    assert!(end(None).is_ok());
    for over in [
        1002, 1003, 1007, 1008, 1009, 3500, 3501, 3504, 3505, 3507, 3509, 3999, 4000, 4999,
    ] {
        let error = end(Some(over)).unwrap_err();
        assert_eq!(
            error,
            Error::Closed {
                code: CloseCode(over),
                reason: "because".into()
            }
        );
        assert!(error.to_string().contains("because"));
    }
}

#[test]
fn p7_statuses_say_whether_to_come_back() {
    let end = |status| {
        let refusal = Refusal {
            status,
            code: "c".into(),
            detail: "d".into(),
            channel: None,
        };
        session(Transport::Sse, Start::Latest).handle_end(
            End::Refused {
                refusal,
                retry_after: None,
            },
            0.5,
        )
    };
    for back in [408, 425, 429, 500, 502, 503, 504] {
        assert!(end(back).is_ok(), "{back}");
    }
    for over in [204, 301, 400, 401, 403, 404, 405, 413, 414, 422, 426, 431] {
        assert!(matches!(end(over), Err(Error::Refused(_))), "{over}");
    }
}

#[test]
fn channels_and_addresses_are_judged_before_anything_is_sent() {
    let channels = |list: &[&str]| Session::new(&SubscribeOptions::new("http://h", list.to_vec()));
    assert!(channels(&[]).is_err());
    assert!(channels(&["a", ""]).is_err());
    assert!(channels(&[".."]).is_err());
    assert!(channels(&["a"; 16]).is_ok());
    assert!(channels(&["a"; 17]).is_err());
    let base = Base::parse("http://[::1]:3000/fan/").unwrap();
    assert_eq!(
        (base.host.as_str(), base.port, base.prefix.as_str()),
        ("::1", 3000, "/fan")
    );
    assert_eq!(base.authority, "[::1]:3000");
    assert_eq!(Base::parse("http://h:/").unwrap().port, 80);
    assert_eq!(Base::parse("http://h").unwrap().port, 80);
    let secure = Base::parse("https://h").unwrap();
    assert_eq!((secure.port, secure.secure), (443, true));
    let secure = Base::parse("https://h:8443/p").unwrap();
    assert_eq!((secure.port, secure.secure), (8443, true));
    for bad in [
        "",
        "h",
        "h:3000",
        "/c",
        "ftp://h",
        "http://",
        "http://h/?a=b",
        "http://h h",
        "http://[]",
        "http://h:65536",
        "http://h:1;0/",
        "http://h:+1",
    ] {
        assert!(Base::parse(bad).is_err(), "{bad}");
    }
    let secret = Base::parse("http://u:hunter2@h").unwrap_err().to_string();
    assert!(!secret.contains("hunter2"));
}

/// A server of one epoch with a log: what it sends to a request on a stream,
/// cut after `take` objects.
fn serve(request: &Request, top: u64, take: usize) -> Vec<Incoming> {
    let after = request
        .headers
        .iter()
        .find_map(|(name, value)| (*name == "last-event-id").then_some(value.as_str()))
        .or_else(|| {
            request
                .target
                .split_once("after=")
                .map(|(_, cursor)| cursor)
        })
        .and_then(|cursor| cursor.strip_prefix("e-")?.parse().ok())
        .unwrap_or(0);
    let opening = std::iter::once(ready(&format!("e-{after}")));
    let messages = (after + 1..=top).map(|n| message(Some(&format!("e-{n}"))));
    opening.chain(messages).take(take).collect()
}

proptest! {
    #[test]
    fn p1_p2_any_cuts_and_any_restarts_give_every_message_once_in_order(
        transport in prop::sample::select(ALL.to_vec()),
        steps in prop::collection::vec((0..5_usize, 0..4_u64, any::<bool>(), any::<bool>()), 1..20),
    ) {
        let mut session = session(transport, Start::After("e-0".to_owned()));
        let mut heard: Vec<String> = Vec::new();
        let mut top = 0;
        for (take, more, restart, drain) in steps {
            top += more;
            if transport == Transport::Poll {
                let mut messages = serve(&session.request(), top, take + 1);
                let start = session.request().target.split_once("after=").unwrap().1.to_owned();
                messages.remove(0);
                let last = match messages.last() {
                    Some(Incoming::Message(message)) => message.id.clone().unwrap(),
                    _ => start,
                };
                session.handle_poll(poll::Poll { messages, cursor: last });
            } else {
                for incoming in serve(&session.request(), top, take) {
                    session.handle_incoming(incoming);
                }
            }
            let ids = |said: Vec<String>| said.into_iter().filter_map(|s| s.strip_prefix("message ").map(str::to_owned));
            if drain {
                heard.extend(ids(told(&mut session)));
            }
            if restart {
                // The process is killed: what was not handed over is gone, and
                // the cursor that was kept is the one after the last event.
                let start = session.cursor().map_or(Start::After("e-0".to_owned()), |c| Start::After(c.to_owned()));
                session = self::session(transport, start);
            } else {
                session.handle_end(lost(), 0.5).unwrap();
                heard.extend(ids(told(&mut session)));
            }
        }
        let expected: Vec<_> = (1..=heard.len()).map(|n| format!("e-{n}")).collect();
        prop_assert_eq!(heard, expected);
    }
}
