//! Socket.IO: coming in, being heard, rooms.

use std::time::Duration;

use fanwire_tests::engineio::Polling;
use fanwire_tests::http;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::{Client, PATH, Reasons, application};
use serde_json::{Value, json};

async fn server(reasons: &Reasons) -> TestServer {
    serving(reasons, |_| {}).await
}

async fn serving(reasons: &Reasons, change: impl FnOnce(&mut fanwire::Config)) -> TestServer {
    TestServer::serving(Variant::MEMORY, application(reasons), change).await
}

fn ack(packet: &str) -> Value {
    let start = packet.find('[').unwrap();
    serde_json::from_str(&packet[start..]).unwrap()
}

#[tokio::test]
async fn e13_a_namespace_that_is_not_served_is_refused_and_the_session_goes_on() {
    let server = server(&Reasons::default()).await;
    let mut client = Client::open(server.addr).await;
    let invalid = r#"{"message":"Invalid namespace"}"#;
    for name in ["/random", "/rooms", "/a b", "/%2F", "/é"] {
        let told = client.ask(&format!("40{name}")).await;
        assert_eq!(told, format!("44{name},{invalid}"));
    }
    client.connect("/room-1", Value::Null).await;
    assert_eq!(
        client.ask("42/room-1,7[\"echo\",1]").await,
        "43/room-1,7[1]"
    );
    client.say(&format!("40/{}", "x".repeat(10_000))).await;
    client.ends().await;
}

#[tokio::test]
async fn e14_e15_e16_what_is_no_conversation_ends_it() {
    let server = server(&Reasons::default()).await;
    for packet in [
        "42[\"echo\",1]",
        "41",
        "43[]",
        "4abc",
        "40\"x\"",
        "44{\"message\":\"x\"}",
        "9",
    ] {
        let mut client = Client::open(server.addr).await;
        client.say(packet).await;
        client.ends().await;
    }
    for packet in [
        "40",
        "42{}",
        "42[]",
        "42[1]",
        "42[\"connect\"]",
        "42[\"disconnect\"]",
        "42[\"newListener\"]",
        "42abc[\"echo\"]",
        "4218446744073709551616[\"echo\"]",
        "451-[\"echo\"]\u{0}",
        "42/other,[\"echo\"]",
        "43/other,1[]",
        "41/other",
    ] {
        let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
        client.say(packet).await;
        client.ends().await;
    }
}

#[tokio::test]
async fn e14_a_session_that_joins_nothing_is_closed() {
    let server = serving(&Reasons::default(), |config| {
        config.socketio.connect_timeout = Duration::from_millis(50);
    })
    .await;
    Client::open(server.addr).await.ends().await;
    let mut refused = Client::open(server.addr).await;
    refused.try_connect("/random", Value::Null).await;
    refused.ends().await;
    // One that was in stays, also when it leaves.
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    client.say("41").await;
    let again = Client::open(server.addr).await;
    again.ends().await;
    client.connect("/", Value::Null).await;
}

#[tokio::test]
async fn e19_a_session_joins_so_many_namespaces_and_no_more() {
    let server = serving(&Reasons::default(), |config| {
        config.socketio.namespaces = 3;
    })
    .await;
    let mut client = Client::open(server.addr).await;
    for n in 0..3 {
        client.connect(&format!("/room-{n}"), Value::Null).await;
    }
    for n in 3..100 {
        let told = client.try_connect(&format!("/room-{n}"), Value::Null).await;
        assert!(told.contains("too_many_channels"), "{told}");
    }
    client.say("41/room-0").await;
    client.connect("/room-3", Value::Null).await;
}

#[tokio::test]
async fn e2_a_sockets_public_name_opens_no_session() {
    let server = server(&Reasons::default()).await;
    let (client, joined) = Client::join(server.addr, "/", Value::Null).await;
    assert_ne!(client.sid, joined.sid);
    for name in [&joined.sid, &joined.pid.unwrap()] {
        let target = format!("{PATH}?EIO=4&transport=polling&sid={name}");
        let answer = http::get(server.addr, &target, &[]).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["code"], 1);
    }
}

