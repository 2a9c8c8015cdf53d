//! The same handlers for a POST and for both kinds of WebSocket.

use std::sync::Arc;

use fanwire::config::{NamedRules, Rooms};
use fanwire::{Application, Args, Config, Rejected, Socket};
use fanwire_tests::http;
use fanwire_tests::said::{Heard, Said};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::ws::Ws;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What `say` was called with by whom, and what it did.
fn application(gate: Arc<Semaphore>) -> Application {
    Application::new()
        .namespace("/chat", |chat| {
            chat.on("say", |socket: Socket, text: String| async move {
                let room = socket.rooms().join("+");
                let heard = format!("{room}: {text}");
                socket.to("lobby").emit("said", heard).await?;
                Ok::<_, Rejected>(("sent", text))
            });
            chat.on("one", |_: Socket, args: Args| async move { args });
            chat.on("nothing", |_: Socket, ()| async {});
            chat.on("no", |_: Socket, code: String| async move {
                Err::<(), _>(Rejected::new(code, "this is not so"))
            });
            chat.on("panic", |_: Socket, ()| async {
                if true {
                    panic!("a handler's own fault");
                }
            });
            chat.on("whisper", |socket: Socket, ()| async move {
                let told = socket.emit("whispered", ("a", 1)).await;
                told.map(|()| "done").map_err(Rejected::from)
            });
            chat.on("join", |socket: Socket, room: String| async move {
                socket.join(&room).map_err(Rejected::from)
            });
            chat.on(
                "go",
                |socket: Socket, ()| async move { socket.disconnect() },
            );
            chat.on("count", |socket: Socket, ()| async move {
                let next = socket.get::<u32>().map_or(1, |count| *count + 1);
                socket.set(next);
                next
            });
            chat.on("wait", move |_: Socket, ()| {
                let gate = gate.clone();
                async move {
                    // It is never closed.
                    gate.acquire().await.unwrap().forget();
                }
            });
            chat.on("message", |socket: Socket, args: Args| async move {
                if args.get(0) == Some("\"bad\"") {
                    return Err(Rejected::new("rude", "mind your words"));
                }
                if args.get(0) == Some("\"panic\"") {
                    panic!("a handler's own fault");
                }
                let told = socket.to("lobby").emit("heard", args).await;
                told.map_err(Rejected::from)
            });
        })
        .unwrap()
}

fn public(config: &mut Config) {
    let rules = NamedRules {
        rooms: Some(Rooms::Public),
        ..NamedRules::default()
    };
    config.namespaces.by_name.insert("chat".to_owned(), rules);
}

async fn server() -> (TestServer, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let application = application(gate.clone());
    (
        TestServer::serving(Variant::MEMORY, application, public).await,
        gate,
    )
}

async fn envelope(server: &TestServer) -> Ws {
    let mut ws = Ws::envelope(server.addr, "/c/chat:lobby").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws
}

async fn heard(ws: &mut Ws) -> Heard {
    match ws.next().await {
        Said::Heard(heard) => heard,
        other => panic!("no message: {other:?}"),
    }
}

async fn reply(ws: &mut Ws) -> Value {
    match ws.next().await {
        Said::Reply(mut value) => {
            value.as_object_mut().unwrap().remove("event");
            value
        }
        other => panic!("no reply: {other:?}"),
    }
}

