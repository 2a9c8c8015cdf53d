//! Sockets that come back.

use std::time::Duration;

use fanwire_core::namespace::History;
use fanwire_tests::engineio::Polling;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::{Client, Joined, PATH, Reasons, application};
use fanwire_tests::token;
use serde_json::{Value, json};

async fn server(reasons: &Reasons) -> TestServer {
    TestServer::serving(Variant::MEMORY, application(reasons), |_| {}).await
}

async fn whoami(client: &mut Client) -> Value {
    let told = client.ask("4299[\"whoami\"]").await;
    serde_json::from_str::<Value>(&told[told.find('[').unwrap()..]).unwrap()[0].take()
}

/// Comes back, and is who it was.
async fn recover(server: &TestServer, auth: Value, was: &Joined) -> Client {
    let mut client = Client::open(server.addr).await;
    let joined = client.connect("/", auth).await;
    assert_eq!((&joined.sid, &joined.pid), (&was.sid, &was.pid));
    client
}

/// Comes back, and is somebody new, who is told.
async fn begun_anew(client: &mut Client, auth: Value, was: &Joined) -> Joined {
    let joined = client.connect("/", auth).await;
    assert_ne!(joined.sid, was.sid);
    let told = client.hear().await;
    assert!(told.starts_with("42[\"$gap\",{"), "{told}");
    assert!(told.contains("not_recovered"), "{told}");
    let me = whoami(client).await;
    assert_eq!((&me[1], &me[2]), (&json!(false), &json!([])));
    joined
}

#[tokio::test]
async fn p2_a_socket_comes_back_twice_in_a_row_and_has_missed_nothing() {
    let reasons = Reasons::default();
    let server = server(&reasons).await;
    let (mut client, joined) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
    server.publish("lobby", "first").await;
    assert_eq!(client.hear().await, "42[\"message\",\"first\"]");
    let mut known = client.back(&joined);
    client.vanish();
    for round in 0..2 {
        reasons.wait(round + 1).await;
        for n in 0..3 {
            server.publish("lobby", &format!("{round}.{n}")).await;
        }
        server.io("/").emit("all", round).await.unwrap();
        let id = fanwire::SocketId::new(&joined.sid);
        server.io("/").to(&id).emit("yours", round).await.unwrap();
        let mut back = recover(&server, known.clone(), &joined).await;
        for n in 0..3 {
            let expected = format!("42[\"message\",\"{round}.{n}\"]");
            assert_eq!(back.hear().await, expected);
        }
        assert_eq!(back.hear().await, format!("42[\"all\",{round}]"));
        assert_eq!(back.hear().await, format!("42[\"yours\",{round}]"));
        let me = whoami(&mut back).await;
        assert_eq!(me, json!([joined.sid, true, ["lobby"]]));
        known = back.back(&joined);
        back.vanish();
    }
}

#[tokio::test]
async fn p2_a_socket_that_heard_nothing_before_is_recovered_from_where_it_came_in() {
    let server = server(&Reasons::default()).await;
    server.publish("lobby", "before its time").await;
    let (client, joined) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
    server.publish("lobby", "one").await;
    client.vanish();
    server.publish("lobby", "two").await;
    // As a client that keeps some last argument of its own.
    let shown = json!({"pid": joined.pid, "offset": "lobby"});
    let mut back = recover(&server, shown, &joined).await;
    for text in ["one", "two"] {
        assert_eq!(back.hear().await, format!("42[\"message\",\"{text}\"]"));
    }
}

#[tokio::test]
async fn volatile_events_carry_an_offset_too() {
    let server = server(&Reasons::default()).await;
    let (mut client, joined) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
    server.publish("lobby", "kept").await;
    client.hear().await;
    let before = client.offset.take();
    client.say("42[\"flash\",\"now\"]").await;
    assert_eq!(client.hear().await, "42[\"flash\",\"now\"]");
    assert_eq!(client.offset, before);
    let known = client.back(&joined);
    client.vanish();
    server.publish("lobby", "missed").await;
    let mut back = recover(&server, known, &joined).await;
    assert_eq!(back.hear().await, "42[\"message\",\"missed\"]");
}

#[tokio::test]
async fn a_connection_that_is_still_believed_in_is_taken_over_at_once() {
    let reasons = Reasons::default();
    let server = server(&reasons).await;
    let (mut old, joined) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
    server.publish("lobby", "one").await;
    old.hear().await;
    let mut back = recover(&server, old.back(&joined), &joined).await;
    server.publish("lobby", "two").await;
    assert_eq!(back.hear().await, "42[\"message\",\"two\"]");
    old.ends().await;
    assert_eq!(reasons.wait(1).await, ["forced close"]);
    assert_eq!(server.io("/").sockets().len(), 1);
    // One that has something else keeps that, and hears no disconnect.
    back.connect("/room-1", Value::Null).await;
    let mut third = recover(&server, back.back(&joined), &joined).await;
    assert_eq!(back.ask("42/room-1,1[\"echo\",1]").await, "43/room-1,1[1]");
    assert_eq!(third.ask("421[\"echo\",1]").await, "431[1]");
    assert_eq!(reasons.wait(2).await.len(), 2);
}

