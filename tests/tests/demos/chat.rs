//! The chat.

use std::net::SocketAddr;

use fanwire_tests::http;
use fanwire_tests::socketio::{Client, Joined};
use serde_json::{Value, json};

use crate::demos::{Demos, SOON};

/// Someone who is in, with a name.
struct Person {
    client: Client,
    joined: Joined,
}

impl Person {
    async fn come(to: SocketAddr, name: &str) -> Self {
        let mut person = Self::stranger(to).await;
        person.emit(&json!(["register", name])).await;
        person
    }

    async fn stranger(to: SocketAddr) -> Self {
        let (client, joined) = Client::join(to, "/", Value::Null).await;
        Self { client, joined }
    }

    async fn emit(&mut self, event: &Value) {
        self.client.say(&format!("42{event}")).await;
    }

    /// As `socket.disconnect()` does; the session stays.
    async fn leave(&mut self) {
        self.client.say("41").await;
    }

    /// The next event: its name and what it carries.
    async fn hear(&mut self) -> (String, Value) {
        let packet = self.client.hear().await;
        let event: Value =
            serde_json::from_str(packet.strip_prefix("42").unwrap_or(&packet)).unwrap();
        let [name, said] = event.as_array().unwrap().as_slice() else {
            panic!("one argument was expected: {packet}")
        };
        (name.as_str().unwrap().to_owned(), said.clone())
    }

    async fn hears(&mut self, name: &str, said: Value) {
        assert_eq!(self.hear().await, (name.to_owned(), said));
    }

    /// What the acknowledgement of an event says.
    async fn ask(&mut self, event: &Value) -> Value {
        self.client.say(&format!("421{event}")).await;
        loop {
            let packet = self.client.hear().await;
            if let Some(answer) = packet.strip_prefix("431") {
                return serde_json::from_str(answer).unwrap();
            }
        }
    }
}

fn count(name: &str, total: usize) -> Value {
    json!({ "username": name, "totalUsers": total })
}

