//! What handlers ask for by the types of their parameters, over every transport.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fanwire::config::{NamedRules, Rooms};
use fanwire::{
    Application, Args, Auth, Call, Config, ConnectRefusal, Context, EventName, Extract, Handlers,
    Io, Json, Kept, Needs, Reason, Rejected, Server, Socket, State, Subject, User,
};
use fanwire_tests::http::Answer;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::Client;
use fanwire_tests::wait;
use fanwire_tests::ws::Ws;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone, Default)]
struct Count(Arc<AtomicU32>);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    async fn wait(&self, count: usize) -> Vec<String> {
        let all = || self.0.lock().unwrap().clone();
        wait::until("lines", || Some(all()).filter(|all| all.len() >= count)).await
    }
}

struct Name(String);

/// Of the application's own: how often the client called, itself included.
struct Turn(u32);

impl<C: Context> Extract<C> for Turn {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        let State(count) = <State<Count> as Extract<C>>::extract(from).await?;
        // As one may that asks somebody else.
        tokio::task::yield_now().await;
        match count.0.fetch_add(1, Ordering::Relaxed) {
            41 => Err(Rejected::new("full", "no more turns")),
            turn => Ok(Self(turn)),
        }
    }

    fn needs(needs: &mut Needs) {
        needs.state::<Count>();
    }
}

#[derive(Deserialize)]
struct Letter {
    to: String,
}

#[allow(clippy::too_many_arguments)] // As many as there can be.
async fn all_at_once(
    socket: Socket,
    io: Io,
    State(count): State<Count>,
    name: Option<Kept<Name>>,
    first: String,
    EventName(event): EventName,
    (second, Json(letter)): (u8, Json<Letter>),
    all: Args,
    rest: Option<Bytes>,
) -> Json<Value> {
    Json(json!({
        "same": io.socket(socket.id()).is_some(),
        "count": count.0.load(Ordering::Relaxed),
        "name": name.map(|name| name.0.0.clone()),
        "event": event,
        "args": [first, second, letter.to],
        "all": all.len(),
        "rest": rest.map(|bytes| bytes.len()),
    }))
}

fn handlers(chat: &mut Handlers) {
    chat.on_connect(async |socket: Socket, auth: Auth| {
        if let Some(name) = auth.get("name") {
            socket.set(Name(name));
        }
        Ok(())
    });
    chat.on_connect(async |State(log): State<Log>, name: Option<Kept<Name>>| {
        let name = name.ok_or("say your name")?;
        log.note(format!("{} comes", name.0.0));
        match name.0.0.as_str() {
            "nobody" => Err(ConnectRefusal::new("not you").with(json!({"why": "who?"}))),
            _ => Ok(()),
        }
    });
    chat.on_connect(async |socket: Socket, _: Kept<Name>| Ok(socket.join("lobby")?));
    chat.on_connected(async |socket: Socket, Kept(name): Kept<Name>| {
        socket.emit("hello", name.0.as_str()).await.unwrap();
    });
    chat.on_disconnect(
        async |State(log): State<Log>, Kept(name): Kept<Name>, Reason(reason): Reason| {
            log.note(format!("{} went: {reason}", name.0));
        },
    );
    // Not called: nothing is said here of who has none.
    chat.on_disconnect(async |State(log): State<Log>, _: Kept<u8>| log.note("no".to_owned()));
    chat.on("all", all_at_once);
    chat.on("none", async || "none");
    chat.on("add", async |a: i32, b: i32| a + b);
    chat.on(
        "pair",
        |_: Socket, (a, b): (String, u32)| async move { (b, a) },
    );
    chat.on("nothing", |_: Socket, ()| async {});
    chat.on("turn", async |Turn(turn): Turn| turn);
    chat.on("who", async |who: Subject, user: Option<Arc<User>>| {
        (who.identity().is_some(), user.is_some())
    });
    chat.on("user", async |user: Arc<User>| user.id.to_string());
    chat.on("name", async |Kept(name): Kept<Name>| name.0.clone());
    chat.on(
        "letter",
        async |_: Option<String>, Json(letter): Json<Letter>| letter.to,
    );
    chat.on(
        "letters",
        async |Json(letters): Json<Vec<Letter>>| match letters
            .iter()
            .position(|letter| letter.to.is_empty())
        {
            None => Ok(letters.len()),
            Some(at) => {
                let place = format!("args[0][{at}].to");
                Err(Rejected::new("bad_request", "to nobody?").at(place))
            }
        },
    );
    chat.on_any(async |EventName(name): EventName, args: Args| (name, args.len() as u32));
}

