//! Code around handlers and before those who come in, over every transport.

use std::sync::{Arc, Mutex};

use fanwire::config::{NamedRules, Rooms};
use fanwire::{
    Application, Args, Auth, Call, Config, EventName, Next, Rejected, Reply, Server, Socket, State,
};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::Client;
use fanwire_tests::ws::Ws;
use serde_json::{Value, json};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn outcome(reply: &Reply) -> String {
    match reply {
        Reply::None => "nothing".to_owned(),
        Reply::Ack(args) => args.json().to_owned(),
        Reply::Rejected(why) => why.code.clone(),
    }
}

fn application(log: &Log) -> Application {
    Application::new()
        .state(log.clone())
        .namespace("/chat", |chat| {
            chat.around(async |call: Call, State(log): State<Log>, next: Next| {
                log.note(format!("first {}", call.args().json()));
                let reply = next.run(call).await;
                log.note(format!("first done: {}", outcome(&reply)));
                reply
            });
            chat.around(
                async |mut call: Call, next: Next| -> Result<Reply, Rejected> {
                    match call.args().get(0) {
                        Some("\"refuse\"") => return Err(Rejected::new("no", "not this")),
                        Some("\"answer\"") => return Ok(Reply::None),
                        Some("\"panic around\"") => panic!("a fault around the handler"),
                        Some("\"change\"") => {
                            call.set_args(("changed", 2)).map_err(Rejected::from)?
                        }
                        _ => {}
                    }
                    Ok(next.run(call).await)
                },
            );
            chat.on("say", async |State(log): State<Log>, what: String| {
                log.note("handler");
                assert_ne!(what, "panic", "a handler's own fault");
                what
            });
            chat.on_any(async |EventName(name): EventName, args: Args| (name, args.len()));
        })
        .unwrap()
        .around(
            async |State(log): State<Log>, socket: Socket, next: Next, call: Call| {
                assert!(
                    socket.io().socket(socket.id()).is_some() || socket.user().user().is_none()
                );
                log.note(format!("all of {}: {}", socket.namespace(), call.event()));
                let reply = next.run(call).await;
                log.note("all done");
                // Whoever is around may answer otherwise.
                match reply {
                    Reply::Ack(args) if args.json() == r#"["secret"]"# => Reply::None,
                    reply => reply,
                }
            },
        )
}

async fn server(application: Application) -> TestServer {
    TestServer::serving(Variant::MEMORY, application, |config| {
        let rules = NamedRules {
            rooms: Some(Rooms::Public),
            ..NamedRules::default()
        };
        config.namespaces.by_name.insert("chat".to_owned(), rules);
    })
    .await
}

fn passed(args: &str, handler: &[&str], done: &str) -> Vec<String> {
    let mut lines = vec!["all of /chat: say".to_owned(), format!("first {args}")];
    lines.extend(handler.iter().map(|&line| line.to_owned()));
    lines.extend([format!("first done: {done}"), "all done".to_owned()]);
    lines
}

#[tokio::test]
async fn an_event_passes_all_that_is_around_its_handler_the_outermost_first() {
    let log = Log::default();
    let server = server(application(&log)).await;
    let all = |what: &str| {
        let code = match what {
            "refuse" => Some("no"),
            "panic" | "panic around" => Some("internal"),
            _ => None,
        };
        let done = match (what, code) {
            (_, Some(code)) => code.to_owned(),
            ("answer", None) => "nothing".to_owned(),
            ("change", None) => r#"["changed"]"#.to_owned(),
            _ => format!("[\"{what}\"]"),
        };
        let called = !matches!(what, "refuse" | "answer" | "panic around");
        let handler: &[&str] = if called { &["handler"] } else { &[] };
        passed(&format!("[\"{what}\"]"), handler, &done)
    };
    let whats = [
        "hi",
        "refuse",
        "panic around",
        "panic",
        "change",
        "answer",
        "secret",
        "hi",
    ];

    // A socket of Socket.IO, whose calls follow each other on one connection.
    let (mut client, _) = Client::join(server.addr, "/chat", Value::Null).await;
    for what in whats {
        let packet = format!("42/chat,7[\"say\",\"{what}\"]");
        match what {
            // Not acknowledged: what was asked next is.
            "answer" | "secret" => {
                client.say(&packet).await;
                let next = client.ask(r#"42/chat,8["other",1,2]"#).await;
                assert_eq!(next, r#"43/chat,8["other",2]"#);
                let mut lines = log.take();
                assert_eq!(lines.split_off(lines.len() - 4)[0], "all of /chat: other");
                assert_eq!(lines, all(what));
            }
            what => {
                let answer = client.ask(&packet).await;
                let lines = all(what);
                let done = lines[lines.len() - 2].strip_prefix("first done: ").unwrap();
                assert!(answer.contains(done), "{what}: {answer}");
                assert_eq!(log.take(), lines);
            }
        }
    }

    // Frames of one WebSocket, and one POST each.
    let mut ws = Ws::envelope(server.addr, "/c/chat:lobby").await;
    assert!(matches!(ws.next().await, Said::Ready(_)));
    for what in whats
        .into_iter()
        .filter(|what| !matches!(*what, "answer" | "secret"))
    {
        ws.text(&json!({"event": "say", "data": what, "ref": 1}).to_string())
            .await;
        assert!(matches!(ws.next().await, Said::Reply(_)));
        assert_eq!(log.take(), all(what));
    }
    for what in whats {
        let answer = server
            .post("chat:lobby?event=say", &[], what.as_bytes())
            .await;
        let status = match what {
            "refuse" => 422,
            "panic" | "panic around" => 500,
            "answer" | "secret" => 204,
            _ => 200,
        };
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(log.take(), all(what));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_application_is_asked_who_may_come_in_before_its_namespaces_are() {
    let log = Log::default();
    let application = Application::new()
        .namespace("/chat", |chat| {
            chat.on_connect(async |State(log): State<Log>| {
                log.note("namespace");
                Ok(())
            });
        })
        .unwrap()
        .on_connect(async |State(log): State<Log>, auth: Auth| {
            log.note("application");
            match auth.get::<bool>("in") {
                Some(true) => Ok(()),
                _ => Err("not in here".into()),
            }
        })
        .state(log.clone());
    let server = server(application).await;
    let mut client = Client::open(server.addr).await;
    let refused = client.try_connect("/chat", json!({})).await;
    assert_eq!(refused, r#"44/chat,{"message":"not in here"}"#);
    assert_eq!(log.take(), ["application"]);
    client.connect("/chat", json!({"in": true})).await;
    assert_eq!(log.take(), ["application", "namespace"]);
    server.stop().await;
}

#[tokio::test]
async fn what_is_around_needs_its_states_as_handlers_do() {
    let mut config = Config::default();
    config.listen.addresses = vec![([127, 0, 0, 1], 0).into()];
    let application = Application::new()
        .around(async |_: State<Log>, call: Call, next: Next| next.run(call).await)
        .namespace("/", |root| {
            root.around(async |call: Call, next: Next, _: State<u8>| next.run(call).await);
        })
        .unwrap();
    let server = Server::new(config).unwrap().application(application);
    let why = match server.start().await {
        Ok(_) => panic!("it serves"),
        Err(why) => why.to_string(),
    };
    let lines: Vec<&str> = why.lines().collect();
    assert!(
        lines[0].starts_with("around of the application asks for State<"),
        "{why}"
    );
    assert!(
        lines[1].starts_with("around in / asks for State<u8>"),
        "{why}"
    );
}
