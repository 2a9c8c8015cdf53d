//! What was said in a room before, as code sees it; and when a socket has gone.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fanwire::config::NamedRules;
use fanwire::{Application, Handlers, Io, Json, Past, Rejected, Socket, State};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::Client;
use fanwire_tests::wait::{until, within};
use serde_json::{Value, json};

fn shown(past: &Past) -> Value {
    let message = |one: &fanwire::PastMessage| {
        let since = one.sent.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(since.as_secs() > 1_700_000_000 || since.as_secs() < 10_000);
        json!([
            one.event,
            one.args.json(),
            one.args.attachments().len(),
            one.id
        ])
    };
    json!({
        "messages": past.messages.iter().map(message).collect::<Vec<_>>(),
        "cursor": past.cursor,
        "is_complete": past.is_complete,
    })
}

fn handlers(root: &mut Handlers) {
    root.on("say", async |io: Io, room: String, what: Json<Value>| {
        match room.as_str() {
            "@all" => io.emit("said", what).await,
            room => io.to(room).emit("said", what).await,
        }
        .map_err(Rejected::from)
    });
    root.on("bytes", async |io: Io, room: String, bytes: Bytes| {
        io.to(room)
            .emit("bytes", (1, bytes))
            .await
            .map_err(Rejected::from)
    });
    root.on("last", async |io: Io, room: String, most: usize| {
        let past = io.history(&room, most).await.map_err(Rejected::from)?;
        Ok::<_, Rejected>(Json(shown(&past)))
    });
    root.on(
        "after",
        async |io: Io, room: String, cursor: String, most: usize| {
            let past = io.history_after(&room, &cursor, most).await?;
            Ok::<_, Rejected>(Json(shown(&past)))
        },
    );
}

async fn server(variant: Variant) -> TestServer {
    let application = ["/", "/brief", "/none"]
        .into_iter()
        .try_fold(Application::new(), |all, name| {
            all.namespace(name, handlers)
        })
        .unwrap();
    TestServer::serving(variant, application, |config| {
        for (name, kept) in [("brief", 3), ("none", 0)] {
            let rules = NamedRules {
                history_messages: Some(kept),
                ..NamedRules::default()
            };
            config.namespaces.by_name.insert(name.to_owned(), rules);
        }
    })
    .await
}

struct Asking {
    client: Client,
    namespace: &'static str,
}

impl Asking {
    async fn join(server: &TestServer, namespace: &'static str) -> Self {
        let (client, _) = Client::join(server.addr, namespace, Value::Null).await;
        Self { client, namespace }
    }

    /// What an event is acknowledged with; events that come before are passed over.
    async fn ask(&mut self, event: Value) -> Value {
        let head = match self.namespace {
            "/" => String::new(),
            named => format!("{named},"),
        };
        self.client.say(&format!("42{head}1{event}")).await;
        loop {
            let heard = self.client.hear().await;
            if let Some(acked) = heard.strip_prefix(&format!("43{head}1")) {
                let all: Value = serde_json::from_str(acked).unwrap();
                return all[0].clone();
            }
        }
    }
}

impl Asking {
    /// The same, once this has been said: a broker may acknowledge a message before this
    /// node knows of it.
    async fn ask_until(&mut self, event: Value, expected: &[&str]) -> Value {
        // In a box: a test's stack is small.
        let asking = Box::pin(async {
            loop {
                let past = self.ask(event.clone()).await;
                if said(&past) == expected {
                    return past;
                }
            }
        });
        within("what was said to be known", asking).await
    }
}