async fn server() -> (TestServer, Log) {
    let log = Log::default();
    let application = Application::new()
        .namespace("/chat", handlers)
        .unwrap()
        .state(Count::default())
        .state(log.clone());
    let server = TestServer::serving(Variant::MEMORY, application, |config| {
        let rules = NamedRules {
            rooms: Some(Rooms::Public),
            ..NamedRules::default()
        };
        config.namespaces.by_name.insert("chat".to_owned(), rules);
    });
    (server.await, log)
}

async fn post(server: &TestServer, event: &str, args: &Value) -> Answer {
    let json = [("Content-Type", "application/json")];
    let target = format!("chat:lobby?event={event}&args=1");
    server
        .post(&target, &json, args.to_string().as_bytes())
        .await
}

/// What one event is answered, by each transport.
async fn asked(server: &TestServer, event: &str, args: Value) -> [Value; 3] {
    let posted = post(server, event, &args).await;
    let posted = match posted.status {
        204 => Value::Null,
        _ => posted.json(),
    };

    let mut ws = Ws::envelope(server.addr, "/c/chat:lobby?name=bob").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    assert!(matches!(ws.next().await, Said::Heard(hello) if hello.event == "hello"));
    let count = args.as_array().unwrap().len();
    let frame = json!({"event": event, "data": args, "args": count, "ref": 1});
    ws.text(&frame.to_string()).await;
    let Said::Reply(framed) = ws.next().await else {
        panic!("no reply")
    };

    let (mut client, _) = Client::join(server.addr, "/chat", json!({"name": "ann"})).await;
    assert!(client.hear().await.starts_with(r#"42/chat,["hello","ann""#));
    let mut said = args;
    said.as_array_mut().unwrap().insert(0, event.into());
    let acked = client.ask(&format!("42/chat,1{said}")).await;
    let acked = acked.strip_prefix("43/chat,1").unwrap();
    [posted, framed, serde_json::from_str(acked).unwrap()]
}

/// What one event is answered by all transports alike.
async fn answered(server: &TestServer, event: &str, args: Value) -> Value {
    let [posted, framed, acked] = asked(server, event, args).await;
    assert_eq!(posted, framed["data"], "{event}");
    match acked.as_array().unwrap().as_slice() {
        [one] => assert_eq!(posted, *one, "{event}"),
        _ => assert_eq!(posted, acked, "{event}"),
    }
    posted
}

/// The place at which an event is refused by all transports alike, and why.
async fn refused(server: &TestServer, event: &str, args: Value) -> (String, String) {
    let [posted, framed, acked] = asked(server, event, args).await;
    let told = &acked[0];
    for (other, at, message) in [(&posted, "place", "detail"), (&framed, "at", "message")] {
        assert_eq!(other["code"], told["code"], "{other}");
        assert_eq!(other[at], told["at"], "{other}");
        assert_eq!(other[message], told["message"], "{other}");
    }
    assert_eq!(told["code"], "bad_request");
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    (text("at"), text("message"))
}

#[tokio::test]
async fn parameters_are_whatever_is_asked_for_in_any_order() {
    let (server, _) = server().await;
    let [posted, framed, acked] = asked(&server, "all", json!(["a", 7, {"to": "b"}])).await;
    let mut told = json!({
        "same": false, "count": 0, "name": null, "event": "all",
        "args": ["a", 7, "b"], "all": 3, "rest": null,
    });
    assert_eq!(posted, told);
    told["same"] = true.into();
    assert_eq!(framed["data"]["args"], told["args"]);
    told["name"] = "ann".into();
    assert_eq!(acked, json!([told]));

    let rest = json!(["a", 7, {"to": "b"}, {"$bin": "AAEC"}]);
    let rest = post(&server, "all", &rest).await.json();
    assert_eq!((&rest["rest"], &rest["all"]), (&json!(3), &json!(4)));
    assert_eq!(answered(&server, "none", json!([])).await, "none");
    assert_eq!(answered(&server, "add", json!([40, 2])).await, 42);
    assert_eq!(
        answered(&server, "pair", json!(["a", 7])).await,
        json!([7, "a"])
    );
    assert_eq!(
        answered(&server, "who", json!([])).await,
        json!([false, false])
    );
    assert_eq!(
        answered(&server, "other", json!([1, 2])).await,
        json!(["other", 2])
    );
    server.stop().await;
}

#[tokio::test]
async fn arguments_beyond_those_taken_are_left_aside_and_too_few_are_refused_with_their_place() {
    let (server, _) = server().await;
    assert_eq!(answered(&server, "add", json!([1, 2, 3])).await, 3);
    assert_eq!(
        answered(&server, "pair", json!(["a", 7, "more"])).await,
        json!([7, "a"])
    );

    let missing = |number: u8| {
        (
            format!("args[{number}]"),
            "an argument is missing".to_owned(),
        )
    };
    assert_eq!(refused(&server, "add", json!([1])).await, missing(1));
    assert_eq!(refused(&server, "pair", json!([])).await, missing(0));
    assert_eq!(refused(&server, "letter", json!([null])).await, missing(1));
    server.stop().await;
}

#[tokio::test]
async fn what_is_of_a_wrong_type_is_refused_with_its_place_within_the_arguments() {
    let (server, _) = server().await;
    let (at, why) = refused(&server, "add", json!([1, "2"])).await;
    assert_eq!(at, "args[1]");
    assert_eq!(why, "invalid type: string \"2\", expected i32");
    let (at, why) = refused(&server, "letter", json!([null, {"to": {"name": 7}}])).await;
    assert_eq!(at, "args[1].to");
    assert_eq!(why, "invalid type: map, expected a string");
    let (at, why) = refused(&server, "letter", json!(["", {}])).await;
    assert_eq!(
        (at.as_str(), why.as_str()),
        ("args[1]", "missing field `to`")
    );
    let list = json!([[{"to": "a"}, {"to": "b"}, {"to": null}]]);
    assert_eq!(refused(&server, "letters", list).await.0, "args[0][2].to");
    // By the application's own rules.
    let (at, why) = refused(&server, "letters", json!([[{"to": "a"}, {"to": ""}]])).await;
    assert_eq!((at.as_str(), why.as_str()), ("args[0][1].to", "to nobody?"));
    // Said back, but not at length.
    let long = "x".repeat(10_000);
    let (at, why) = refused(&server, "add", json!([long])).await;
    assert_eq!(at, "args[0]");
    assert!(why.len() < 300 && why.ends_with("expected i32"), "{why}");
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_shows_is_refused_with_the_place_of_what_is_wrong() {
    let application = Application::new()
        .namespace("/", |root| {
            root.on_connect(async |auth: Auth| {
                let _: Letter = auth.parse()?;
                Ok(())
            });
        })
        .unwrap();
    let server = TestServer::serving(Variant::MEMORY, application, |_| {}).await;
    let mut client = Client::open(server.addr).await;
    let refused = client.try_connect("/", json!({"to": 7})).await;
    let told: Value = serde_json::from_str(refused.strip_prefix("44").unwrap()).unwrap();
    assert_eq!(
        told["data"],
        json!({"code": "bad_request", "at": "auth.to"})
    );
    client.connect("/", json!({"to": "b"})).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_the_handler_not_called() {
    let (server, _) = server().await;
    // Who posts was never asked for a name.
    post(&server, "name", &json!([]))
        .await
        .refused(403, "forbidden");
    let [.., acked] = asked(&server, "name", json!([])).await;
    assert_eq!(acked, json!(["ann"]));
    post(&server, "user", &json!([]))
        .await
        .refused(401, "unauthorized");
    for turn in 0..41 {
        assert_eq!(post(&server, "turn", &json!([])).await.json(), turn);
    }
    post(&server, "turn", &json!([])).await.refused(422, "full");
    server.stop().await;
}

#[tokio::test]
async fn several_are_asked_whether_a_client_may_come_in_until_one_refuses() {
    let (server, log) = server().await;
    let mut client = Client::open(server.addr).await;
    let refused = client.try_connect("/chat", json!({})).await;
    assert_eq!(refused, r#"44/chat,{"message":"say your name"}"#);
    let refused = client.try_connect("/chat", json!({"name": "nobody"})).await;
    assert_eq!(
        refused,
        r#"44/chat,{"message":"not you","data":{"why":"who?"}}"#
    );
    client.connect("/chat", json!({"name": "ann"})).await;
    assert!(client.hear().await.starts_with(r#"42/chat,["hello","ann""#));
    client.say("41/chat,").await;
    let log = log.wait(3).await;
    assert_eq!(log[..2], ["nobody comes", "ann comes"]);
    assert_eq!(log[2..], ["ann went: client namespace disconnect"]);
    server.stop().await;
}

#[tokio::test]
async fn a_server_whose_handlers_ask_for_what_nobody_gave_does_not_start() {
    let refused = |application: Application| async move {
        let mut config = Config::default();
        config.listen.addresses = vec![([127, 0, 0, 1], 0).into()];
        let server = Server::new(config).unwrap().application(application);
        match server.start().await {
            Ok(_) => panic!("it serves"),
            Err(why) => why.to_string(),
        }
    };
    let why = refused(
        Application::new()
            .namespace("/room-*", |room| {
                room.on("turn", async |_: Turn, _: State<Log>| {});
                room.on_disconnect(async |_: State<u8>| {});
            })
            .unwrap()
            .state(7_u16),
    )
    .await;
    let lines: Vec<&str> = why.lines().collect();
    assert_eq!(lines.len(), 3, "{why}");
    let says = |line: &str, handler: &str, state: &str| {
        assert!(
            line.starts_with(&format!("{handler} in /room-* asks for State<")),
            "{line}"
        );
        assert!(
            line.contains(&format!("{state}>, which nobody gave")),
            "{line}"
        );
    };
    says(lines[0], "on(\"turn\")", "::Count");
    says(lines[1], "on(\"turn\")", "::Log");
    says(lines[2], "on_disconnect", "<u8");
}

/// A type of one's own is asked for at an event alone, too.
struct Loud(String);

impl Extract<Call> for Loud {
    async fn extract(from: &mut Call) -> Result<Self, Rejected> {
        let text: String = from.args().read(0)?;
        Ok(Self(text.to_uppercase()))
    }
}

#[tokio::test]
async fn a_type_of_ones_own_reads_arguments() {
    let application = Application::new()
        .namespace("/", |root| {
            root.on("shout", async |Loud(text): Loud, after: String| {
                (text, after)
            });
        })
        .unwrap();
    let server = TestServer::serving(Variant::MEMORY, application, |_| {}).await;
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    assert_eq!(
        client.ask(r#"421["shout","hey"]"#).await,
        r#"431["HEY","hey"]"#
    );
    assert!(
        client
            .ask(r#"422["shout",1]"#)
            .await
            .contains(r#""at":"args[0]""#)
    );
    server.stop().await;
}
