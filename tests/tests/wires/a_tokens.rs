//! A Users with tokens: what they are let in to, and how it ends, on each transport.

use fanwire::config::Secret;
use fanwire_tests::http::{self, Answer, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::token::{self, bearer};
use fanwire_tests::ws::Ws;
use serde_json::json;

use crate::table::{modes, once, resuming_modes};

resuming_modes!(
    a15_a16_a_token_listens_to_what_it_grants_and_to_nothing_else,
    a12_one_token_opens_as_many_connections_as_its_user_likes,
    a13_a_stream_ends_with_its_token_and_the_token_opens_no_other,
    a19_nobody_and_a_wrong_token_listen_to_nothing,
    a16_a_user_hears_what_the_namespace_grants_by_name_and_nobody_elses,
    a20_who_may_listen_but_not_read_hears_nothing_that_was,
    o1_a_page_of_another_origin_does_nothing_with_its_visitors_cookie,
);
modes!(
    a15_a_raw_websocket_says_and_hears_what_its_token_grants,
    a13_a_raw_websocket_is_closed_with_its_token,
);
once!(
    a15_a_token_publishes_what_it_grants_and_its_user_is_named,
    a17_a_token_in_the_url_is_taken_only_where_that_is_switched_on,
);

const KEY: &str = "s3cret-0123456789abcdef";

async fn server(variant: Variant) -> TestServer {
    TestServer::with(variant, |config| {
        token::configure(config);
        config.tokens.cookie = "session".into();
        config
            .access
            .api_keys
            .insert("ops".into(), Secret::new(KEY));
    })
    .await
}

async fn says(server: &TestServer, list: &str, text: &str) {
    let key = bearer(KEY);
    let answer = server
        .post(list, &[("Authorization", &key)], text.as_bytes())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Asks to listen with this header.
async fn ask(
    server: &TestServer,
    transport: Transport,
    list: &str,
    query: &str,
    header: (&str, &str),
) -> Result<Listener, Answer> {
    let headers = [(header.0, header.1.as_bytes())];
    Listener::ask(transport, server.addr, list, query, &headers)
        .await
        .unwrap()
}

async fn refused(
    server: &TestServer,
    transport: Transport,
    list: &str,
    query: &str,
    header: (&str, &str),
    (status, code): (u16, &str),
) {
    match ask(server, transport, list, query, header).await {
        Ok(_) => panic!("{transport:?} {list} {query}: it was let in"),
        Err(answer) => drop(answer.refused(status, code)),
    }
}

async fn a15_a16_a_token_listens_to_what_it_grants_and_to_nothing_else(
    variant: Variant,
    transport: Transport,
) {
    let server = server(variant).await;
    let granted = json!({"subscribe": ["news-*", "caf\u{e9}"], "publish": ["box"]});
    let ada = bearer(&token::of("ada", 600, granted));
    let shown = ("Authorization", ada.as_str());
    let mut listener = ask(&server, transport, "news-a", "", shown).await.unwrap();
    says(&server, "news-a", "one").await;
    assert_eq!(listener.message().await.plain(), "one");
    for other in [
        "box",
        "news",
        "News-a",
        "news",
        "chat:news-a",
        "cafe%CC%81",
        "%20news-a",
        "%23news-a",
        "news-a,box",
        "news%252da",
    ] {
        refused(&server, transport, other, "", shown, (403, "forbidden")).await;
    }
    // `%2d` is the hyphen itself; what is decoded once is compared.
    assert!(ask(&server, transport, "news%2da", "", shown).await.is_ok());
    assert!(
        ask(&server, transport, "caf%C3%A9", "", shown)
            .await
            .is_ok()
    );
}

async fn a16_a_user_hears_what_the_namespace_grants_by_name_and_nobody_elses(
    variant: Variant,
    transport: Transport,
) {
    let server = TestServer::with(variant, |config| {
        token::configure(config);
        let keys = &mut config.access.api_keys;
        keys.insert("ops".into(), Secret::new(KEY));
        config.rules.users_subscribe = ["inbox-{sub}", "desk-{sub}/*"].map(str::to_owned).to_vec();
        config.rules.users_publish = vec!["inbox-{sub}".to_owned()];
    })
    .await;
    // Nothing stands in the token but who it is.
    let of = |sub: &str| bearer(&token::of(sub, 600, json!({})));
    says(&server, "inbox-ada", "before").await;
    let ada = of("ada");
    let shown = ("Authorization", ada.as_str());
    let query = "rewind=1";
    let mut listener = ask(&server, transport, "inbox-ada", query, shown)
        .await
        .unwrap();
    assert_eq!(listener.message().await.plain(), "before");
    let own = server.post("inbox-ada", &[shown], b"mine").await;
    assert_eq!(own.status, 200, "{}", own.text());
    assert_eq!(listener.message().await.plain(), "mine");
    for (sub, other) in [
        ("ada", "inbox-adam"),
        ("ada", "inbox-Ada"),
        ("ada", "inbox-ada%20"),
        ("ada", "inbox-"),
        ("ada", "chat:inbox-eve"),
        ("ada", "desk-ada"),
        ("ada", "inbox-ada,inbox-eve"),
        ("*", "inbox-ada"),
        ("{sub}", "inbox-ada"),
        ("a/../ada", "inbox-ada"),
        ("a:b", "inbox-a"),
        ("ada%20", "inbox-ada%20"),
        ("%2f", "inbox-%2f"),
        ("ada ", "inbox-ada"),
        ("cafe\u{301}", "inbox-caf%C3%A9"),
        // Who has the separator of any of the patterns in their name.
        ("ada/x", "desk-ada/x/y"),
        ("ada/x", "inbox-ada/x"),
    ] {
        let shown = of(sub);
        let shown = ("Authorization", shown.as_str());
        refused(&server, transport, other, "", shown, (403, "forbidden")).await;
    }
    // Each is let in to what is theirs, byte by byte.
    for (sub, own) in [
        ("*", "inbox-*"),
        ("a:b", ":inbox-a:b"),
        ("ada%20", "inbox-ada%2520"),
        ("ada ", "inbox-ada%20"),
        ("cafe\u{301}", "inbox-cafe%CC%81"),
        ("ada", "desk-ada/x/y"),
    ] {
        let shown = of(sub);
        let shown = ("Authorization", shown.as_str());
        let let_in = ask(&server, transport, own, "", shown).await;
        assert!(let_in.is_ok(), "{sub} {own}");
    }
}

async fn a12_one_token_opens_as_many_connections_as_its_user_likes(
    variant: Variant,
    transport: Transport,
) {
    let server = server(variant).await;
    let claims = json!({
        "sub": "ada", "jti": "t1", "exp": token::now() + 600,
        "fanwire": {"subscribe": ["news"]},
    });
    let ada = bearer(&token::signed(token::SECRET.as_bytes(), &claims));
    let shown = ("Authorization", ada.as_str());
    let mut first = ask(&server, transport, "news", "", shown).await.unwrap();
    let mut second = ask(&server, transport, "news", "", shown).await.unwrap();
    says(&server, "news", "one").await;
    for listener in [&mut first, &mut second] {
        assert_eq!(listener.message().await.plain(), "one");
    }
    drop(first);
    let mut third = ask(&server, transport, "news", "rewind=1", shown)
        .await
        .unwrap();
    assert_eq!(third.message().await.plain(), "one");
}

async fn a13_a_stream_ends_with_its_token_and_the_token_opens_no_other(
    variant: Variant,
    transport: Transport,
) {
    let server = server(variant).await;
    let ada = bearer(&token::of("ada", 2, json!({"subscribe": ["news"]})));
    let shown = ("Authorization", ada.as_str());
    let mut listener = ask(&server, transport, "news", "", shown).await.unwrap();
    says(&server, "news", "before").await;
    assert_eq!(listener.message().await.plain(), "before");
    match &mut listener {
        // Answered when the token ends, and refused then.
        Listener::Poll(poller) => loop {
            let answer = poller.ask().await.unwrap();
            if answer.status != 200 {
                answer.refused(401, "token_expired");
                break;
            }
            poller.after = Some(poll::read(&answer).1);
        },
        Listener::Ws(ws) => {
            let (code, reason) = ws.closed().await;
            assert_eq!(code, 3005, "{reason}");
        }
        Listener::Sse(_) => {
            let rest = listener.rest().await;
            let error = rest.iter().find_map(|said| match said {
                Said::Reply(value) => Some(value.clone()),
                _ => None,
            });
            assert_eq!(error.unwrap()["code"], "token_expired", "{rest:?}");
            assert_eq!(rest.last(), Some(&Said::Ended), "{rest:?}");
        }
    }
    refused(
        &server,
        transport,
        "news",
        "",
        shown,
        (401, "token_expired"),
    )
    .await;
}

async fn a19_nobody_and_a_wrong_token_listen_to_nothing(variant: Variant, transport: Transport) {
    let server = server(variant).await;
    let claims =
        json!({"sub": "ada", "exp": token::now() + 60, "fanwire": {"subscribe": ["news"]}});
    let strange = bearer(&token::signed(&[b'x'; 32], &claims));
    let late = json!({"sub": "ada", "exp": token::now(), "fanwire": {"subscribe": ["news"]}});
    let late = bearer(&token::signed(token::SECRET.as_bytes(), &late));
    let unauthorized = (401, "unauthorized");
    for (header, told) in [
        (("Authorization", strange.as_str()), unauthorized),
        (("Authorization", "Basic YTpi"), unauthorized),
        (("Cookie", "session=eyJ.eyJ.x"), unauthorized),
        (("Authorization", late.as_str()), (401, "token_expired")),
    ] {
        refused(&server, transport, "news", "", header, told).await;
    }
    if !matches!(transport, Transport::WsEnvelope | Transport::WsHttp2) {
        refused(&server, transport, "news", "", ("X-A", "1"), unauthorized).await;
    }
}

async fn a20_who_may_listen_but_not_read_hears_nothing_that_was(
    variant: Variant,
    transport: Transport,
) {
    let server = server(variant).await;
    says(&server, "news", "before").await;
    let live = json!({"subscribe": ["news"], "history": []});
    let live = bearer(&token::of("ada", 600, live));
    let shown = ("Authorization", live.as_str());
    for query in ["after=earliest", "rewind=1", "after=x-1"] {
        refused(&server, transport, "news", query, shown, (403, "forbidden")).await;
    }
    let both = bearer(&token::of("bob", 600, json!({"subscribe": ["news"]})));
    let shown = ("Authorization", both.as_str());
    let mut listener = ask(&server, transport, "news", "after=earliest", shown)
        .await
        .unwrap();
    assert_eq!(listener.message().await.plain(), "before");
}

async fn o1_a_page_of_another_origin_does_nothing_with_its_visitors_cookie(
    variant: Variant,
    transport: Transport,
) {
    let server = server(variant).await;
    let granted = json!({"subscribe": ["news"], "publish": ["news"]});
    let cookie = format!("a=b; session={}", token::of("ada", 600, granted));
    let by = |origin: &'static str| {
        let headers = [("Cookie", cookie.as_bytes()), ("Origin", origin.as_bytes())];
        let to = server.addr;
        let headers = headers.map(|(name, value)| (name, value.to_vec()));
        async move {
            let headers = headers.each_ref().map(|(name, value)| (*name, &value[..]));
            Listener::ask(transport, to, "news", "", &headers)
                .await
                .unwrap()
        }
    };
    for origin in ["https://evil.example", "null"] {
        match by(origin).await {
            Ok(_) => panic!("{transport:?} {origin}: it was let in"),
            Err(answer) => drop(answer.refused(403, "origin_denied")),
        }
        let headers = [("Cookie", cookie.as_str()), ("Origin", origin)];
        let answer = server.post("news", &headers, b"x").await;
        answer.refused(403, "origin_denied");
    }
    assert!(by("http://localhost:8080").await.is_ok());
}

async fn a15_a_raw_websocket_says_and_hears_what_its_token_grants(variant: Variant) {
    let server = server(variant).await;
    let granted = json!({"subscribe": ["news", "box"], "publish": ["box"]});
    let ada = bearer(&token::of("ada", 600, granted));
    let headers = [("Authorization", ada.as_bytes())];
    let mut both = Ws::open(server.addr, "/c/box", &headers).await;
    both.text("in").await;
    assert!(matches!(both.next().await, Said::Heard(heard) if heard.text() == "in"));
    let mut hears = Ws::open(server.addr, "/c/news", &headers).await;
    hears.text("in").await;
    assert_eq!(hears.closed().await.0, 3507);
    let shown = ("Authorization", ada.as_str());
    refused(
        &server,
        Transport::WsRaw,
        "other",
        "",
        shown,
        (403, "forbidden"),
    )
    .await;
    // Without a token a raw socket has no place to show one.
    let nobody = ("X-A", "1");
    refused(
        &server,
        Transport::WsRaw,
        "box",
        "",
        nobody,
        (401, "unauthorized"),
    )
    .await;
}

async fn a13_a_raw_websocket_is_closed_with_its_token(variant: Variant) {
    let server = server(variant).await;
    let ada = bearer(&token::of("ada", 2, json!({"subscribe": ["news"]})));
    let headers = [("Authorization", ada.as_bytes())];
    let mut ws = Ws::open(server.addr, "/c/news", &headers).await;
    assert_eq!(ws.closed().await.0, 3005);
}

async fn a15_a_token_publishes_what_it_grants_and_its_user_is_named(variant: Variant) {
    let server = server(variant).await;
    let ada = bearer(&token::of(
        "ada",
        600,
        json!({"subscribe": ["box"], "publish": ["box"]}),
    ));
    let shown = [("Authorization", ada.as_str())];
    server.post("box", &shown, b"one").await.id();
    for other in ["news", "box2", "chat:box", "box,news"] {
        let answer = server.post(other, &shown, b"x").await;
        assert!([400, 403].contains(&answer.status), "{other}");
    }
    // A second request of the connection is asked anew.
    let mut http = Http::connect(server.addr).await;
    for (list, status) in [("/c/box", 200), ("/c/news", 403), ("/c/box", 200)] {
        assert_eq!(http.ask("POST", list, &shown, b"two").await.status, status);
    }
    let messages = server.get("box", &shown).await.json()["messages"].clone();
    assert_eq!(messages[0]["from"], "ada", "{messages}");
    assert_eq!(messages[2]["from"], "ada", "{messages}");
}

async fn a17_a_token_in_the_url_is_taken_only_where_that_is_switched_on(variant: Variant) {
    let shut = server(variant).await;
    let open = TestServer::with(variant, |config| {
        token::configure(config);
        config.tokens.in_url = true;
    })
    .await;
    let ada = token::of("ada", 600, json!({"subscribe": ["news"]}));
    let target = format!("/c/news?limit=5&token={ada}");
    http::get(shut.addr, &target, &[])
        .await
        .refused(401, "unauthorized");
    assert_eq!(http::get(open.addr, &target, &[]).await.status, 200);
    for wrong in [
        format!("/c/other?token={ada}"),
        format!("/c/news?token={ada}x"),
        format!("/c/news?token={ada}&token={ada}"),
        "/c/news?token=".to_owned(),
    ] {
        let answer = http::get(open.addr, &wrong, &[]).await;
        assert!([401, 403].contains(&answer.status), "{}", answer.text());
        assert!(!answer.text().contains(&ada), "{}", answer.text());
    }
    // An API key belongs to programs, which can send a header.
    let keyed = server(variant).await;
    for target in [
        format!("/c/news?token={KEY}"),
        format!("/c/news?token={ada}"),
    ] {
        let answer = http::get(keyed.addr, &target, &[]).await;
        answer.refused(401, "unauthorized");
    }
}
