//! `POST /api/…`: revocations and disconnections act at once, on every transport.

use fanwire::config::Secret;
use fanwire_tests::http::Answer;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::token::{self, bearer};
use fanwire_tests::wait::until;
use fanwire_tests::ws::Ws;
use serde_json::{Value, json};

use crate::table::{modes, once, readied, resuming_modes};

resuming_modes!(a14_a_revoked_user_is_let_go_at_once_and_nobody_else_is);
readied!(a_disconnected_connection_ends_and_may_come_back);
modes!(
    a14_a_revocation_that_races_with_subscribers_leaves_no_ghost,
    a14_a_poll_that_waits_is_answered_at_once,
);
once!(
    a14_a_revoked_token_is_one_token_and_can_be_reinstated,
    the_api_is_for_keys_alone_and_reads_strictly,
);

const KEY: &str = "s3cret-0123456789abcdef";

async fn server(variant: Variant) -> TestServer {
    TestServer::with(variant, |config| {
        token::configure(config);
        config
            .access
            .api_keys
            .insert("ops".into(), Secret::new(KEY));
    })
    .await
}

async fn api(server: &TestServer, what: &str, body: &Value) -> Answer {
    let key = bearer(KEY);
    let target = format!("/api/{what}");
    let headers = [("Authorization", key.as_str())];
    fanwire_tests::http::post(server.addr, &target, &headers, body.to_string().as_bytes()).await
}

