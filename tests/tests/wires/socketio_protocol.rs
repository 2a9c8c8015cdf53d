//! Socket.IO by the letter: every case of the official protocol suite, on an application
//! as it asks for one, and what that suite leaves out: attachments, JSON, bursts on each
//! transport, a broadcast to many.

use std::time::Duration;

use fanwire::{Application, Args, Auth, Handlers, Socket};
use fanwire_tests::engineio::{Polling, SEPARATOR, text};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::{Client, PATH};
use fanwire_tests::ws::frame;
use serde_json::{Value, json};

use crate::table::{modes, once};

modes!(
    a_client_comes_into_a_namespace_with_or_without_a_payload,
    namespaces_are_left_one_by_one_and_the_connection_stays,
    messages_and_acks_come_back_with_their_bytes,
    bursts_come_back_in_order_by_polling,
    bursts_come_back_in_order_across_an_upgrade,
    large_answers_wait_until_the_client_reads,
    a_burst_of_broadcasts_arrives_whole_at_everyone,
);

once!(
    e14_what_is_no_packet_and_who_joins_nothing_ends_the_session,
    e11_attachments_out_of_place_end_the_session,
    j1_j5_what_is_no_json_ends_the_session,
    j2_j4_values_come_back_as_they_were_written,
    j6_a_packet_that_is_too_large_is_1009,
);

/// What was shown is said back.
fn shown(namespace: &mut Handlers) {
    namespace.on_connect(|socket: Socket, auth: Auth| async move {
        socket.set(auth.parse::<Value>().unwrap_or_default());
        Ok(())
    });
    namespace.on_connected(|socket: Socket| async move {
        if let Some(auth) = socket.get::<Value>() {
            let _ = socket.emit("auth", (*auth).clone()).await;
        }
    });
}

async fn serving(variant: Variant, change: impl FnOnce(&mut fanwire::Config)) -> TestServer {
    let application = Application::new()
        .namespace("/", |root| {
            shown(root);
            root.on("message", |socket: Socket, args: Args| async move {
                let _ = socket.emit("message-back", args).await;
                None::<Args>
            });
            root.on("message-with-ack", |args: Args| async move { args });
        })
        .and_then(|all| all.namespace("/custom", shown))
        .unwrap();
    TestServer::serving(variant, application, |config| {
        config.rules.recovery = false;
        change(config);
    })
    .await
}

