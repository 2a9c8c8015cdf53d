//! Socket.IO: who may be where, without code of the server's own.

use fanwire::Config;
use fanwire::config::{ClientEvents, NamedRules, Rooms, Secret, Who};
use fanwire_core::key::Name;
use fanwire_tests::http;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::socketio::Client;
use fanwire_tests::token;
use serde_json::{Value, json};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn rules(change: impl FnOnce(&mut NamedRules)) -> NamedRules {
    let mut rules = NamedRules {
        socketio: Some(true),
        ..NamedRules::default()
    };
    change(&mut rules);
    rules
}

/// Tokens and a key; `/chat` closed, `/open` public.
fn configure(config: &mut Config) {
    token::configure(config);
    config
        .access
        .api_keys
        .insert("ops".into(), Secret::new(KEY));
    let names = &mut config.namespaces.by_name;
    names.insert("chat".into(), rules(|_| {}));
    names.insert(
        "open".into(),
        rules(|rules| {
            rules.rooms = Some(Rooms::Public);
            rules.subscribe = Some(Who::Users);
            rules.history_access = Some(Who::Users);
            rules.publish = Some(Who::Users);
            rules.client_events = Some(ClientEvents::Publish(Name::new("lobby").unwrap()));
        }),
    );
}

async fn server() -> TestServer {
    TestServer::with(Variant::MEMORY, configure).await
}

fn shown(granted: Value) -> Value {
    json!({"token": token::of("ada", 600, granted)})
}