#[tokio::test]
async fn code_may_refuse_with_a_message_and_data() {
    let server = server(&Reasons::default()).await;
    let mut client = Client::open(server.addr).await;
    let told = client.try_connect("/", json!({"refuse": "no way"})).await;
    let expected = r#"44{"message":"no way","data":{"code":"told-so"}}"#;
    assert_eq!(told, expected);
    client.connect("/", Value::Null).await;
}

#[tokio::test]
async fn nothing_said_right_behind_the_connect_is_lost_or_heard_before_it() {
    let server = server(&Reasons::default()).await;
    for _ in 0..50 {
        let mut client = Client::open(server.addr).await;
        client.say("40").await;
        client.say("421[\"echo\",\"early\"]").await;
        let reply = client.hear().await;
        assert!(reply.starts_with("40{\"sid\""), "{reply}");
        assert_eq!(client.hear().await, "431[\"early\"]");
    }
}

#[tokio::test]
async fn one_clients_events_are_handled_and_answered_in_order() {
    let server = serving(&Reasons::default(), |config| {
        // So small that it is full again and again.
        config.socketio.inbox_packets = 4;
    })
    .await;
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    for burst in 0..20 {
        for n in 0..100 {
            client
                .say(&format!("42{n}[\"echo\",{}]", burst * 100 + n))
                .await;
        }
        for n in 0..100 {
            let expected = format!("43{n}[{}]", burst * 100 + n);
            assert_eq!(client.hear().await, expected);
        }
    }
    for n in 0..1000 {
        client.say(&format!("42[\"back\",{n}]")).await;
    }
    for n in 0..1000 {
        assert_eq!(client.hear().await, format!("42[\"back\",{n}]"));
    }
}

#[tokio::test]
async fn binary_goes_in_and_comes_out_wherever_it_stands() {
    let server = server(&Reasons::default()).await;
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    let args = r#"{"a":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}"#;
    client.say(&format!("452-5[\"echo\",{args}]")).await;
    for bytes in [&b"\x00\x01"[..], b""] {
        let frame = fanwire_tests::ws::frame(0x82, bytes);
        client.ws.wire.send(&frame).await.unwrap();
    }
    assert_eq!(client.hear().await, format!("462-5[{args}]"));
    assert_eq!(client.hear_binary().await, b"\x00\x01");
    assert_eq!(client.hear_binary().await, b"");
}

#[tokio::test]
async fn a_handler_that_panics_or_refuses_ends_nothing() {
    let server = server(&Reasons::default()).await;
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    let told = ack(&client.ask("421[\"panic\"]").await);
    assert_eq!(told[0]["code"], "internal");
    let told = ack(&client.ask("422[\"join\"]").await);
    assert_eq!(told[0]["code"], "bad_request");
    let told = ack(&client.ask("423[\"join\",\"@x\"]").await);
    assert_eq!(told[0]["code"], "invalid_channel");
    let told = ack(&client.ask("424[\"nobody-knows\"]").await);
    assert_eq!(told[0]["code"], "forbidden");
    let told = client.ask("42[\"nobody-knows\"]").await;
    assert!(told.starts_with("42[\"$error\",{"), "{told}");
    assert_eq!(ack(&told)[1]["event"], "nobody-knows");
    assert_eq!(client.ask("425[\"echo\"]").await, "435[]");
}