async fn done(server: &TestServer, what: &str, body: Value) -> Value {
    let answer = api(server, what, &body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    answer.json()
}

fn of(sub: &str) -> String {
    bearer(&token::of(sub, 600, json!({"subscribe": ["news"]})))
}

async fn listen(server: &TestServer, transport: Transport, shown: &str) -> Listener {
    let headers = [("Authorization", shown.as_bytes())];
    let asked = Listener::ask(transport, server.addr, "news", "", &headers).await;
    asked.unwrap().unwrap()
}

async fn says(server: &TestServer, text: &str) {
    let key = bearer(KEY);
    let headers = [("Authorization", key.as_str())];
    server.post("news", &headers, text.as_bytes()).await.id();
}

/// Hears the end: a poll's is the refusal of the next one.
async fn ends(listener: &mut Listener, code: u16, word: &str, status: u16) {
    match listener {
        Listener::Poll(poller) => {
            poller.ask().await.unwrap().refused(status, word);
        }
        Listener::Ws(ws) => assert_eq!(ws.closed().await.0, code),
        Listener::Sse(_) => {
            let rest = listener.rest().await;
            let told = |said: &Said| matches!(said, Said::Reply(error) if error["code"] == word);
            let clean = rest.last() == Some(&Said::Ended);
            assert!(
                clean && (status == 503 || rest.iter().any(told)),
                "{rest:?}"
            );
        }
    }
}

async fn a14_a_revoked_user_is_let_go_at_once_and_nobody_else_is(
    variant: Variant,
    transport: Transport,
) {
    let server = server(variant).await;
    let (ada, bob) = (of("ada"), of("bob"));
    let mut hers = listen(&server, transport, &ada).await;
    let mut his = listen(&server, transport, &bob).await;
    done(&server, "revoke", json!({"sub": "ada"})).await;
    says(&server, "after").await;
    ends(&mut hers, 3500, "unauthorized", 401).await;
    assert_eq!(his.message().await.plain(), "after");
    let shown = [("Authorization", ada.as_str())];
    server
        .get("news", &shown)
        .await
        .refused(401, "unauthorized");
}

async fn a_disconnected_connection_ends_and_may_come_back(variant: Variant, transport: Transport) {
    let server = server(variant).await;
    let (ada, bob) = (of("ada"), of("bob"));
    let mut hers = listen(&server, transport, &ada).await;
    let mut his = listen(&server, transport, &bob).await;
    let conn = hers.ready().await.conn;
    his.ready().await;
    done(
        &server,
        "disconnect",
        json!({"conn": conn, "code": 4001, "reason": "bye"}),
    )
    .await;
    ends(&mut hers, 4001, "unavailable", 503).await;
    let mut again = listen(&server, transport, &ada).await;
    again.ready().await;
    done(&server, "disconnect", json!({"sub": "ada"})).await;
    ends(&mut again, 3503, "unavailable", 503).await;
    says(&server, "after").await;
    assert_eq!(his.message().await.plain(), "after");
}

async fn a14_a_revocation_that_races_with_subscribers_leaves_no_ghost(variant: Variant) {
    let server = server(variant).await;
    let ada = of("ada");
    let mut opening = Vec::new();
    for _ in 0..40 {
        let (to, shown) = (server.addr, ada.clone());
        opening.push(tokio::spawn(async move {
            let headers = [("Authorization", shown.as_bytes())];
            match Ws::try_open(to, "/c/news", &headers).await.unwrap() {
                Ok(mut ws) => assert_eq!(ws.closed().await.0, 3500),
                Err(answer) => drop(answer.refused(401, "unauthorized")),
            }
        }));
    }
    done(&server, "revoke", json!({"sub": "ada"})).await;
    for one in opening {
        one.await.unwrap();
    }
    until("the last subscriber to be let go", || {
        (server.stats().subscribers == 0).then_some(())
    })
    .await;
}

async fn a14_a_poll_that_waits_is_answered_at_once(variant: Variant) {
    let server = server(variant).await;
    let ada = of("ada");
    for (what, body, status, code) in [
        ("disconnect", json!({"sub": "ada"}), 503, "unavailable"),
        ("revoke", json!({"sub": "ada"}), 401, "unauthorized"),
    ] {
        let (to, shown) = (server.addr, ada.clone());
        let polling = tokio::spawn(async move {
            let headers = [("Authorization", shown.as_str())];
            fanwire_tests::http::get(to, "/c/news?wait=55", &headers).await
        });
        until("the poll to wait", || {
            (server.stats().subscribers == 1).then_some(())
        })
        .await;
        done(&server, what, body).await;
        polling.await.unwrap().refused(status, code);
    }
}

async fn a14_a_revoked_token_is_one_token_and_can_be_reinstated(variant: Variant) {
    let server = server(variant).await;
    let made = |jti: &str| {
        let claims = json!({"sub": "ada", "jti": jti, "exp": token::now() + 600,
            "fanwire": {"subscribe": ["news"]}});
        bearer(&token::signed(token::SECRET.as_bytes(), &claims))
    };
    let (one, other) = (made("t1"), made("t2"));
    let status = async |shown: &str| server.get("news", &[("Authorization", shown)]).await.status;
    let until = token::now() + 600;
    let told = done(&server, "revoke", json!({"jti": "t1", "until": until})).await;
    assert_eq!(told["revocations"], 1);
    assert_eq!((status(&one).await, status(&other).await), (401, 200));
    let told = done(&server, "reinstate", json!({"jti": "t1"})).await;
    assert_eq!(told["reinstated"], true);
    assert_eq!((status(&one).await, status(&other).await), (200, 200));
    let told = done(&server, "reinstate", json!({"jti": "t1"})).await;
    assert_eq!(told["reinstated"], false);
}

async fn the_api_is_for_keys_alone_and_reads_strictly(variant: Variant) {
    let server = server(variant).await;
    let all = bearer(&token::of(
        "ada",
        600,
        json!({"publish": ["*:*"], "call": ["*:*"]}),
    ));
    let body = br#"{"sub":"ada"}"#;
    for target in [
        "/api/revoke",
        "/api/reinstate",
        "/api/disconnect",
        "/api/other",
    ] {
        let by_token = [("Authorization", all.as_str())];
        fanwire_tests::http::post(server.addr, target, &by_token, body)
            .await
            .refused(403, "forbidden");
        fanwire_tests::http::post(server.addr, target, &[], body)
            .await
            .refused(401, "unauthorized");
    }
    // Also where programs of this machine may do everything else.
    let local = TestServer::start(variant).await;
    fanwire_tests::http::post(local.addr, "/api/disconnect", &[], body)
        .await
        .refused(401, "unauthorized");
    for (what, bad) in [
        ("revoke", json!({})),
        ("revoke", json!({"sub": "a", "jti": "b"})),
        ("revoke", json!({"jti": "b", "iss": "c"})),
        ("revoke", json!({"sub": ""})),
        ("revoke", json!({"sub": "x".repeat(256)})),
        ("revoke", json!({"sub": "a", "until": 1})),
        ("revoke", json!({"sub": "a", "Until": 1})),
        ("revoke", json!(["a"])),
        ("disconnect", json!({})),
        ("disconnect", json!({"conn": "a", "key": "b"})),
        ("disconnect", json!({"conn": "a", "code": 1006})),
        (
            "disconnect",
            json!({"conn": "a", "reason": "x".repeat(124)}),
        ),
    ] {
        api(&server, what, &bad).await.refused(400, "invalid_body");
    }
    api(&server, "other", &json!({}))
        .await
        .refused(404, "not_found");
}