fn code(packet: &str) -> String {
    let start = packet.find(['[', '{']).unwrap();
    let json: Value = serde_json::from_str(&packet[start..]).unwrap();
    let told = [&json["data"]["code"], &json[0]["code"], &json[1]["code"]];
    let told = told.iter().find_map(|code| code.as_str());
    told.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a19_a_namespace_lets_in_whom_its_rules_let_hear_everyone() {
    let server = server().await;
    let mut client = Client::open(server.addr).await;
    let told = client.try_connect("/chat", Value::Null).await;
    assert_eq!(code(&told), "unauthorized");
    let told = client.try_connect("/chat", json!({"token": "x.y.z"})).await;
    assert_eq!(code(&told), "unauthorized");
    let told = client.try_connect("/chat", shown(json!({}))).await;
    assert_eq!(code(&told), "forbidden");
    let told = client.try_connect("/", shown(json!({}))).await;
    assert!(told.contains("Invalid namespace"), "{told}");
    let joined = client.connect("/open", shown(json!({}))).await;
    assert!(joined.pid.is_some());
    let granted = json!({"subscribe": ["chat:@all"]});
    client.connect("/chat", shown(granted)).await;
}

#[tokio::test]
async fn p8_closed_rooms_have_no_url_but_for_api_keys() {
    let server = server().await;
    let everything = json!({"subscribe": ["*:*", "chat:@all"], "publish": ["*:*"],
        "rooms": ["chat:lobby", "open:lobby"]});
    let (mut client, _) = Client::join(server.addr, "/chat", shown(everything.clone())).await;
    let bearer = token::bearer(&token::of("ada", 600, everything));
    let user = [("authorization", bearer.as_str())];
    for list in ["chat:lobby", "chat:@all"] {
        assert_eq!(server.get(list, &user).await.status, 403, "{list}");
        assert_eq!(server.post(list, &user, b"x").await.status, 403, "{list}");
    }
    assert_eq!(server.get("open:lobby", &user).await.status, 200);
    let key = format!("Bearer {KEY}");
    let key = [("authorization", key.as_str())];
    assert_eq!(server.post("chat:lobby", &key, b"hi").await.status, 200);
    // A room by the token's claim.
    assert_eq!(client.hear().await, "42/chat,[\"message\",\"hi\"]");
    assert_eq!(server.get("chat:lobby", &key).await.status, 200);
}

#[tokio::test]
async fn clients_ask_for_rooms_through_the_door() {
    let server = server().await;
    let granted = json!({"subscribe": ["chat:@all", "chat:news"]});
    let (mut client, _) = Client::join(server.addr, "/chat", shown(granted)).await;
    let told = client.ask("42/chat,1[\"subscribe\",\"secret\"]").await;
    assert_eq!(code(&told), "forbidden");
    let told = client.ask("42/chat,2[\"subscribe\",\"@all\"]").await;
    assert_eq!(code(&told), "invalid_channel");
    let told = client.ask("42/chat,3[\"subscribe\"]").await;
    assert_eq!(code(&told), "bad_request");
    let ok = "[{\"ok\":true}]";
    let told = client.ask("42/chat,4[\"subscribe\",\"news\"]").await;
    assert_eq!(told, format!("43/chat,4{ok}"));
    let key = format!("Bearer {KEY}");
    let key = [("authorization", key.as_str())];
    server.post("chat:news", &key, b"one").await;
    assert_eq!(client.hear().await, "42/chat,[\"message\",\"one\"]");
    let told = client.ask("42/chat,5[\"unsubscribe\",\"news\"]").await;
    assert_eq!(told, format!("43/chat,5{ok}"));
    server.post("chat:news", &key, b"two").await;
    server.post("chat:@all", &key, b"three").await;
    assert_eq!(client.hear().await, "42/chat,[\"message\",\"three\"]");
}

#[tokio::test]
async fn events_of_clients_are_denied_or_published_where_the_rules_say() {
    let server = server().await;
    let granted = json!({"subscribe": ["chat:@all"]});
    let (mut client, _) = Client::join(server.addr, "/chat", shown(granted)).await;
    let told = client.ask("42/chat,1[\"cheer\",1]").await;
    assert_eq!(code(&told), "forbidden");
    let told = client.ask("42/chat,[\"cheer\",1]").await;
    assert!(told.starts_with("42/chat,[\"$error\","), "{told}");
    client.connect("/open", shown(json!({}))).await;
    let told = client.ask("42/open,2[\"subscribe\",\"lobby\"]").await;
    assert_eq!(told, "43/open,2[{\"ok\":true}]");
    client.say("42/open,3[\"cheer\",\"hip\",{\"a\":1}]").await;
    let mut both = [client.hear().await, client.hear().await];
    both.sort();
    assert_eq!(both[0], "42/open,[\"cheer\",\"hip\",{\"a\":1}]");
    assert!(both[1].starts_with("43/open,3[{\"id\":\""), "{both:?}");
    let told = client.ask("42/open,4[\"$ready\"]").await;
    assert_eq!(code(&told), "invalid_event");
    let key = format!("Bearer {KEY}");
    let kept = server
        .get("open:lobby", &[("authorization", &key)])
        .await
        .json();
    assert_eq!(kept["messages"][0]["from"], "ada");
    assert_eq!(kept["messages"][0]["data"], json!(["hip", {"a": 1}]));
}

#[tokio::test]
async fn a13_a_socket_ends_with_its_token_and_is_told_why() {
    let server = server().await;
    let token = token::of("ada", 1, json!({}));
    let (mut client, _) = Client::join(server.addr, "/open", json!({"token": token})).await;
    let told = client.hear().await;
    assert_eq!(code(&told), "token_expired");
    assert_eq!(client.hear().await, "41/open,");
    // The session stays, and takes another token.
    client.connect("/open", shown(json!({}))).await;
}

#[tokio::test]
async fn a14_revocation_disconnection_and_other_rules_end_sockets_at_once() {
    let mut server = server().await;
    let key = format!("Bearer {KEY}");
    let key = [
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
    ];
    let (mut client, joined) = Client::join(server.addr, "/open", shown(json!({}))).await;
    let body = json!({"conn": joined.sid}).to_string();
    let answer = http::post(server.addr, "/api/disconnect", &key, body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(client.hear().await, "41/open,");
    client.connect("/open", shown(json!({}))).await;
    server
        .reload(|config| {
            let open = config.namespaces.by_name.get_mut("open").unwrap();
            open.subscribe = Some(Who::Keys);
        })
        .unwrap();
    assert_eq!(code(&client.hear().await), "forbidden");
    assert_eq!(client.hear().await, "41/open,");
    let granted = json!({"subscribe": ["open:@all"]});
    client.connect("/open", shown(granted)).await;
    let body = json!({"sub": "ada"}).to_string();
    http::post(server.addr, "/api/revoke", &key, body.as_bytes()).await;
    assert_eq!(code(&client.hear().await), "unauthorized");
    assert_eq!(client.hear().await, "41/open,");
    server
        .reload(|config| {
            let open = config.namespaces.by_name.get_mut("open").unwrap();
            open.socketio = Some(false);
            open.subscribe = Some(Who::Users);
        })
        .unwrap();
    let told = client.try_connect("/open", Value::Null).await;
    assert!(told.contains("Invalid namespace"), "{told}");
}

#[tokio::test]
async fn a_namespace_that_is_switched_off_lets_everyone_go() {
    let mut server = server().await;
    let (mut client, _) = Client::join(server.addr, "/open", shown(json!({}))).await;
    server
        .reload(|config| {
            let open = config.namespaces.by_name.get_mut("open").unwrap();
            open.socketio = Some(false);
        })
        .unwrap();
    assert_eq!(code(&client.hear().await), "forbidden");
    assert_eq!(client.hear().await, "41/open,");
}
