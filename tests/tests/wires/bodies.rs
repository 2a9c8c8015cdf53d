//! Every kind of body on every transport, byte for byte.

use fanwire_tests::base64;
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::{Heard, Kind, Said};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;

use crate::table::{cells, once, variants};

cells!(every_body_arrives_as_it_was_published);
variants!(event_names_reach_every_form);
once!(
    s1_line_ends_become_data_lines_on_raw_sse,
    an_event_named_error_is_no_connection_error_on_sse,
    conflation_keys_are_shown_and_members_stand_in_order,
    s2_nothing_of_a_message_can_forge_a_field,
);

#[derive(Debug, Clone)]
struct Published {
    content_type: Option<&'static str>,
    args: bool,
    body: Vec<u8>,
}

fn text(body: &str) -> Published {
    Published {
        content_type: Some("text/plain"),
        args: false,
        body: body.as_bytes().to_vec(),
    }
}

fn of(content_type: &'static str, body: &[u8]) -> Published {
    Published {
        content_type: Some(content_type),
        args: false,
        body: body.to_vec(),
    }
}

fn bodies() -> Vec<Published> {
    let mut all: Vec<Published> = [
        "plain",
        "",
        " ",
        "\u{0}",
        "a\u{0}b",
        "\u{2028}\u{2029}",
        "\u{202e}abc \u{5d0}\u{5d1}",
        "\u{1f600}\u{1f468}\u{200d}\u{1f469}",
        "\u{feff}bom",
        "\u{fffd}\u{10ffff}",
        "\"\\/\u{8}\u{c}\t",
        "id: forged",
        ": comment",
        "data: x",
        "<b>&amp;</b>",
        "\u{7f}\u{80}\u{9f}",
        "{not json",
    ]
    .map(text)
    .into();
    for json in [
        "{}",
        "null",
        "true",
        "\"s\"",
        "-0",
        "1e400",
        "9007199254740993",
        "[1,2,{\"a\":[]}]",
        "{\"a\":1,\"a\":2}",
        "\"\\u0000\\ud83d\\ude00\"",
        "\"\\ud800\"",
        " { \"sp\" : 1 } ",
        "\"\u{2028}\u{1f600}\"",
    ] {
        all.push(of("application/json", json.as_bytes()));
    }
    let digits = "9".repeat(400);
    all.push(of("application/json; charset=utf-8", digits.as_bytes()));
    let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
    all.push(of("application/json", deep.as_bytes()));
    all.push(of(
        "application/octet-stream",
        &(0..=255).collect::<Vec<u8>>(),
    ));
    all.push(of("image/png", b""));
    all.push(of("application/x", &[0xff, 0xfe, 0x80]));
    all.push(of("application/x-www-form-urlencoded", b"a=1&b=%20+"));
    all.push(Published {
        content_type: None,
        ..text("no type")
    });
    for (args, _) in ARGS {
        all.push(Published {
            content_type: Some("application/json"),
            args: true,
            body: args.as_bytes().to_vec(),
        });
    }
    all
}

const ARGS: [(&str, u64); 3] = [
    ("[1,\"two\",{\"three\":[3]}]", 3),
    ("[{\"$bin\":\"AAEC/w==\"},{\"deep\":{\"$bin\":\"\"}}]", 2),
    ("[]", 0),
];

/// What this transport must show for it.
fn check(transport: Transport, published: &Published, heard: &Heard) {
    let body = &published.body;
    let utf8 = String::from_utf8_lossy(body).into_owned();
    let content_type = published.content_type.unwrap_or("text/plain");
    let textual = content_type.starts_with("text/") || content_type.contains("form");
    let json = content_type.starts_with("application/json");
    let enveloped = !matches!(
        transport,
        Transport::SseRaw | Transport::SseHttp2 | Transport::WsRaw
    );
    if enveloped {
        let (kind, data) = match (textual, json, published.args) {
            (true, ..) => (Kind::Text, utf8.clone()),
            // White space around a JSON value is not part of it.
            (_, true, false) => (Kind::Json, utf8.trim().to_owned()),
            (_, true, true) => {
                let count = ARGS.iter().find(|(args, _)| *args == utf8).unwrap().1;
                (Kind::Args(count), utf8.clone())
            }
            _ => (Kind::Binary, base64::encode(body)),
        };
        assert_eq!(heard.kind, kind, "{published:?}");
        assert_eq!(heard.plain(), data, "{published:?}");
    } else if textual || json {
        assert_eq!(heard.kind, Kind::Raw, "{published:?}");
        assert_eq!(heard.data, *body, "{published:?}");
    } else if transport == Transport::WsRaw {
        assert_eq!(
            (heard.kind, &heard.data),
            (Kind::Frame, body),
            "{published:?}"
        );
    } else {
        assert_eq!(heard.text(), base64::encode(body), "{published:?}");
    }
}

async fn every_body_arrives_as_it_was_published(variant: Variant, transport: Transport) {
    let server = TestServer::start(variant).await;
    let mut live = Listener::open(transport, server.addr, "a", "").await;
    let all = bodies();
    for published in &all {
        let query = if published.args { "a?args=1" } else { "a" };
        let headers: Vec<(&str, &str)> = published
            .content_type
            .map(|kind| ("Content-Type", kind))
            .into_iter()
            .collect();
        let answer = server.post(query, &headers, &published.body).await;
        assert_eq!(answer.status, 200, "{published:?}: {}", answer.text());
        check(transport, published, &live.message().await);
    }
    // And once more from history.
    let mut held = Listener::open(transport, server.addr, "a", "after=earliest").await;
    for published in &all {
        check(transport, published, &held.message().await);
    }
}