#[tokio::test]
async fn e12_code_asks_and_waits_a_bounded_time() {
    let server = server(&Reasons::default()).await;
    let (mut one, _) = Client::join(server.addr, "/", Value::Null).await;
    let (mut two, _) = Client::join(server.addr, "/", Value::Null).await;
    one.say("429[\"ask\",20000]").await;
    assert_eq!(one.hear().await, "420[\"question\"]");
    // Acks of nobody's question are ignored.
    one.say("4377[1]").await;
    one.say("430[\"yes\",2]").await;
    assert_eq!(one.hear().await, "439[\"yes\",2]");
    let told = one.ask("4210[\"ask\",10]").await;
    assert_eq!(told, "421[\"question\"]");
    assert_eq!(ack(&one.hear().await)[0]["code"], "unanswered");
    // Everyone at once, under one id; who goes does not answer.
    one.say("4211[\"ask-all\",20000]").await;
    let asked = one.hear().await;
    assert_eq!(two.hear().await, asked);
    let id = &asked[2..asked.find('[').unwrap()];
    one.say(&format!("43{id}[]")).await;
    two.vanish();
    assert_eq!(one.hear().await, "4311[[1,2]]");
}

#[tokio::test]
async fn rooms_are_channels_in_both_directions() {
    let server = server(&Reasons::default()).await;
    let (mut one, _) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
    let (mut two, _) = Client::join(server.addr, "/", json!({"room": "lobby"})).await;
    let (mut other, _) = Client::join(server.addr, "/", Value::Null).await;
    server
        .post(
            "lobby?event=score",
            &[("content-type", "application/json")],
            b"{\"a\": 1}",
        )
        .await;
    for client in [&mut one, &mut two] {
        assert_eq!(client.hear().await, "42[\"score\",{\"a\": 1}]");
    }
    assert_eq!(one.ask("421[\"say\",\"lobby\",7]").await, "431[]");
    assert_eq!(two.hear().await, "42[\"said\",7]");
    server
        .io("/")
        .to("lobby")
        .emit("news", ("hi", 2))
        .await
        .unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(client.hear().await, "42[\"news\",\"hi\",2]");
    }
    server.publish("@all", "all").await;
    for client in [&mut one, &mut two, &mut other] {
        assert_eq!(client.hear().await, "42[\"message\",\"all\"]");
    }
    let kept = server.get("lobby", &[]).await.json();
    let events: Vec<&Value> = kept["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["event"])
        .collect();
    assert_eq!(events, ["score", "said", "news"]);
    assert_eq!(kept["messages"][1]["data"], 7);
}

#[tokio::test]
async fn io_knows_who_is_there_and_sends_to_all_but_some() {
    let server = server(&Reasons::default()).await;
    let io = server.io("/");
    let (mut one, joined) = Client::join(server.addr, "/", json!({"room": "a"})).await;
    let (mut two, _) = Client::join(server.addr, "/", json!({"room": "b"})).await;
    assert_eq!(one.ask("421[\"join\",\"c\"]").await, "431[]");
    assert_eq!((io.sockets().len(), io.sockets_in("c").len()), (2, 1));
    let id = io.sockets_in("c")[0].id().clone();
    assert_eq!(id.as_str(), joined.sid);
    io.to("a").to("b").except(&id).emit("x", 1).await.unwrap();
    io.to(&id).emit("x", 2).await.unwrap();
    assert_eq!(one.hear().await, "42[\"x\",2]");
    assert_eq!(two.hear().await, "42[\"x\",1]");
    io.socket(&id).unwrap().leave("c");
    io.to("c").to("b").emit("x", 3).await.unwrap();
    assert_eq!(two.hear().await, "42[\"x\",3]");
    io.to("b").disconnect();
    assert_eq!(two.hear().await, "41");
    assert_eq!(one.ask("422[\"kick\"]").await, "42[\"bye\"]");
    assert_eq!(one.hear().await, "41");
    assert!(io.sockets().is_empty());
    // Let go, it may come again on the same session.
    one.connect("/", Value::Null).await;
}

