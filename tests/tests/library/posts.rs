//! What code knows of whoever POSTs, and what they are told.

use fanwire::config::{NamedRules, Rooms};
use fanwire::{Application, Call, Json, Next, Rejected, Reply, Socket};
use fanwire_tests::server::{TestServer, Variant};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Letter {
    to: String,
}

async fn who(socket: Socket) -> Result<Json<Value>, Rejected> {
    let asked = socket.handshake().ok_or("no request")?;
    let seen = |name: &str| asked.headers.get(name).map(|value| value.to_str().ok());
    Ok(Json(json!({
        "by": asked.address,
        "query": asked.query,
        "ticket": seen("x-ticket"),
        "secret": seen("authorization"),
        "cookie": seen("cookie"),
        "transport": socket.transport(),
    })))
}

async fn server() -> TestServer {
    let application = Application::new().namespace("/desk", |desk| {
        desk.around(async |call: Call, next: Next| -> Result<Reply, Rejected> {
            let asked = call.socket().handshake();
            match asked.is_some_and(|asked| asked.headers.contains_key("x-ticket")) {
                true => Ok(next.run(call).await),
                false => Err(Rejected::new("unauthorized", "show your ticket")),
            }
        });
        desk.on("who", who);
        desk.on("write", async |Json(letter): Json<Letter>| letter.to);
        desk.on("say", async |text: String, count: u8| (text, count));
    });
    TestServer::serving(Variant::MEMORY, application.unwrap(), |config| {
        let rules = NamedRules {
            rooms: Some(Rooms::Public),
            ..NamedRules::default()
        };
        config.namespaces.by_name.insert("desk".into(), rules);
    })
    .await
}

#[tokio::test]
async fn code_sees_the_request_of_a_post_without_its_secrets_and_may_judge_it() {
    let server = server().await;
    let refused = server.post("desk:x?event=who", &[], b"").await;
    let problem = refused.refused(401, "unauthorized");
    assert_eq!(problem["detail"], "show your ticket");
    let headers = [("X-Ticket", "7"), ("Cookie", "a=b")];
    let told = server
        .post("desk:x?event=who&name=ann&token=t", &headers, b"")
        .await;
    let expected = json!({
        "by": "127.0.0.1", "query": "event=who&name=ann", "ticket": "7",
        "secret": null, "cookie": null, "transport": null,
    });
    assert_eq!(told.json(), expected);
    server.stop().await;
}

#[tokio::test]
async fn json_that_came_as_a_text_is_refused_with_the_hint_how_to_send_it() {
    let server = server().await;
    let told = async |target: &str, kind: Option<&str>, body: &[u8]| {
        let mut headers = vec![("X-Ticket", "7")];
        headers.extend(kind.map(|kind| ("Content-Type", kind)));
        let answer = server.post(target, &headers, body).await;
        let problem = answer.refused(400, "bad_request");
        problem["detail"].as_str().unwrap().to_owned()
    };
    let hint = "send JSON as application/json";
    let form = Some("application/x-www-form-urlencoded");
    for kind in [None, form, Some("text/plain")] {
        let why = told("desk:x?event=write", kind, br#"{"to":"bob"}"#).await;
        assert!(why.ends_with(hint), "{why}");
    }
    // Where that is not what is wrong, nothing is said of it.
    let why = told("desk:x?event=write", None, b"bob").await;
    assert!(!why.contains(hint), "{why}");
    let why = told("desk:x?event=say", None, b"7").await;
    assert_eq!(why, "an argument is missing");
    let json = Some("application/json");
    let why = told("desk:x?event=write", json, br#"{"to":7}"#).await;
    assert_eq!(why, "invalid type: integer `7`, expected a string");
    server.stop().await;
}
