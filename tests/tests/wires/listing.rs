//! `GET /api/connections` and `/api/channels`: who is here and what is listened to.

use std::collections::BTreeSet;

use fanwire::config::Secret;
use fanwire_tests::http::{self, Answer};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::token::{self, bearer};
use fanwire_tests::wait::until;
use serde_json::{Value, json};

use crate::table::{modes, once};

modes!(connections_are_listed_by_pages_and_filters);
once!(
    channels_are_listed_with_what_is_held_of_them,
    a_listing_is_for_keys_alone_and_reads_strictly,
);

const KEY: &str = "s3cret-0123456789abcdef";

async fn server(variant: Variant) -> TestServer {
    TestServer::with(variant, |config| {
        token::configure(config);
        config.limits.shards = 3;
        let secret = Secret::new(KEY);
        config.access.api_keys.insert("ops".into(), secret);
    })
    .await
}

async fn ask(server: &TestServer, target: &str) -> Answer {
    let key = bearer(KEY);
    let headers = [("Authorization", key.as_str())];
    http::get(server.addr, &format!("/api/{target}"), &headers).await
}

async fn shown(server: &TestServer, target: &str) -> Value {
    let answer = ask(server, target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.json()
}

/// All pages of one row each.
async fn pages(server: &TestServer, what: &str, query: &str) -> Vec<Value> {
    let (mut rows, mut next) = (Vec::new(), String::new());
    loop {
        let page = shown(server, &format!("{what}?limit=1&{query}{next}")).await;
        let some = page[what].as_array().unwrap();
        assert!(some.len() <= 1);
        rows.extend(some.iter().cloned());
        match page["next"].as_str() {
            Some(after) => next = format!("&after={after}"),
            None => return rows,
        }
    }
}

async fn connections_are_listed_by_pages_and_filters(variant: Variant) {
    let server = server(variant).await;
    let before = token::now() * 1000;
    let ada = bearer(&token::of("ada", 600, json!({"subscribe": ["*:*"]})));
    let ops = bearer(KEY);
    let mut open = Vec::new();
    for (transport, list, who) in [
        (Transport::WsEnvelope, "news,chat:a", &ada),
        (Transport::SseEnvelope, "news", &ada),
        (Transport::SseHttp2, "news", &ops),
        (Transport::WsHttp2, "chat:b", &ops),
    ] {
        let headers = [("Authorization", who.as_bytes())];
        let asked = Listener::ask(transport, server.addr, list, "", &headers).await;
        let mut listener = asked.unwrap().unwrap();
        let conn = listener.ready().await.conn;
        open.push((listener, conn));
    }
    let (to, shows) = (server.addr, ada.clone());
    let poll = tokio::spawn(async move {
        let headers = [("Authorization", shows.as_str())];
        http::get(to, "/c/news?wait=55", &headers).await
    });
    until("the poll to wait", || {
        (server.stats().subscribers == 5).then_some(())
    })
    .await;

    let all = pages(&server, "connections", "").await;
    let listed = |rows: &[Value]| -> BTreeSet<String> {
        let conns = rows.iter().map(|row| row["conn"].as_str().unwrap().into());
        conns.collect()
    };
    assert_eq!((all.len(), listed(&all).len()), (5, 5), "{all:?}");
    let first = all.iter().find(|row| row["conn"] == *open[0].1).unwrap();
    assert_eq!(first["transport"], "websocket");
    assert_eq!(first["user"], "ada");
    assert_eq!(first["address"], "127.0.0.1");
    assert_eq!(first["channels"], json!(["news", "chat:a"]));
    assert_eq!(first["channel_count"], 2);
    assert_eq!(
        (&first["pending"], &first["behind"]),
        (&json!(0), &json!(false))
    );
    let since = first["since"].as_u64().unwrap();
    assert!(
        (before..=token::now() * 1000 + 1000).contains(&since),
        "{first}"
    );
    let second = all.iter().find(|row| row["conn"] == *open[2].1).unwrap();
    assert_eq!(
        (&second["key"], &second["user"]),
        (&json!("ops"), &Value::Null)
    );
    for (filter, expected) in [
        ("user=ada", 3),
        ("user=ops", 0),
        ("channel=news", 4),
        ("channel=chat:a", 1),
        ("namespace=chat", 2),
        ("namespace=", 4),
        ("transport=websocket", 2),
        ("transport=sse", 2),
        ("transport=poll", 1),
        ("transport=pigeon", 0),
        ("user=ada&transport=websocket&channel=news", 1),
    ] {
        let rows = pages(&server, "connections", filter).await;
        assert_eq!(rows.len(), expected, "{filter}: {rows:?}");
    }
    let one = shown(&server, &format!("connections/{}", open[3].1)).await;
    assert_eq!(
        (&one["conn"], &one["channels"]),
        (&json!(open[3].1), &json!(["chat:b"]))
    );
    let (gone, conn) = open.pop().unwrap();
    drop(gone);
    until("the socket to be gone", || {
        (server.stats().subscribers == 4).then_some(())
    })
    .await;
    let answer = ask(&server, &format!("connections/{conn}")).await;
    answer.refused(404, "not_found");
    ask(&server, "connections/%zz")
        .await
        .refused(404, "not_found");
    poll.abort();
}

async fn channels_are_listed_with_what_is_held_of_them(variant: Variant) {
    let server = server(variant).await;
    let ops = bearer(KEY);
    let headers = [("Authorization", ops.as_str())];
    let mut open = Vec::new();
    for list in ["a", "b,a", "chat:x", "chat:y", "chat:@all"] {
        let headers = [("Authorization", ops.as_bytes())];
        let asked = Listener::ask(Transport::SseEnvelope, server.addr, list, "", &headers).await;
        let mut listener = asked.unwrap().unwrap();
        listener.ready().await;
        open.push(listener);
    }
    let mut last = String::new();
    for text in ["1", "2", "3"] {
        last = server.post("a", &headers, text.as_bytes()).await.id();
    }
    let held = server.post("unheard", &headers, b"x").await.id();
    let names = |rows: &[Value]| -> Vec<String> {
        let names = rows
            .iter()
            .map(|row| row["channel"].as_str().unwrap().into());
        names.collect()
    };
    let all = pages(&server, "channels", "").await;
    assert_eq!(names(&all), ["a", "b", "chat:@all", "chat:x", "chat:y"]);
    assert_eq!(
        (&all[0]["subscribers"], &all[0]["messages"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(all[0]["last"], *last);
    assert!(all[0]["bytes"].as_u64().unwrap() >= 3);
    assert_eq!(
        (&all[1]["messages"], &all[1]["last"]),
        (&json!(0), &Value::Null)
    );
    let chat = pages(&server, "channels", "namespace=chat&prefix=x").await;
    assert_eq!(names(&chat), ["chat:x"]);
    assert_eq!(names(&pages(&server, "channels", "prefix=b").await), ["b"]);
    let one = shown(&server, "channels/unheard").await;
    assert_eq!(
        (&one["subscribers"], &one["messages"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(one["last"], *held);
    let one = shown(&server, "channels/chat%3Ax").await;
    assert_eq!(
        (&one["channel"], &one["subscribers"]),
        (&json!("chat:x"), &json!(1))
    );
    ask(&server, "channels/%01")
        .await
        .refused(400, "invalid_channel");
}

async fn a_listing_is_for_keys_alone_and_reads_strictly(variant: Variant) {
    let server = server(variant).await;
    let token = bearer(&token::of("ada", 600, json!({"call": ["*:*"]})));
    for target in ["connections", "connections/x", "channels", "channels/a"] {
        let path = format!("/api/{target}");
        http::get(server.addr, &path, &[])
            .await
            .refused(401, "unauthorized");
        http::get(server.addr, &path, &[("Authorization", &token)])
            .await
            .refused(403, "forbidden");
        let key = bearer(KEY);
        let headers = [("Authorization", key.as_str())];
        http::post(server.addr, &path, &headers, b"")
            .await
            .refused(405, "method_not_allowed");
    }
    for bad in [
        "connections?usr=ada",
        "connections?prefix=a",
        "connections?limit=0",
        "connections?limit=-1",
        "connections?after=x",
        "connections?user=a&user=b",
        "connections?namespace=a%20b",
        "channels?after=%21",
        "channels?user=a",
    ] {
        ask(&server, bad).await.refused(400, "bad_request");
    }
    ask(&server, "connections?channel=..")
        .await
        .refused(400, "invalid_channel");
    let most = shown(&server, "channels?limit=99999999999999999999").await;
    assert_eq!(most, json!({"channels": [], "next": null}));
    ask(&server, "connection").await.refused(404, "not_found");
}