async fn s1_line_ends_become_data_lines_on_raw_sse(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut sse = Sse::open(server.addr, "/c/a", &[]).await;
    let mut enveloped = Listener::open(Transport::SseEnvelope, server.addr, "a", "").await;
    assert!(matches!(sse.next().await, Said::Ready(_)));
    let cases: [(&str, &[&str]); 9] = [
        ("a\nb", &["a", "b"]),
        ("a\rb", &["a", "b"]),
        ("a\r\nb", &["a", "b"]),
        ("a\n\rb", &["a", "", "b"]),
        ("\n", &["", ""]),
        ("a\n", &["a", ""]),
        ("\r\r\n\n", &["", "", "", ""]),
        ("", &[""]),
        (" two  spaces", &[" two  spaces"]),
    ];
    for (body, lines) in cases {
        server.publish("a", body).await;
        let block = sse.block().await.unwrap();
        let expected: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        assert_eq!(block.data, expected, "{body:?}");
        assert_eq!(
            enveloped.message().await.plain(),
            body,
            "the envelope is exact"
        );
    }
    // Line ends between the tokens of JSON: as it is on a WebSocket.
    let json = b"{\r\n \"a\":\n1\r}";
    let mut raw = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    server
        .post("a", &[("Content-Type", "application/json")], json)
        .await
        .id();
    assert_eq!(raw.message().await.data, json);
    assert_eq!(sse.block().await.unwrap().data.len(), 4);
    let value: serde_json::Value = serde_json::from_slice(&enveloped.message().await.data).unwrap();
    assert_eq!(value["a"], 1);
}

async fn event_names_reach_every_form(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut raw = Sse::open(server.addr, "/c/a", &[]).await;
    assert!(matches!(raw.next().await, Said::Ready(_)));
    let long = "n".repeat(255);
    let names = [
        "message",
        "score",
        "caf%C3%A9",
        "with%20space",
        "a%3Ab",
        " x",
        "Error",
        &long,
    ];
    let mut listeners = Vec::new();
    for transport in [
        Transport::SseEnvelope,
        Transport::Poll,
        Transport::WsEnvelope,
    ] {
        listeners.push(Listener::open(transport, server.addr, "a", "").await);
    }
    for name in names {
        let name = name.replace(' ', "%20");
        server.publish(&format!("a?event={name}"), "x").await;
        let name = name
            .replace("%C3%A9", "\u{e9}")
            .replace("%20", " ")
            .replace("%3A", ":");
        let block = raw.block().await.unwrap();
        let shown = if name == "message" { "" } else { &name };
        assert_eq!(block.name, shown);
        for listener in &mut listeners {
            assert_eq!(listener.message().await.event, name);
        }
    }
}

async fn an_event_named_error_is_no_connection_error_on_sse(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut raw = Sse::open(server.addr, "/c/a", &[]).await;
    assert!(matches!(raw.next().await, Said::Ready(_)));
    let mut ws = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    server.publish("a?event=error", "boom").await;
    let block = raw.block().await.unwrap();
    assert_eq!(block.name, "");
    let Said::Heard(inside) = fanwire_tests::said::envelope(&block.data.concat()) else {
        panic!("{block:?}")
    };
    assert_eq!(
        (inside.event.as_str(), inside.plain().as_str()),
        ("error", "boom")
    );
    assert_eq!(inside.id, block.id);
    let heard = ws.message().await;
    assert_eq!(
        (heard.event.as_str(), heard.plain().as_str()),
        ("error", "boom")
    );
}

async fn conflation_keys_are_shown_and_members_stand_in_order(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.open = true;
        let secret = fanwire::config::Secret::new("ops-secret-0123456789");
        config.access.api_keys.insert("ops".into(), secret);
    })
    .await;
    let bearer = [("Authorization", "Bearer ops-secret-0123456789")];
    for transport in [
        Transport::SseEnvelope,
        Transport::Poll,
        Transport::WsEnvelope,
    ] {
        let mut listener = Listener::open(transport, server.addr, "a", "").await;
        server
            .post("a?key=EUR%2FUSD&event=px", &bearer, b"1")
            .await
            .id();
        server.publish("a", "anonymous").await;
        let heard = listener.message().await;
        assert_eq!(
            (heard.from.as_deref(), heard.key.as_deref()),
            (Some("ops"), Some("EUR/USD"))
        );
        let order = [
            "id", "channel", "event", "data", "ts", "from", "key", "kind",
        ];
        assert_eq!(heard.members, order);
        assert!(heard.ts > 1_600_000_000_000, "milliseconds since 1970");
        assert_eq!(
            listener.message().await.from,
            None,
            "only a verified identity"
        );
    }
}

async fn s2_nothing_of_a_message_can_forge_a_field(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut raw = Sse::open(server.addr, "/c/a", &[]).await;
    assert!(matches!(raw.next().await, Said::Ready(_)));
    for name in ["a%0Aid:%20x", "a%0D", "a%00", "%0A"] {
        server
            .post(&format!("a?event={name}"), &[], b"x")
            .await
            .refused(400, "invalid_event");
    }
    let id = server
        .publish("a", "x\nid: forged\n\nevent: $gap\ndata: {}")
        .await;
    let block = raw.block().await.unwrap();
    assert_eq!((block.id, block.name.as_str()), (Some(id), ""));
    assert_eq!(block.data.len(), 5);
}
