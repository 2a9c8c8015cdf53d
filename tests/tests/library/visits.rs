//! WebSockets where code serves: asked about, told of, sent to, and told of again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire::config::{NamedRules, Rooms};
use fanwire::{Application, Args, Auth, Config, ConnectRefusal, Json, Reason, Rejected, Socket};
use fanwire_tests::said::{Heard, Kind, Said};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::token;
use fanwire_tests::wait::within;
use fanwire_tests::ws::{Ws, frame};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What code was told, in its order.
struct Told(Receiver<String>);

impl Told {
    async fn next(&mut self) -> String {
        within("code to be told", self.0.recv()).await.unwrap()
    }
}

fn told() -> (Sender<String>, Told) {
    let (sender, receiver) = channel(100);
    (sender, Told(receiver))
}

/// Lets in who says a name in its query, and says what happens to it.
fn application(say: Sender<String>, gate: Arc<Semaphore>) -> Application {
    let (connected, left, worked) = (say.clone(), say.clone(), say);
    let (opens, works) = (gate.clone(), gate);
    Application::new()
        .namespace("/chat", move |chat| {
            chat.on_connect(move |socket: Socket, auth: Auth| {
                let gate = opens.clone();
                async move {
                    let name: String = auth.get("name").ok_or_else(|| {
                        ConnectRefusal::new("say your name").with(json!({"need": "name"}))
                    })?;
                    match name.as_str() {
                        "nobody" => {
                            let data = json!({"code": "unauthorized"});
                            return Err(ConnectRefusal::new("who is that?").with(data));
                        }
                        "panic" => panic!("a handler's own fault"),
                        "slow" => gate.acquire().await.unwrap().forget(),
                        _ => {}
                    }
                    assert!(socket.emit("early", 1).await.is_err());
                    socket
                        .join("lobby")
                        .map_err(|why| ConnectRefusal::from(&why))?;
                    socket
                        .join("beside")
                        .map_err(|why| ConnectRefusal::from(&why))?;
                    socket.set(name);
                    Ok(())
                }
            });
            chat.on_connected(move |socket: Socket| {
                let name = socket.get::<String>().unwrap();
                let _ = connected.try_send(format!("{name} in"));
                async move {
                    let told = socket.emit("message", format!("hello, {name}")).await;
                    told.unwrap();
                    let bytes = Bytes::from_static(b"\x00\xff");
                    socket.emit("message", bytes).await.unwrap();
                    socket.emit("message", json!({"a": 1})).await.unwrap();
                    socket.emit("message", ("a", 1)).await.unwrap();
                }
            });
            chat.on_disconnect(move |socket: Socket, Reason(reason): Reason| {
                let name = socket.get::<String>().unwrap();
                assert!(!socket.is_connected());
                let _ = left.try_send(format!("{name} out: {reason}"));
                async {}
            });
            chat.on("message", |socket: Socket, args: Args| async move {
                let told = socket.io().to(socket.id()).emit("back", args).await;
                told.map_err(Rejected::from)
            });
            chat.on("who", |socket: Socket, ()| async move {
                let name = |one: &Socket| one.get::<String>().unwrap().to_string();
                let mut names: Vec<_> = socket.io().sockets_in("lobby").iter().map(name).collect();
                names.sort();
                let user = socket.user().identity().map(|id| id.to_string());
                Json((names, socket.rooms(), user))
            });
            chat.on("leave", |socket: Socket, room: String| async move {
                socket.leave(&room);
                Json(socket.rooms())
            });
            chat.on("work", move |socket: Socket, ()| {
                let (gate, say) = (works.clone(), worked.clone());
                let _ = say.try_send("begun".to_owned());
                async move {
                    gate.acquire().await.unwrap().forget();
                    let name = socket.get::<String>().unwrap();
                    let _ = say.try_send(format!("{name} done"));
                }
            });
            chat.on("go", |socket: Socket, ()| async move {
                socket.disconnect();
            });
            chat.on("panic", |_: Socket, ()| async {
                if true {
                    panic!("a handler's own fault");
                }
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

async fn server(
    variant: Variant,
    change: impl FnOnce(&mut Config),
) -> (TestServer, Told, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let (say, told) = told();
    let code = application(say, gate.clone());
    let server = TestServer::serving(variant, code, |config| {
        public(config);
        change(config);
    });
    (server.await, told, gate)
}

async fn raw(server: &TestServer, name: &str) -> Ws {
    Ws::open(server.addr, &format!("/c/chat:lobby?name={name}"), &[]).await
}

/// An envelope socket whose opening and greeting were read.
async fn envelope(server: &TestServer, name: &str) -> Ws {
    let mut ws = Ws::envelope(server.addr, &format!("/c/chat:lobby?name={name}")).await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    for _ in 0..4 {
        heard(&mut ws).await;
    }
    ws
}

async fn heard(ws: &mut Ws) -> Heard {
    match ws.next().await {
        Said::Heard(heard) => heard,
        other => panic!("no message: {other:?}"),
    }
}

async fn reply(ws: &mut Ws) -> serde_json::Value {
    match ws.next().await {
        Said::Reply(value) => value,
        other => panic!("no reply: {other:?}"),
    }
}

#[tokio::test]
async fn a_raw_websocket_is_greeted_with_texts_bytes_and_json() {
    for variant in [Variant::MEMORY, Variant::MEMORY_PULL] {
        let (server, mut told, _) = server(variant, |_| {}).await;
        let mut ws = raw(&server, "ann").await;
        for expected in [
            (Kind::Raw, &b"hello, ann"[..]),
            (Kind::Frame, b"\x00\xff"),
            (Kind::Raw, b"{\"a\":1}"),
            (Kind::Raw, b"[\"a\",1]"),
        ] {
            let said = heard(&mut ws).await;
            assert_eq!((said.kind, &said.data[..]), expected);
        }
        // And what is sent to its id, or to a room that code put it into.
        ws.binary(b"\x01\x02").await;
        assert_eq!(heard(&mut ws).await.data, b"\x01\x02");
        server
            .post("chat:beside?event=other", &[], b"said")
            .await
            .id();
        assert_eq!(heard(&mut ws).await.data, b"said");
        assert_eq!(told.next().await, "ann in");
        server.stop().await;
        assert_eq!(told.next().await, "ann out: server shutting down");
    }
}

#[tokio::test]
async fn an_envelope_websocket_is_found_and_sent_to_like_any_other() {
    let (server, _, _) = server(Variant::MEMORY, |_| {}).await;
    let (mut ann, _bob) = (
        envelope(&server, "ann").await,
        envelope(&server, "bob").await,
    );
    ann.text(r#"{"event":"who","data":0,"ref":1}"#).await;
    assert_eq!(
        reply(&mut ann).await["data"],
        json!([["ann", "bob"], ["beside", "lobby"], null])
    );
    ann.text(r#"{"data":{"x":1}}"#).await;
    let back = heard(&mut ann).await;
    assert_eq!(
        (back.event.as_str(), back.text()),
        ("back", "{\"x\":1}".to_owned())
    );
    assert!(back.id.is_some() && back.channel.is_none());
    // The channels of its URL it keeps.
    for (room, left) in [
        ("lobby", json!(["beside", "lobby"])),
        ("beside", json!(["lobby"])),
    ] {
        let leave = json!({"event": "leave", "data": room, "ref": room});
        ann.text(&leave.to_string()).await;
        assert_eq!(reply(&mut ann).await["data"], left);
    }
    server
        .post("chat:beside?event=other", &[], b"said")
        .await
        .id();
    server
        .post("chat:lobby?event=other", &[], b"heard")
        .await
        .id();
    assert_eq!(heard(&mut ann).await.plain(), "heard");
    server.stop().await;
}

#[tokio::test]
async fn whom_code_refuses_hears_why_on_every_transport_and_nothing_else() {
    let (server, mut told, _) = server(Variant::MEMORY, |_| {}).await;
    let mut ws = Ws::open(server.addr, "/c/chat:lobby", &[]).await;
    assert_eq!(ws.closed().await, (3507, "say your name".to_owned()));
    let mut ws = raw(&server, "nobody").await;
    assert_eq!(ws.closed().await, (3500, "who is that?".to_owned()));
    let mut ws = raw(&server, "panic").await;
    assert_eq!(ws.closed().await.0, 1011);
    let mut ws = Ws::envelope(server.addr, "/c/chat:lobby").await;
    let mut error = reply(&mut ws).await;
    assert_eq!(error["event"], "$error");
    error.as_object_mut().unwrap().remove("event");
    assert_eq!(
        error,
        json!({"code": "forbidden", "message": "say your name", "data": {"need": "name"}})
    );
    assert_eq!(ws.closed().await, (3507, "say your name".to_owned()));
    for query in ["format=sse", "wait=1", "", "rewind=5"] {
        let target = format!("chat:lobby?{query}");
        let answer = server.get(&target, &[]).await;
        let problem = answer.refused(403, "forbidden");
        assert_eq!(problem["detail"], "say your name");
        assert_eq!(problem["data"], json!({"need": "name"}));
        let target = format!("chat:lobby?{query}&name=nobody");
        server.get(&target, &[]).await.refused(401, "unauthorized");
    }
    // Beside a channel of a namespace without code, too.
    let both = server.get("news,chat:lobby", &[]).await;
    both.refused(403, "forbidden");
    assert_eq!(server.get("news", &[]).await.status, 200);
    assert_eq!(server.get("chat:lobby?name=ann", &[]).await.status, 200);
    server.stop().await;
    server_is_silent(&mut told);
}

/// Nobody came in: nothing was told.
fn server_is_silent(told: &mut Told) {
    assert!(told.0.try_recv().is_err());
}

#[tokio::test]
async fn polls_behind_one_another_are_each_asked_about() {
    let (server, _, _) = server(Variant::MEMORY, |_| {}).await;
    let id = server.post("chat:lobby?event=other", &[], b"x").await.id();
    let mut http = fanwire_tests::http::Http::connect(server.addr).await;
    for _ in 0..3 {
        let good = "/c/chat:lobby?wait=5&after=earliest&name=ann";
        let answer = http.ask("GET", good, &[], b"").await;
        assert_eq!(answer.json()["messages"][0]["id"], id);
        let bad = "/c/chat:lobby?wait=5&after=earliest";
        let answer = http.ask("GET", bad, &[], b"").await;
        answer.refused(403, "forbidden");
    }
    server.stop().await;
}

#[tokio::test]
async fn frames_wait_until_code_has_said_yes_and_are_handled_in_their_order() {
    let (server, mut told, gate) = server(Variant::MEMORY, |_| {}).await;
    let mut early = fanwire_tests::ws::upgrade(server.addr, "/c/chat:lobby?name=slow", &[]);
    for text in ["one", "two"] {
        early.extend(frame(0x81, text.as_bytes()));
    }
    let addr = server.addr;
    let opening = tokio::spawn(async move { Ws::try_send(addr, &early).await });
    // Nobody is in meanwhile.
    server_is_silent(&mut told);
    gate.add_permits(1);
    let mut ws = opening.await.unwrap().unwrap().unwrap();
    let mut texts = Vec::new();
    for _ in 0..6 {
        texts.push(heard(&mut ws).await.text());
    }
    assert_eq!(texts[0], "hello, slow");
    assert_eq!(texts[4..], ["one", "two"]);
    server.stop().await;
}

#[tokio::test]
async fn code_that_takes_too_long_lets_nobody_in() {
    let change = |config: &mut Config| config.http.on_connect_timeout = Duration::from_millis(20);
    let (server, mut told, _) = server(Variant::MEMORY, change).await;
    let mut ws = raw(&server, "slow").await;
    assert_eq!(ws.closed().await.0, 1013);
    let answer = server.get("chat:lobby?name=slow", &[]).await;
    answer.refused(503, "unavailable");
    server.stop().await;
    server_is_silent(&mut told);
}

#[tokio::test]
async fn code_hears_once_how_each_client_went() {
    let quick = |config: &mut Config| {
        config.ws.ping = Duration::from_millis(20);
        config.ws.timeout = Duration::from_millis(20);
    };
    let (server, mut told, _) = server(Variant::MEMORY, quick).await;
    let mut silent = raw(&server, "silent").await;
    while !matches!(silent.frame().await, Ok(frame) if frame.opcode == 8) {}
    assert_eq!(told.next().await, "silent in");
    assert_eq!(told.next().await, "silent out: ping timeout");
    server.stop().await;

    let (server, mut told, _) = self::server(Variant::MEMORY, |_| {}).await;
    let mut polite = raw(&server, "polite").await;
    polite.send(&fanwire_tests::ws::close(1000, b"bye")).await;
    polite.closed().await;
    assert_eq!(told.next().await, "polite in");
    assert_eq!(told.next().await, "polite out: transport close");
    let cut = raw(&server, "cut").await;
    assert_eq!(told.next().await, "cut in");
    drop(cut);
    assert_eq!(told.next().await, "cut out: transport close");
    let mut broken = raw(&server, "broken").await;
    broken.send(&frame(0x83, b"")).await;
    assert_eq!(broken.closed().await.0, 1002);
    assert_eq!(told.next().await, "broken in");
    assert_eq!(told.next().await, "broken out: parse error");
    let mut gone = envelope(&server, "gone").await;
    gone.text(r#"{"event":"panic","data":0}"#).await;
    gone.text(r#"{"event":"go","data":0}"#).await;
    assert_eq!(gone.closed().await.0, 3503);
    assert_eq!(told.next().await, "gone in");
    assert_eq!(told.next().await, "gone out: server namespace disconnect");
    server.stop().await;
    server_is_silent(&mut told);
}

#[tokio::test]
async fn a_handler_that_has_begun_ends_before_code_hears_that_its_client_went() {
    let (server, mut told, gate) = server(Variant::MEMORY, |_| {}).await;
    let mut ws = envelope(&server, "ann").await;
    assert_eq!(told.next().await, "ann in");
    ws.text(r#"{"event":"work","data":0}"#).await;
    assert_eq!(told.next().await, "begun");
    let stopping = tokio::spawn(server.stop());
    ws.closed().await;
    server_is_silent(&mut told);
    gate.add_permits(1);
    assert_eq!(told.next().await, "ann done");
    assert_eq!(told.next().await, "ann out: server shutting down");
    // Nothing was cut: who stops the server waits for its code.
    assert_eq!(stopping.await.unwrap().cut, 0);
}

#[tokio::test]
async fn p8_another_token_changes_who_it_is_and_nothing_else() {
    let (server, mut told, _) = server(Variant::MEMORY, |config| {
        token::configure(config);
        let rules = config.namespaces.by_name.get_mut("chat").unwrap();
        rules.rooms = Some(Rooms::Public);
    })
    .await;
    let granted = json!({"subscribe": ["chat:*"], "publish": ["chat:*"]});
    let first = json!({"auth": token::of("ann", 2, granted.clone())});
    let mut ws = Ws::envelope(server.addr, "/c/chat:lobby?name=ann").await;
    ws.text(&first.to_string()).await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    for _ in 0..4 {
        heard(&mut ws).await;
    }
    let next = json!({"auth": token::of("ann", 60, granted), "ref": 1});
    ws.text(&next.to_string()).await;
    assert_eq!(reply(&mut ws).await["ref"], 1);
    // The end of the first one passes, and it hears what it heard.
    tokio::time::timeout(Duration::from_millis(2500), ws.next())
        .await
        .unwrap_err();
    ws.text(r#"{"event":"who","data":0,"ref":2}"#).await;
    assert_eq!(
        reply(&mut ws).await["data"],
        json!([["ann"], ["beside", "lobby"], "ann"])
    );
    ws.text(r#"{"data":1}"#).await;
    assert_eq!(heard(&mut ws).await.event, "back");
    assert_eq!(told.next().await, "ann in");
    drop(ws);
    assert_eq!(told.next().await, "ann out: transport close");
    server.stop().await;
}

#[tokio::test]
async fn x12_who_does_not_read_is_waited_for_and_then_cut() {
    let (say, mut told) = told();
    let code = Application::new()
        .namespace("/chat", move |chat| {
            let left = say.clone();
            chat.on("flood", move |socket: Socket, ()| {
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
        .unwrap();
    let server = TestServer::serving(Variant::MEMORY, code, |config| {
        public(config);
        config.limits.write_progress = Duration::from_millis(200);
    })
    .await;
    let mut ws = Ws::envelope(server.addr, "/c/chat:lobby").await;
    ws.text(r#"{"event":"flood","data":0}"#).await;
    // Far more than sockets hold was never taken on.
    assert_eq!(told.next().await, "true");
    assert_eq!(told.next().await, "transport error");
    server.stop().await;
}

#[tokio::test]
async fn what_may_be_lost_is_lost_to_who_does_not_read_and_nothing_else_is() {
    const SENT: usize = 500;
    let code = Application::new()
        .namespace("/chat", |chat| {
            chat.on("spray", async |socket: Socket| {
                let text = "x".repeat(64 * 1024);
                for _ in 0..SENT {
                    let sent = socket.emit_volatile("message", text.as_str()).await;
                    sent.map_err(Rejected::from)?;
                }
                socket.emit("message", "last").await.map_err(Rejected::from)
            });
        })
        .unwrap();
    let server = TestServer::serving(Variant::MEMORY, code, public).await;
    let mut ws = Ws::envelope(server.addr, "/c/chat:lobby").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws.text(r#"{"event":"spray","data":0,"ref":1}"#).await;
    let mut heard_of = 0;
    while heard(&mut ws).await.text() != "\"last\"" {
        heard_of += 1;
    }
    assert!((1..SENT).contains(&heard_of), "{heard_of}");
    assert_eq!(reply(&mut ws).await["ref"], 1);
    server.stop().await;
}