#[tokio::test]
async fn code_is_told_once_why_each_socket_went() {
    let reasons = Reasons::default();
    let server = server(&reasons).await;
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    let bye = fanwire_tests::ws::close(1000, b"");
    client.ws.wire.send(&bye).await.unwrap();
    client.ends().await;
    assert_eq!(reasons.wait(1).await[0], "transport close");
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    client.connect("/room-1", Value::Null).await;
    client.say("41").await;
    assert_eq!(reasons.wait(2).await[1], "client namespace disconnect");
    assert_eq!(
        client.ask("42/room-1,1[\"kick\"]").await,
        "42/room-1,[\"bye\"]"
    );
    assert_eq!(client.hear().await, "41/room-1,");
    assert_eq!(reasons.wait(3).await[2], "server namespace disconnect");
    client.connect("/", Value::Null).await;
    client.say("4abc").await;
    client.ends().await;
    assert_eq!(reasons.wait(4).await[3], "parse error");
    let mut polling = Polling::open(server.addr, PATH).await;
    polling.post("40").await;
    polling.packets(1).await;
    server.stop().await;
    assert_eq!(reasons.wait(5).await[4], "server shutting down");
}

#[tokio::test]
async fn one_who_leaves_and_closes_at_once_has_left_and_does_not_come_back() {
    let reasons = Reasons::default();
    let server = server(&reasons).await;
    let mut polling = Polling::open(server.addr, PATH).await;
    polling.post("40").await;
    let told = polling.packets(1).await.remove(0);
    let joined: Value = serde_json::from_str(&told[2..]).unwrap();
    // All in one request, as a client that has much to say sends it: the handler that
    // waits for its answer is at work when the session ends.
    let said = ["42[\"ask\",60]", "42[\"echo\",1]", "41", "1"].join("\x1e");
    assert_eq!(polling.post(&said).await.status, 200);
    assert_eq!(reasons.wait(1).await, ["client namespace disconnect"]);
    let auth = json!({ "pid": joined["pid"] });
    let (_, again) = Client::join(server.addr, "/", auth).await;
    assert_ne!(joined["sid"], again.sid.as_str());
    server.stop().await;
}

#[tokio::test]
async fn everything_works_over_polling_too() {
    let server = server(&Reasons::default()).await;
    let mut polling = Polling::open(server.addr, PATH).await;
    assert_eq!(
        polling
            .post("40{\"room\":\"lobby\"}\u{1e}421[\"echo\",1]")
            .await
            .text(),
        "ok"
    );
    let packets = polling.packets(2).await;
    assert!(packets[0].starts_with("40{\"sid\""), "{packets:?}");
    assert_eq!(packets[1], "431[1]");
    polling
        .post("451-2[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAAE=")
        .await;
    let packets = polling.packets(2).await;
    assert_eq!(packets[0], "461-2[{\"_placeholder\":true,\"num\":0}]");
    assert_eq!(packets[1], "bAAE=");
    server.publish("lobby", "hi").await;
    let packets = polling.packets(1).await;
    assert!(
        packets[0].starts_with("42[\"message\",\"hi\",\"fw~"),
        "{packets:?}"
    );
}

#[tokio::test]
async fn p6_nothing_stays_of_sockets_that_have_gone() {
    let reasons = Reasons::default();
    let server = serving(&reasons, |config| config.rules.recovery = false).await;
    for n in 0..60 {
        let mut client = Client::open(server.addr).await;
        client.connect("/", json!({"room": "a"})).await;
        let room = format!("/room-{n}");
        client.connect(&room, json!({"room": "b"})).await;
        assert_eq!(client.ask("421[\"join\",\"c\"]").await, "431[]");
        // Half of an attachment's packet, an answer that never comes.
        client.say("422[\"ask\",60000]").await;
        client.hear().await;
        match n % 4 {
            0 => client.vanish(),
            1 => {
                client.say("41").await;
                client.say(&format!("41{room},")).await;
                client.ends_by("4nothing").await;
            }
            2 => {
                client
                    .ends_by("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]")
                    .await
            }
            _ => client.ends_by("1").await,
        }
    }
    reasons.wait(120).await;
    let none = || (server.keys() == 0 && server.stats().subscribers == 0).then_some(());
    fanwire_tests::wait::until("everyone to be gone", none).await;
    assert!(server.io("/").sockets().is_empty());
}