fn event(name: &str) -> String {
    format!("chat:lobby?event={name}")
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
async fn a_post_is_answered_by_the_handler_and_not_published() {
    let (server, _) = server().await;
    let mut listener = envelope(&server).await;
    let answer = server.post(&event("say"), &[], b"hi").await;
    assert_eq!((answer.status, answer.json()), (200, json!(["sent", "hi"])));
    let said = heard(&mut listener).await;
    assert_eq!(
        (said.event.as_str(), said.plain().as_str()),
        ("said", "lobby: hi")
    );
    let one = server.post(&event("one"), &[JSON], b"{\"a\": 1}").await;
    assert_eq!((one.status, one.json()), (200, json!({"a": 1})));
    let args = format!("{}&args=1", event("one"));
    let both = server.post(&args, &[JSON], br#"[1,{"$bin":"AQ=="}]"#).await;
    assert_eq!(both.json(), json!([1, {"$bin": "AQ=="}]));
    let bytes = [("Content-Type", "application/octet-stream")];
    let bytes = server.post(&event("one"), &bytes, b"\x01").await;
    assert_eq!(bytes.json(), json!({"$bin": "AQ=="}));
    let nothing = server.post(&event("nothing"), &[], b"x").await;
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
    // Nothing handles it: published, and heard next.
    let id = server.post(&event("other"), &[], b"x").await.id();
    assert_eq!(heard(&mut listener).await.id, Some(id));
    server.stop().await;
}

#[tokio::test]
async fn p7_what_a_handler_refuses_is_a_problem_and_a_panic_is_its_calls_own() {
    let (server, _) = server().await;
    let known = server.post(&event("no"), &[], b"forbidden").await;
    assert_eq!(known.refused(403, "forbidden")["detail"], "this is not so");
    server
        .post(&event("no"), &[], b"too-late")
        .await
        .refused(422, "too-late");
    server
        .post(&event("say"), &[JSON], b"7")
        .await
        .refused(400, "bad_request");
    // On one connection, which goes on.
    let mut http = http::Http::connect(server.addr).await;
    for _ in 0..2 {
        let target = format!("/c/{}", event("panic"));
        let answer = http.ask("POST", &target, &[], b"").await;
        answer.refused(500, "internal");
    }
    let mine = server.post(&event("whisper"), &[], b"").await;
    mine.refused(400, "bad_request");
    server
        .post(&event("join"), &[], b"a")
        .await
        .refused(400, "bad_request");
    for no in ["volatile=1", "key=k", "exclude=c"] {
        let target = format!("{}&{no}", event("say"));
        server
            .post(&target, &[], b"x")
            .await
            .refused(400, "bad_request");
    }
    let once = [("Idempotency-Key", "k")];
    server
        .post(&event("say"), &once, b"x")
        .await
        .refused(400, "bad_request");
    server.stop().await;
}

#[tokio::test]
async fn p8_a_handler_is_called_for_those_alone_who_may_publish() {
    let gate = Arc::new(Semaphore::new(0));
    // Its rooms are closed to URLs, as nothing says otherwise.
    let server = TestServer::serving(Variant::MEMORY, application(gate), |config| {
        config.access.open = true;
    })
    .await;
    server
        .post(&event("say"), &[], b"x")
        .await
        .refused(403, "forbidden");
    server.stop().await;
}

#[tokio::test]
async fn an_envelope_frame_is_acknowledged_by_the_handler() {
    let (server, _) = server().await;
    let (mut ws, mut other) = (envelope(&server).await, envelope(&server).await);
    ws.text(r#"{"event":"say","data":"hi","ref":1}"#).await;
    let ack = reply(&mut ws).await;
    assert_eq!(ack, json!({"ref": 1, "data": ["sent", "hi"]}));
    // Who said it is left out; the others hear it.
    assert_eq!(heard(&mut other).await.plain(), "lobby: hi");
    ws.text(r#"{"event":"no","data":"too-late","ref":"r"}"#)
        .await;
    let error = reply(&mut ws).await;
    assert_eq!(
        error,
        json!({"ref": "r", "code": "too-late", "message": "this is not so"})
    );
    ws.text(r#"{"event":"panic","data":0,"ref":2}"#).await;
    assert_eq!(reply(&mut ws).await["code"], "internal");
    ws.text(r#"{"event":"nothing","data":0,"ref":3}"#).await;
    assert_eq!(reply(&mut ws).await, json!({"ref": 3, "data": null}));
    ws.text(r#"{"event":"whisper","data":0}"#).await;
    let mine = heard(&mut ws).await;
    assert_eq!(
        (mine.id, mine.channel, mine.data),
        (None, None, b"[\"a\",1]".to_vec())
    );
    for count in 1..3 {
        ws.text(r#"{"event":"count","data":0,"ref":4}"#).await;
        assert_eq!(reply(&mut ws).await["data"], count);
    }
    ws.text(r#"{"event":"go","data":0}"#).await;
    assert_eq!(ws.closed().await.0, 3503);
    server.stop().await;
}

#[tokio::test]
async fn handlers_of_one_client_run_in_order_and_hold_up_nobody_else() {
    let (server, gate) = server().await;
    let (mut ws, mut other) = (envelope(&server).await, envelope(&server).await);
    ws.text(r#"{"event":"wait","data":0,"ref":1}"#).await;
    ws.text(r#"{"event":"nothing","data":0,"ref":2}"#).await;
    other.text(r#"{"event":"nothing","data":0,"ref":3}"#).await;
    assert_eq!(reply(&mut other).await["ref"], 3);
    gate.add_permits(1);
    assert_eq!(reply(&mut ws).await["ref"], 1);
    assert_eq!(reply(&mut ws).await["ref"], 2);
    server.stop().await;
}

#[tokio::test]
async fn a_raw_frame_is_the_event_message() {
    let (server, _) = server().await;
    let mut listener = envelope(&server).await;
    let mut raw = Ws::open(server.addr, "/c/chat:lobby", &[]).await;
    raw.text("panic").await;
    raw.text("hi").await;
    let said = heard(&mut listener).await;
    assert_eq!(
        (said.event.as_str(), said.plain().as_str()),
        ("heard", "hi")
    );
    raw.binary(b"\x01").await;
    assert_eq!(heard(&mut listener).await.data, b"\"AQ==\"");
    raw.text("bad").await;
    assert_eq!(
        raw.closed().await,
        (4000, "rude: mind your words".to_owned())
    );
    server.stop().await;
}
