//! What code says at `on_connected` comes first, however much is said in the channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanwire::config::{NamedRules, Rooms};
use fanwire::{Application, Config, Kept, Reason, Socket, State};
use fanwire_tests::said::{Heard, Said, seq};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::Client;
use fanwire_tests::wait::within;
use fanwire_tests::ws::{Ws, upgrade};
use fanwire_tests::{http2, poll};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Who comes one after the other in each way, while others come in theirs.
const NEWCOMERS: usize = 8;
/// What each hears behind its greeting.
const HEARD: u64 = 20;
/// What is said in the room at most, in all.
const FLOOD: u64 = 300_000;

/// How much was said in the room.
#[derive(Clone)]
struct Flooded(watch::Receiver<u64>);

fn rules(config: &mut Config) {
    let rules = NamedRules {
        rooms: Some(Rooms::Public),
        history_messages: Some(100_000),
        history_bytes: Some(64 << 20),
        recovery: Some(false),
        ..NamedRules::default()
    };
    config.namespaces.by_name.insert("chat".to_owned(), rules);
    // However slow the machine is.
    config.http.on_connected_wait = Duration::from_secs(3600);
}

/// Greets with three messages, after things that take their time: one goes to the whole
/// room, and three more are waited for there.
fn greeting(said: watch::Receiver<u64>) -> Application {
    Application::new()
        .state(Flooded(said))
        .namespace("/chat", |chat| {
            chat.on_connect(async |socket: Socket| Ok(socket.join("lobby")?));
            chat.on_connected(async |socket: Socket, State(Flooded(mut said))| {
                socket.emit("message", "hello").await.unwrap();
                let lobby = socket.io().to("lobby");
                lobby.emit("message", "+").await.unwrap();
                socket.emit("message", "how are you").await.unwrap();
                let before = *said.borrow_and_update();
                said.wait_for(|now| *now > before + 3).await.unwrap();
                socket.emit("message", "and welcome").await.unwrap();
            });
        })
        .unwrap()
}

const GREETING: [&str; 3] = ["hello", "how are you", "and welcome"];