#[tokio::test]
async fn e18_a_forged_or_foreign_name_begins_a_fresh_socket() {
    let server = TestServer::serving(
        Variant::MEMORY,
        application(&Reasons::default()),
        token::configure,
    )
    .await;
    let granted = json!({"subscribe": ["@all"]});
    let show = |sub: &str, pid: &Option<String>| {
        let token = token::of(sub, 60, granted.clone());
        json!({"token": token, "pid": pid})
    };
    let none = None;
    let (client, joined) = Client::join(server.addr, "/", show("ada", &none)).await;
    client.vanish();
    let other = Some(
        joined
            .pid
            .clone()
            .unwrap()
            .replacen(&joined.sid, "AAAAAAAAAAAAAAAA", 1),
    );
    for (sub, pid) in [
        ("eve", &joined.pid),
        ("ada", &other),
        ("ada", &Some("x".into())),
    ] {
        let mut client = Client::open(server.addr).await;
        begun_anew(&mut client, show(sub, pid), &joined).await;
    }
    // By the same user's next token it is recovered.
    let mut client = Client::open(server.addr).await;
    let back = client.connect("/", show("ada", &joined.pid)).await;
    assert_eq!(back.sid, joined.sid);
}

#[tokio::test]
async fn p3_what_cannot_be_whole_is_no_recovery_and_says_so() {
    let reasons = Reasons::default();
    let server = TestServer::serving(Variant::MEMORY, application(&reasons), |config| {
        config.rules.history = History {
            messages: 2,
            ..History::default()
        };
    })
    .await;
    let (client, joined) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
    let known = client.back(&joined);
    client.vanish();
    for n in 0..3 {
        server.publish("lobby", &n.to_string()).await;
    }
    let mut back = Client::open(server.addr).await;
    let fresh = begun_anew(&mut back, known, &joined).await;
    // Which can be recovered itself.
    let again = recover(&server, back.back(&fresh), &fresh).await;
    again.vanish();
    assert_eq!(reasons.wait(3).await.len(), 3);
}

#[tokio::test]
async fn after_its_time_a_socket_is_forgotten() {
    let reasons = Reasons::default();
    let server = TestServer::serving(Variant::MEMORY, application(&reasons), |config| {
        config.socketio.recovery = Duration::from_millis(1);
    })
    .await;
    let (client, joined) = Client::join(server.addr, "/", Value::Null).await;
    let known = client.back(&joined);
    client.vanish();
    reasons.wait(1).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let mut back = Client::open(server.addr).await;
    begun_anew(&mut back, known, &joined).await;
}

#[tokio::test]
async fn without_history_or_by_the_rules_there_is_no_secret_name_and_no_offset() {
    for (history, recovery) in [(History::OFF, true), (History::default(), false)] {
        let server = TestServer::serving(
            Variant::MEMORY,
            application(&Reasons::default()),
            |config| {
                config.rules.history = history;
                config.rules.recovery = recovery;
            },
        )
        .await;
        let (mut client, joined) = Client::join(server.addr, "/", Value::Null).await;
        assert_eq!(joined.pid, None);
        client.say("42[\"back\",1]").await;
        assert_eq!(client.hear().await, "42[\"back\",1]");
        assert_eq!(client.offset, None);
    }
}

#[tokio::test]
async fn a_socket_that_was_let_go_does_not_come_back_as_it_was() {
    let server = server(&Reasons::default()).await;
    let (mut client, joined) = Client::join(server.addr, "/", Value::Null).await;
    assert_eq!(client.ask("421[\"kick\"]").await, "42[\"bye\"]");
    assert_eq!(client.hear().await, "41");
    let known = client.back(&joined);
    begun_anew(&mut client, known, &joined).await;
}

#[tokio::test]
async fn a_socket_comes_back_over_polling() {
    let server = server(&Reasons::default()).await;
    let mut polling = Polling::open(server.addr, PATH).await;
    polling.post("40{\"room\":\"lobby\"}").await;
    let reply = polling.packets(1).await.remove(0);
    let reply: Value = serde_json::from_str(&reply[2..]).unwrap();
    polling.abort().await;
    for n in 0..100 {
        server.publish("lobby", &n.to_string()).await;
    }
    let mut polling = Polling::open(server.addr, PATH).await;
    polling
        .post(&format!("40{}", json!({"pid": reply["pid"]})))
        .await;
    let packets = polling.packets(101).await;
    assert_eq!(
        serde_json::from_str::<Value>(&packets[0][2..]).unwrap(),
        reply
    );
    for (n, packet) in packets[1..].iter().enumerate() {
        let expected = format!("42[\"message\",\"{n}\",\"fw~");
        assert!(packet.starts_with(&expected), "{packet}");
    }
}

#[tokio::test]
async fn p6_of_those_who_may_come_back_the_first_to_go_are_forgotten_first() {
    let reasons = Reasons::default();
    let server = TestServer::serving(Variant::MEMORY, application(&reasons), |config| {
        config.socketio.recoverable = 2;
    })
    .await;
    let mut gone = Vec::new();
    for n in 0..3 {
        let (client, joined) = Client::join(server.addr, "/", Value::Null).await;
        gone.push((client.back(&joined), joined));
        client.vanish();
        reasons.wait(n + 1).await;
    }
    let mut first = Client::open(server.addr).await;
    begun_anew(&mut first, gone[0].0.clone(), &gone[0].1).await;
    let last = recover(&server, gone[2].0.clone(), &gone[2].1).await;
    // All places are taken by who is here: another cannot be recovered.
    let (_other, joined) = Client::join(server.addr, "/", Value::Null).await;
    assert_eq!(joined.pid, None);
    last.vanish();
}