/// A client in the main namespace that has heard `auth`.
async fn joined(server: &TestServer) -> Client {
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    assert_eq!(client.hear().await, r#"42["auth",{}]"#);
    client
}

async fn a_client_comes_into_a_namespace_with_or_without_a_payload(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    for (connect, reply, auth) in [
        ("40", "40{", r#"42["auth",{}]"#),
        (
            r#"40{"token":"123"}"#,
            "40{",
            r#"42["auth",{"token":"123"}]"#,
        ),
        ("40/custom,", "40/custom,{", r#"42/custom,["auth",{}]"#),
        ("40/custom", "40/custom,{", r#"42/custom,["auth",{}]"#),
        (
            r#"40/custom,{"token":"abc"}"#,
            "40/custom,{",
            r#"42/custom,["auth",{"token":"abc"}]"#,
        ),
    ] {
        let mut client = Client::open(server.addr).await;
        let told = client.ask(connect).await;
        assert!(told.starts_with(reply), "{connect}: {told}");
        let handshake: Value = serde_json::from_str(&told[reply.len() - 1..]).unwrap();
        let members: Vec<_> = handshake.as_object().unwrap().keys().collect();
        assert_eq!(members, ["sid"], "{connect}");
        assert_ne!(handshake["sid"], client.sid.as_str(), "{connect}");
        assert_eq!(client.hear().await, auth);
    }
    let mut client = Client::open(server.addr).await;
    let told = client.ask("40/random").await;
    assert_eq!(told, r#"44/random,{"message":"Invalid namespace"}"#);
}

async fn namespaces_are_left_one_by_one_and_the_connection_stays(variant: Variant) {
    let server = serving(variant, |config| {
        config.socketio.ping_interval = Duration::from_millis(200);
    })
    .await;
    // Nothing is said to a goodbye: what comes next is a ping.
    let mut client = joined(&server).await;
    client.say("41").await;
    assert_eq!(text(&mut client.ws).await, "2");
    client.say("3").await;
    client.connect("/", Value::Null).await;
    let mut client = joined(&server).await;
    client.connect("/custom", Value::Null).await;
    assert_eq!(client.hear().await, r#"42/custom,["auth",{}]"#);
    client.say("41/custom").await;
    let told = client.ask(r#"42["message","to the main one"]"#).await;
    assert_eq!(told, r#"42["message-back","to the main one"]"#);
}

async fn messages_and_acks_come_back_with_their_bytes(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    let mut client = joined(&server).await;
    let told = client.ask(r#"42["message",1,"2",{"3":[true]}]"#).await;
    assert_eq!(told, r#"42["message-back",1,"2",{"3":[true]}]"#);
    let told = client
        .ask(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#)
        .await;
    assert_eq!(told, r#"43456[1,"2",{"3":[false]}]"#);
    let marks = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    for (said, told) in [
        (
            format!(r#"452-["message",{marks}]"#),
            format!(r#"452-["message-back",{marks}]"#),
        ),
        (
            format!(r#"452-789["message-with-ack",{marks}]"#),
            format!("462-789[{marks}]"),
        ),
    ] {
        client.say(&said).await;
        client.ws.binary(&[1, 2, 3]).await;
        // A pong may stand between a packet and its bytes.
        client.say("3").await;
        client.ws.binary(&[4, 5, 6]).await;
        assert_eq!(client.hear().await, told);
        assert_eq!(client.hear_binary().await, [1, 2, 3]);
        assert_eq!(client.hear_binary().await, [4, 5, 6]);
    }
}

async fn e14_what_is_no_packet_and_who_joins_nothing_ends_the_session(variant: Variant) {
    let server = serving(variant, |config| {
        config.socketio.connect_timeout = Duration::from_millis(100);
    })
    .await;
    for packet in ["4abc", "42{}", "42abc[\"message-with-ack\",1]"] {
        let mut client = joined(&server).await;
        client.say(packet).await;
        client.ends().await;
        let mut client = Client::open(server.addr).await;
        client.say(packet).await;
        client.ends().await;
    }
    Client::open(server.addr).await.ends().await;
}

async fn e11_attachments_out_of_place_end_the_session(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    let mark = |number: u32| format!(r#"{{"_placeholder":true,"num":{number}}}"#);
    let eleven: Vec<String> = (0..11).map(mark).collect();
    let first = mark(0);
    for packet in [
        // Text while bytes are awaited; too many; a number that is none; one that is not there.
        format!("451-[\"message\",{first}]\n42[\"message\",1]"),
        format!("4511-[\"message\",{}]", eleven.join(",")),
        format!("451[\"message\",{first}]"),
        format!("45-[\"message\",{first}]"),
        format!("4599999999999999999999-[\"message\",{first}]"),
        format!("451-[\"message\",{}]", mark(1)),
        format!("451-[\"message\",{}]", mark(0).replace('0', "-1")),
    ] {
        let mut client = joined(&server).await;
        for line in packet.split('\n') {
            client.say(line).await;
        }
        client.ws.binary(b"x").await;
        client.ends().await;
    }
    // Bytes that nothing announced.
    let mut client = joined(&server).await;
    client.ws.binary(b"x").await;
    client.ends().await;
    // By polling it is the same.
    let mut polling = Polling::open(server.addr, PATH).await;
    polling.post("40").await;
    assert_eq!(polling.post("bAAE=").await.status, 400);
    assert_eq!(polling.post("42[\"message\"]").await.json()["code"], 1);
    // The server goes on.
    assert_eq!(
        joined(&server).await.ask("421[\"message-with-ack\"]").await,
        "431[]"
    );
}

async fn j1_j5_what_is_no_json_ends_the_session(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for args in [
        deep.as_str(),
        "1]x",
        "1,]",
        "NaN",
        "\u{feff}1",
        "/* */1",
        "01",
        "\"\t\"",
        "\"\\x\"",
        "1] ]",
    ] {
        let mut client = joined(&server).await;
        client.say(&format!("42[\"message\",{args}]")).await;
        client.ends().await;
    }
}

async fn j2_j4_values_come_back_as_they_were_written(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    let mut client = joined(&server).await;
    let digits = "7".repeat(400);
    for value in [
        "1e400",
        "-0",
        "9007199254740993",
        digits.as_str(),
        r#""\ud800""#,
        r#""\u0000\u001e""#,
        r#"{"a":1,"a":2}"#,
        r#"{ "spaced" : [ ] }"#,
    ] {
        let told = client.ask(&format!("42[\"message\",{value}]")).await;
        assert_eq!(told, format!("42[\"message-back\",{value}]"));
        let told = client
            .ask(&format!("427[\"message-with-ack\",{value}]"))
            .await;
        assert_eq!(told, format!("437[{value}]"));
    }
    // Ids are whole numbers of 64 bits, and come back exactly.
    for id in ["9007199254740993", "18446744073709551615"] {
        let told = client.ask(&format!("42{id}[\"message-with-ack\"]")).await;
        assert_eq!(told, format!("43{id}[]"));
    }
}

async fn j6_a_packet_that_is_too_large_is_1009(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    for filler in [" ", "[", "x"] {
        let mut client = joined(&server).await;
        let large = format!("42[\"message\",\"{}\"]", filler.repeat(1_100_000));
        client.ws.send(&frame(0x81, large.as_bytes())).await;
        let code = fanwire_tests::engineio::ended(&mut client.ws).await;
        assert_eq!(code, Some(1009));
    }
}

fn said(numbers: impl Iterator<Item = usize>) -> String {
    let packets: Vec<_> = numbers.map(|n| format!("42[\"message\",{n}]")).collect();
    packets.join(&SEPARATOR.to_string())
}

fn back(number: usize) -> String {
    format!("42[\"message-back\",{number}]")
}

/// A session by polling that has come in.
async fn polling(server: &TestServer) -> Polling {
    let mut polling = Polling::open(server.addr, PATH).await;
    polling.post("40").await;
    polling.packets(2).await;
    polling
}

async fn bursts_come_back_in_order_by_polling(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    let mut polling = polling(&server).await;
    let mut number = 0;
    for size in [100; 20].into_iter().chain([1000; 3]) {
        let burst = number..number + size;
        assert_eq!(polling.post(&said(burst.clone())).await.text(), "ok");
        let came = polling.packets(size).await;
        assert_eq!(came, burst.map(back).collect::<Vec<_>>());
        number += size;
    }
}

async fn bursts_come_back_in_order_across_an_upgrade(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    let mut polling = polling(&server).await;
    let mut came = Vec::new();
    polling.post(&said(0..1000)).await;
    let mut ws = polling.socket().await;
    ws.text("2probe").await;
    assert_eq!(text(&mut ws).await, "3probe");
    polling.post(&said(1000..2000)).await;
    let answer = polling.get().await.text();
    came.extend(
        answer
            .split(SEPARATOR)
            .filter(|packet| *packet != "6")
            .map(str::to_owned),
    );
    ws.text("5").await;
    for number in 2000..3000 {
        ws.text(&said(number..=number)).await;
    }
    while came.len() < 3000 {
        came.push(text(&mut ws).await);
    }
    assert_eq!(came, (0..3000).map(back).collect::<Vec<_>>());
}

async fn large_answers_wait_until_the_client_reads(variant: Variant) {
    let server = serving(variant, |_| {}).await;
    let big = "x".repeat(100_000);
    let numbered = |kind: &str, number: usize| format!("42{number}[\"{kind}\",\"{big}\"]");
    let acks = |from: usize, to: usize| {
        let acks = (from..to).map(|number| format!("43{number}[\"{big}\"]"));
        acks.collect::<Vec<_>>()
    };
    // Much more in answer to one request than may wait for a client.
    let mut polling = polling(&server).await;
    for round in 0..2 {
        let from = round * 9;
        let asked = (from..from + 9).map(|number| numbered("message-with-ack", number));
        let body = asked.collect::<Vec<_>>().join(&SEPARATOR.to_string());
        assert_eq!(polling.post(&body).await.text(), "ok");
        assert_eq!(polling.packets(9).await, acks(from, from + 9));
    }
    // And over a WebSocket that is not read until all is asked.
    let mut client = joined(&server).await;
    for number in 0..12 {
        client.ws.text(&numbered("message-with-ack", number)).await;
    }
    for number in 12..24 {
        client.ws.text(&numbered("message", number)).await;
    }
    for ack in acks(0, 12) {
        assert!(text(&mut client.ws).await == ack);
    }
    for _ in 12..24 {
        let back = text(&mut client.ws).await;
        let head = back.get(..40).unwrap_or(&back).to_owned();
        assert!(back == format!("42[\"message-back\",\"{big}\"]"), "{head}");
    }
}

async fn a_burst_of_broadcasts_arrives_whole_at_everyone(variant: Variant) {
    const CLIENTS: usize = 200;
    const EVENTS: usize = 400;
    let server = serving(variant, |_| {}).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = joined(&server).await;
        clients.push(tokio::spawn(async move {
            for number in 0..EVENTS {
                assert_eq!(client.hear().await, format!("42[\"all\",{number}]"));
            }
        }));
    }
    let io = server.io("/");
    for number in 0..EVENTS {
        io.emit("all", json!(number)).await.unwrap();
    }
    for client in clients {
        client.await.unwrap();
    }
}