#[tokio::test]
async fn people_come_talk_type_whisper_and_leave() {
    let demos = Demos::start(|_| {}).await;
    let mut ann = Person::come(demos.addr, "Ann").await;
    ann.hears("user-joined", count("Ann", 1)).await;
    let mut bob = Person::come(demos.addr, "  Bob ").await;
    for person in [&mut ann, &mut bob] {
        person.hears("user-joined", count("Bob", 2)).await;
    }
    let mut cäcilie = Person::come(demos.addr, "Cäcilie").await;
    for person in [&mut ann, &mut bob, &mut cäcilie] {
        person.hears("user-joined", count("Cäcilie", 3)).await;
    }

    ann.emit(&json!(["typing"])).await;
    ann.emit(&json!(["stop-typing"])).await;
    ann.emit(&json!(["chat-message", "<b>hi</b>"])).await;
    bob.hears("user-typing", json!("Ann")).await;
    bob.hears("user-stop-typing", json!("Ann")).await;
    // She heard nothing of her typing.
    for person in [&mut ann, &mut bob] {
        let (name, said) = person.hear().await;
        assert_eq!(
            (name.as_str(), &said["username"], &said["message"]),
            ("chat-message", &json!("Ann"), &json!("<b>hi</b>"))
        );
        let time = said["timestamp"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }

    bob.emit(&json!(["private-message", {"to": "ann", "message": "psst"}]))
        .await;
    ann.hears("private-message", json!({"from": "Bob", "message": "psst"}))
        .await;
    bob.leave().await;
    ann.hears("user-left", count("Bob", 2)).await;
    // The third one heard neither whisper nor itself twice.
    for expected in [
        "user-typing",
        "user-stop-typing",
        "chat-message",
        "user-left",
    ] {
        assert_eq!(cäcilie.hear().await.0, expected);
    }
    cäcilie.leave().await;
    ann.hears("user-left", count("Cäcilie", 1)).await;
    ann.leave().await;
    drop((ann, bob, cäcilie));
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn e6_strangers_and_nonsense_get_an_error_and_harm_nobody() {
    let demos = Demos::start(|_| {}).await;
    let mut ann = Person::come(demos.addr, "Ann").await;
    ann.hears("user-joined", count("Ann", 1)).await;
    let mut other = Person::stranger(demos.addr).await;
    for event in [
        json!(["chat-message", "hi"]),
        json!(["typing"]),
        json!(["stop-typing"]),
        json!(["private-message", {"to": "Ann", "message": "hi"}]),
    ] {
        assert_eq!(
            other.ask(&event).await[0]["code"],
            "not_registered",
            "{event}"
        );
        other.emit(&event).await;
        let (name, said) = other.hear().await;
        assert_eq!(
            (name.as_str(), &said["code"]),
            ("$error", &json!("not_registered")),
            "{event}"
        );
    }
    let names = [
        json!(""),
        json!("   "),
        json!("x".repeat(33)),
        json!("a\u{7}b"),
    ];
    for name in names {
        assert_eq!(
            other.ask(&json!(["register", name])).await[0]["code"],
            "invalid_name"
        );
    }
    assert_eq!(
        other.ask(&json!(["register", "ANN"])).await[0]["code"],
        "taken"
    );
    assert_eq!(
        other.ask(&json!(["register", "Bob"])).await[0]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    // Once more is no second time; a second name there is not.
    assert_eq!(
        other.ask(&json!(["register", "Bob"])).await[0]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        other.ask(&json!(["register", "Rob"])).await[0]["code"],
        "registered"
    );
    let long = "x".repeat(4001);
    for event in [
        json!(["register", null]),
        json!(["register", 7]),
        json!(["register", {}]),
        json!(["register"]),
        json!(["chat-message", null]),
        json!(["chat-message", 7]),
        json!(["chat-message", {"text": "hi"}]),
        json!(["chat-message", ""]),
        json!(["chat-message", long]),
        json!(["private-message", null]),
        json!(["private-message", 7]),
        json!(["private-message", "Ann"]),
        json!(["private-message", []]),
        json!(["private-message", {}]),
        json!(["private-message", {"to": 7, "message": "hi"}]),
        json!(["private-message", {"to": "Ann", "message": null}]),
    ] {
        assert_eq!(other.ask(&event).await[0]["code"], "bad_request", "{event}");
    }
    let lost = json!(["private-message", {"to": "nobody", "message": "hi"}]);
    assert_eq!(other.ask(&lost).await[0]["code"], "unknown_user");
    // Who has no connection that could end has no name that it could leave.
    let posted = http::post(
        demos.addr,
        "/c/lobby?event=register",
        &[("Content-Type", "application/json")],
        b"\"Ghost\"",
    )
    .await;
    assert!((400..500).contains(&posted.status), "{}", posted.status);

    ann.hears("user-joined", count("Bob", 2)).await;
    other.emit(&json!(["chat-message", "still here"])).await;
    assert_eq!(ann.hear().await.1["message"], "still here");
    demos.stop().await;
}

#[tokio::test]
async fn who_comes_back_in_time_has_not_left_and_missed_nothing() {
    let demos = Demos::start(|_| {}).await;
    let mut ann = Person::come(demos.addr, "Ann").await;
    ann.hears("user-joined", count("Ann", 1)).await;
    let bob = Person::come(demos.addr, "Bob").await;
    ann.hears("user-joined", count("Bob", 2)).await;
    let shown = ann.client.back(&ann.joined);
    let (id, mut bob) = (ann.joined.sid.clone(), bob);
    ann.client.vanish();
    bob.hears("user-joined", count("Bob", 2)).await;
    bob.emit(&json!(["chat-message", "one"])).await;
    bob.emit(&json!(["private-message", {"to": "Ann", "message": "two"}]))
        .await;
    assert_eq!(bob.hear().await.1["message"], "one");

    let (client, joined) = Client::join(demos.addr, "/", shown).await;
    assert_eq!(joined.sid, id);
    let mut ann = Person { client, joined };
    assert_eq!(ann.hear().await.1["message"], "one");
    ann.hears("private-message", json!({"from": "Bob", "message": "two"}))
        .await;
    ann.emit(&json!(["chat-message", "back"])).await;
    for person in [&mut ann, &mut bob] {
        let (name, said) = person.hear().await;
        assert_eq!(
            (name.as_str(), &said["username"]),
            ("chat-message", &json!("Ann"))
        );
    }
    demos.stop().await;
}

#[tokio::test]
async fn who_stays_away_has_left_and_comes_back_as_a_newcomer() {
    let demos = Demos::start(|timings| timings.absence = SOON).await;
    let ann = Person::come(demos.addr, "Ann").await;
    let mut bob = Person::come(demos.addr, "Bob").await;
    bob.hears("user-joined", count("Bob", 2)).await;
    let shown = ann.client.back(&ann.joined);
    ann.client.vanish();
    bob.hears("user-left", count("Ann", 1)).await;
    let (client, joined) = Client::join(demos.addr, "/", shown).await;
    let mut ann = Person { client, joined };
    assert_eq!(
        ann.ask(&json!(["typing"])).await[0]["code"],
        "not_registered"
    );
    ann.emit(&json!(["register", "Ann"])).await;
    bob.hears("user-joined", count("Ann", 2)).await;
    demos.stop().await;
}

#[tokio::test]
async fn who_is_away_loses_the_name_to_who_is_here() {
    let demos = Demos::start(|_| {}).await;
    let ann = Person::come(demos.addr, "Ann").await;
    let mut bob = Person::come(demos.addr, "Bob").await;
    bob.hears("user-joined", count("Bob", 2)).await;
    let shown = ann.client.back(&ann.joined);
    ann.client.vanish();
    let mut other = Person::stranger(demos.addr).await;
    // Until the server has seen that she is away.
    while other.ask(&json!(["register", "ann"])).await[0]["code"] == "taken" {}
    bob.hears("user-left", count("Ann", 1)).await;
    bob.hears("user-joined", count("ann", 2)).await;
    let (client, joined) = Client::join(demos.addr, "/", shown).await;
    let mut ann = Person { client, joined };
    assert_eq!(
        ann.ask(&json!(["typing"])).await[0]["code"],
        "not_registered"
    );
    ann.leave().await;
    // It was not her name that went with her.
    bob.emit(&json!(["private-message", {"to": "ann", "message": "you"}]))
        .await;
    loop {
        if other.hear().await
            == (
                "private-message".to_owned(),
                json!({"from": "Bob", "message": "you"}),
            )
        {
            break;
        }
    }
    demos.stop().await;
}