/// What is in it, without ids.
fn said(past: &Value) -> Vec<&str> {
    let messages = past["messages"].as_array().unwrap().iter();
    messages.map(|one| one[1].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_last_messages_of_a_room_are_there_and_those_after_a_cursor() {
    for variant in [Variant::MEMORY, Variant::CHAOS] {
        let server = server(variant).await;
        let mut client = Asking::join(&server, "/").await;
        for n in 0..5 {
            client.ask(json!(["say", "a", n])).await;
            client.ask(json!(["say", "b", "other"])).await;
        }
        let whole = ["[0]", "[1]", "[2]", "[3]", "[4]"];
        let all = client.ask_until(json!(["last", "a", 100]), &whole).await;
        assert_eq!(
            (&all["messages"][0][0], &all["is_complete"]),
            (&json!("said"), &json!(true))
        );
        let ask = json!(["last", "a", 2]);
        client.ask_until(ask, &["[3]", "[4]"]).await;
        assert_eq!(said(&client.ask(json!(["last", "a", 0])).await), [""; 0]);

        // From the id of a message, page by page.
        let first = all["messages"][0][3].as_str().unwrap();
        let ask = json!(["after", "a", first, 2]);
        let page = client.ask_until(ask, &["[1]", "[2]"]).await;
        let ask = json!(["after", "a", page["cursor"], 2]);
        let page = client.ask_until(ask, &["[3]", "[4]"]).await;
        // Whatever an answer left out is behind its cursor.
        let (mut at, mut all) = (json!(first), Vec::new());
        within(
            "all pages",
            Box::pin(async {
                while all.len() < 4 {
                    let page = client.ask(json!(["after", "a", at, 1])).await;
                    all.extend(said(&page).into_iter().map(str::to_owned));
                    at = page["cursor"].clone();
                }
            }),
        )
        .await;
        assert_eq!(all, ["[1]", "[2]", "[3]", "[4]"]);
        let end = client.ask(json!(["after", "a", page["cursor"], 2])).await;
        assert_eq!((said(&end), &end["is_complete"]), (vec![], &json!(true)));
        // And goes on where it ended.
        client.ask(json!(["say", "a", "new"])).await;
        let ask = json!(["after", "a", end["cursor"], 9]);
        client.ask_until(ask, &[r#"["new"]"#]).await;

        let nothing = client.ask(json!(["last", "nobody", 9])).await;
        assert_eq!(
            (said(&nothing), &nothing["is_complete"]),
            (vec![], &json!(true))
        );
        client.ask(json!(["say", "@all", "to all"])).await;
        let ask = json!(["last", "@all", 9]);
        client.ask_until(ask, &[r#"["to all"]"#]).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_not_passed_over_in_silence() {
    let server = server(Variant::MEMORY).await;
    let mut brief = Asking::join(&server, "/brief").await;
    brief.ask(json!(["say", "a", 0])).await;
    let first = brief.ask(json!(["last", "a", 9])).await;
    for n in 1..6 {
        brief.ask(json!(["say", "a", n])).await;
    }
    let rest = brief.ask(json!(["after", "a", first["cursor"], 9])).await;
    assert_eq!(
        (said(&rest), &rest["is_complete"]),
        (vec!["[3]", "[4]", "[5]"], &json!(false))
    );
    // Asked about the last ones, nothing is owed.
    let last = brief.ask(json!(["last", "a", 9])).await;
    assert_eq!(
        (said(&last), &last["is_complete"]),
        (vec!["[3]", "[4]", "[5]"], &json!(true))
    );
    // Of another store: the last ones.
    let other = brief.ask(json!(["after", "a", "zz-1", 2])).await;
    assert_eq!(
        (said(&other), &other["is_complete"]),
        (vec!["[4]", "[5]"], &json!(false))
    );
    // Further than anything was: nothing yet, and the same place.
    let (epoch, _) = last["cursor"].as_str().unwrap().split_once('-').unwrap();
    let ahead = format!("{epoch}-9999");
    let none = brief.ask(json!(["after", "a", ahead, 9])).await;
    assert_eq!((said(&none), &none["cursor"]), (vec![], &json!(ahead)));

    let bad = brief.ask(json!(["after", "a", "no cursor", 9])).await;
    assert_eq!(bad["code"], "bad_request");
    let bad = brief.ask(json!(["last", "a\u{0}", 9])).await;
    assert_eq!(bad["code"], "invalid_channel");

    let mut none = Asking::join(&server, "/none").await;
    none.ask(json!(["say", "a", 1])).await;
    assert_eq!(said(&none.ask(json!(["last", "a", 9])).await), [""; 0]);
    server.stop().await;
}

#[derive(Clone, Default)]
struct Gone(Arc<Mutex<Vec<&'static str>>>);

#[tokio::test]
async fn whoever_waits_for_a_socket_to_go_is_told_once_it_has() {
    let gone = Gone::default();
    let application = Application::new()
        .namespace("/", |root| {
            root.on("watch", async |socket: Socket, State(gone): State<Gone>| {
                for _ in 0..2 {
                    let (closed, gone) = (socket.closed(), gone.clone());
                    tokio::spawn(async move {
                        closed.await;
                        gone.0.lock().unwrap().push("waited");
                    });
                }
            });
            root.on_disconnect(async |socket: Socket, State(gone): State<Gone>| {
                socket.closed().await;
                gone.0.lock().unwrap().push("asked later");
            });
        })
        .unwrap()
        .state(gone.clone());
    let server = TestServer::serving(Variant::MEMORY, application, |_| {}).await;
    let (mut client, _) = Client::join(server.addr, "/", Value::Null).await;
    assert_eq!(client.ask(r#"421["watch"]"#).await, "431[]");
    let (mut other, _) = Client::join(server.addr, "/", Value::Null).await;
    assert_eq!(other.ask(r#"421["watch"]"#).await, "431[]");
    assert!(gone.0.lock().unwrap().is_empty());
    client.vanish();
    let all = || Some(gone.0.lock().unwrap().clone()).filter(|all| all.len() >= 3);
    let mut told = until("all to be told", all).await;
    told.sort_unstable();
    assert_eq!(told, ["asked later", "waited", "waited"]);
    server.stop().await;
}