/// Some thousand messages a second, until it is told to stop.
async fn flood(server: &TestServer, said: watch::Sender<u64>, stop: Arc<AtomicBool>) {
    let lobby = server.io("/chat").to("lobby");
    for n in 0..FLOOD {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        lobby.clone().emit("message", n.to_string()).await.unwrap();
        said.send_replace(n);
        if n % 8 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// How somebody comes.
#[derive(Clone, Copy, Debug)]
struct Way {
    second: bool,
    envelope: bool,
    query: &'static str,
}

async fn open(server: &TestServer, way: Way, query: &str) -> Ws {
    let form = if way.envelope { "envelope" } else { "raw" };
    let target = format!("/c/chat:lobby?format={form}&{query}");
    let bytes = upgrade(server.addr, &target, &[]);
    let ws = match way.second {
        false => Ws::try_send(server.addr, &bytes).await,
        true => Ws::try_send_over(http2::connect(server.addr).await, &bytes).await,
    };
    ws.unwrap().unwrap().enveloped(way.envelope)
}

async fn heard(ws: &mut Ws) -> Heard {
    match ws.next().await {
        Said::Heard(heard) => heard,
        other => panic!("no message: {other:?}"),
    }
}

/// One comes, is greeted, and hears what was said from its place on, each once.
async fn comes(server: &TestServer, way: Way) {
    let mut query = way.query.to_owned();
    if way.query == "after=" {
        let answer = server.get("chat:lobby?limit=1", &[]).await;
        query += &poll::read(&answer).1;
    }
    let mut ws = open(server, way, &query).await;
    let mut place = None;
    if way.envelope {
        let Said::Ready(ready) = ws.next().await else {
            panic!("{way:?}: no $ready")
        };
        place = Some(seq(&ready.cursor));
    }
    for expected in GREETING {
        let first = heard(&mut ws).await;
        // In an envelope it is JSON.
        assert_eq!(first.text().trim_matches('"'), expected, "{way:?}");
        assert!(first.id.is_none(), "{way:?}");
    }
    let mut number = None;
    for _ in 0..HEARD {
        let next = heard(&mut ws).await;
        if let Some(place) = &mut place {
            // All that is published here is said in this room.
            *place += 1;
            assert_eq!(next.seq(), *place, "{way:?}");
        }
        number = follows(number, &next.plain());
    }
}

/// The number of what was said, which comes behind the one before.
fn follows(before: Option<u64>, text: &str) -> Option<u64> {
    let Ok(now) = text.parse::<u64>() else {
        assert_eq!(text, "+", "no greeting comes behind messages");
        return before;
    };
    assert!(
        before.is_none_or(|before| before + 1 == now),
        "{before:?}, {now}"
    );
    Some(now)
}

/// The same by Socket.IO, without recovery.
async fn joins(server: &TestServer) {
    let (mut client, _) = Client::join(server.addr, "/chat", Value::Null).await;
    let mut number = None;
    for at in 0..GREETING.len() + HEARD as usize {
        let packet = client.hear().await;
        let array = packet.strip_prefix("42/chat,").unwrap();
        let event: (String, String) = serde_json::from_str(array).unwrap();
        match GREETING.get(at) {
            Some(expected) => assert_eq!(event.1, *expected),
            None => number = follows(number, &event.1),
        }
    }
}

async fn all_are_greeted_first(variant: Variant, http2: &[bool]) {
    let (sender, said) = watch::channel(0);
    let server = Arc::new(TestServer::serving(variant, greeting(said), rules).await);
    let stop = Arc::new(AtomicBool::new(false));
    let flooding = {
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move { flood(&server, sender, stop).await })
    };
    let mut coming = JoinSet::new();
    for second in http2.iter().copied() {
        for (envelope, query) in [
            (false, ""),
            (true, ""),
            (true, "after="),
            (false, "rewind=3"),
        ] {
            let (server, way) = (
                server.clone(),
                Way {
                    second,
                    envelope,
                    query,
                },
            );
            coming.spawn(async move {
                for _ in 0..NEWCOMERS {
                    comes(&server, way).await;
                }
            });
        }
    }
    let socketio = server.clone();
    coming.spawn(async move {
        for _ in 0..NEWCOMERS {
            joins(&socketio).await;
        }
    });
    while let Some(done) = coming.join_next().await {
        done.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    flooding.await.unwrap();
    Arc::into_inner(server).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_a_greeting_comes_before_all_messages_of_a_flood() {
    for variant in [
        Variant::MEMORY,
        Variant::MEMORY_PULL,
        Variant::CHAOS,
        Variant::CHAOS_PULL,
        Variant::MEMORY_TLS,
    ] {
        // HTTP/2 is always written by tasks.
        let http2: &[bool] = if variant.pull {
            &[false]
        } else {
            &[false, true]
        };
        all_are_greeted_first(variant, http2).await;
    }
}

/// A server of this code, which is waited for so long.
async fn served(wait: Duration, build: impl FnOnce(&mut fanwire::Handlers)) -> TestServer {
    let application = Application::new().namespace("/chat", build).unwrap();
    TestServer::serving(Variant::MEMORY, application, |config| {
        rules(config);
        config.http.on_connected_wait = wait;
        config.limits.write_progress = Duration::from_millis(200);
    })
    .await
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn who_is_not_greeted_in_time_hears_messages_nonetheless() {
    let (wait, gate) = (Duration::from_millis(20), Arc::new(Semaphore::new(0)));
    let opens = gate.clone();
    let server = served(wait, move |chat| {
        chat.on_connected(move |socket: Socket| {
            let gate = opens.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                let _ = socket.emit("message", "late").await;
            }
        });
    })
    .await;
    let mut ws = Ws::open(server.addr, "/c/chat:lobby", &[]).await;
    for text in ["one", "two"] {
        server.publish("chat:lobby", text).await;
        assert_eq!(heard(&mut ws).await.plain(), text);
    }
    gate.add_permits(1);
    assert_eq!(heard(&mut ws).await.plain(), "late");
    server.stop().await;
}

#[tokio::test]
async fn a_greeting_that_breaks_is_over() {
    let server = served(LONG, |chat| {
        chat.on_connected(async |socket: Socket| {
            socket.emit("message", "hello").await.unwrap();
            panic!("a handler's own fault");
        });
        // One that asks for what was not kept is not called.
        chat.on_connected(async |_: Kept<String>| {});
    })
    .await;
    let mut ws = Ws::open(server.addr, "/c/chat:lobby", &[]).await;
    server.publish("chat:lobby", "one").await;
    for text in ["hello", "one"] {
        assert_eq!(heard(&mut ws).await.plain(), text);
    }
    server.stop().await;
}

#[tokio::test]
async fn x12_who_does_not_read_its_greeting_is_waited_for_and_then_cut() {
    let (say, mut told) = mpsc::channel(10);
    let server = served(LONG, move |chat| {
        let left = say.clone();
        chat.on_connected(move |socket: Socket| {
            let say = say.clone();
            async move {
                let text = "x".repeat(64 * 1024);
                let mut sent = 0;
                while socket.emit("message", text.as_str()).await.is_ok() {
                    sent += 1;
                }
                let _ = say.try_send(format!("{}", sent < 4000));
            }
        });
        chat.on_disconnect(move |Reason(reason): Reason| {
            let _ = left.try_send(reason.to_owned());
            async {}
        });
    })
    .await;
    let ws = Ws::open(server.addr, "/c/chat:lobby", &[]).await;
    for expected in ["true", "transport error"] {
        let said = within("code to be told", told.recv()).await;
        assert_eq!(said.as_deref(), Some(expected));
    }
    drop(ws);
    server.stop().await;
}
