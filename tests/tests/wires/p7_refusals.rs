//! P7 Refusals are clear: a stable code, a sentence, the channel at fault; and
//! one connection's error touches no other.

use fanwire_tests::http::{self, Http};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::poll;
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;
use fanwire_tests::ws::Ws;

use crate::table::{modes, once};

once!(
    channel_names_follow_their_rules,
    names_are_split_before_they_are_decoded,
    one_bad_channel_refuses_all_on_every_transport,
    parameters_stand_once_and_have_their_form,
    event_names_that_are_reserved_are_refused,
    bodies_that_are_not_what_they_say_are_refused,
    targets_are_of_one_namespace,
);
modes!(
    j2_j3_j5_j9_bad_commands_are_refused_and_the_socket_stays,
    a_refused_publish_closes_a_raw_websocket_with_its_code,
    one_connections_error_touches_no_other,
);

async fn channel_names_follow_their_rules(variant: Variant) {
    let server = TestServer::start(variant).await;
    for bad in [
        "",
        ",",
        "a,",
        ",a",
        "a,,b",
        ":",
        "chat:",
        ".",
        "..",
        "chat:..",
        "%2e",
        "%2E%2e",
        "a%00b",
        "a%0Ab",
        "%7F",
        "a%1Fb",
        "%C2%85",
        "%ff",
        "%C3",
        "%ED%A0%80",
        "%",
        "%z1",
        "%4",
        "@foo",
        "@",
        "chat:@x",
        "@ALL",
        "bad%20space:a",
        "caf%C3%A9:a",
        "a;b:c",
    ] {
        let answer = server.get(bad, &[]).await;
        answer.refused(400, "invalid_channel");
        server
            .post(bad, &[], b"x")
            .await
            .refused(400, "invalid_channel");
    }
    for target in ["/c", "/c?x=1", "/c?channel=", "/c/"] {
        http::get(server.addr, target, &[])
            .await
            .refused(400, "invalid_channel");
    }
    for good in [
        "a",
        "...",
        "a.b",
        "%E2%82%AC",
        "a%20b",
        "a%2Cb",
        "a/b/c",
        "a%2Fb",
        ":user:5",
        "chat:a:b",
        "A",
        "a%25b",
        "~-_!$&'()*+;=",
        "n.s_/-1:x",
        "%F0%9F%98%80",
    ] {
        let id = server.publish(good, good).await;
        let (said, _) = poll::read(&server.get(good, &[]).await);
        let [Said::Heard(heard)] = &said[..] else {
            panic!("{good}: {said:?}")
        };
        assert_eq!(
            (heard.plain().as_str(), heard.id.as_deref()),
            (good, Some(id.as_str()))
        );
    }
}

async fn names_are_split_before_they_are_decoded(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut both = Listener::open(Transport::SseEnvelope, server.addr, "x%2Cy,z", "").await;
    assert_eq!(both.ready().await.channels, ["x,y", "z"]);
    server.publish("x", "x alone").await;
    server.publish("x%2Cy", "one name").await;
    assert_eq!(both.texts(1).await, ["one name"]);
    // Decoded once: an escaped escape stays. Case and composition are bytes.
    let stream = Sse::open(server.addr, "/c/a%252Cb,A,a,e%CC%81,%C3%A9", &[]).await;
    let mut stream = Listener::Sse(stream.enveloped(true));
    assert_eq!(
        stream.ready().await.channels,
        ["a%2Cb", "A", "a", "e\u{301}", "\u{e9}"]
    );
    // The same by query, where a comma is nothing special.
    let stream = Sse::open(
        server.addr,
        "/c?channel=a,b&channel=chat:c&channel=%3Au%3A5",
        &[],
    )
    .await;
    let mut stream = Listener::Sse(stream.enveloped(true));
    let channels = stream.ready().await.channels;
    assert_eq!(channels.len(), 3, "{channels:?}");
    assert_eq!(channels[..2], ["a,b", "chat:c"]);
    // A default-namespace name with a colon is written with one in front.
    server.publish(":u:5", "mine").await;
    let heard = stream.message().await;
    assert_eq!(
        (heard.plain().as_str(), heard.channel.as_deref()),
        ("mine", Some(":u:5"))
    );
}

async fn one_bad_channel_refuses_all_on_every_transport(variant: Variant) {
    let server = TestServer::start(variant).await;
    let list = "good,@foo,fine";
    let named = |answer: http::Answer| {
        let value = answer.refused(400, "invalid_channel");
        assert_eq!(value["channel"], "@foo", "{value}");
    };
    named(server.get(list, &[]).await);
    named(server.get(&format!("{list}?wait=20"), &[]).await);
    named(server.post(list, &[], b"x").await);
    named(
        Sse::try_open(server.addr, &format!("/c/{list}"), &[])
            .await
            .unwrap()
            .unwrap_err(),
    );
    named(
        Ws::try_open(server.addr, &format!("/c/{list}"), &[])
            .await
            .unwrap()
            .unwrap_err(),
    );
    assert!(
        poll::read(&server.get("good", &[]).await).0.is_empty(),
        "and nothing was published"
    );
}

async fn parameters_stand_once_and_have_their_form(variant: Variant) {
    let server = TestServer::start(variant).await;
    for twice in [
        "after=earliest&after=latest",
        "rewind=1&rewind=1",
        "limit=1&limit=2",
        "wait=0&wait=0",
        "format=json&format=sse",
    ] {
        server
            .get(&format!("a?{twice}"), &[])
            .await
            .refused(400, "bad_request");
    }
    for twice in [
        "event=a&event=a",
        "key=a&key=a",
        "exclude=a&exclude=b",
        "volatile=1&volatile=1",
        "args=1&args=1",
    ] {
        server
            .post(&format!("a?{twice}"), &[], b"[]")
            .await
            .refused(400, "bad_request");
    }
    for bad in ["format=xml", "format=sse,xml", "format="] {
        server
            .get(&format!("a?{bad}"), &[])
            .await
            .refused(400, "bad_request");
    }
    for bad in ["volatile=2", "volatile=yes", "args=2"] {
        server
            .post(
                &format!("a?{bad}"),
                &[("Content-Type", "application/json")],
                b"[]",
            )
            .await
            .refused(400, "bad_request");
    }
    // Unknown ones are ignored, however often.
    assert_eq!(server.get("a?x=1&x=2&token=abc&=&&", &[]).await.status, 200);
}

async fn event_names_that_are_reserved_are_refused(variant: Variant) {
    let server = TestServer::start(variant).await;
    for name in [
        "$gap",
        "$",
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
        "open",
        "a%0Ab",
        "%0D",
        "%00",
        "",
    ] {
        server
            .post(&format!("a?event={name}"), &[], b"x")
            .await
            .refused(400, "invalid_event");
    }
    for name in ["Connect", "error", "opened", "a$", "ping"] {
        server.publish(&format!("a?event={name}"), "x").await;
    }
}

async fn bodies_that_are_not_what_they_say_are_refused(variant: Variant) {
    let server = TestServer::start(variant).await;
    let json = [("Content-Type", "application/json")];
    for bad in [
        "",
        " ",
        "{",
        "{}x",
        "[1,]",
        "\u{feff}{}",
        "NaN",
        "Infinity",
        "{'a':1}",
        "// c\n1",
        "01",
        "+1",
        ".5",
        "\"\u{1}\"",
        "\"\\x\"",
        "tru",
        "{\"a\"}",
        "1 2",
    ] {
        server
            .post("a", &json, bad.as_bytes())
            .await
            .refused(400, "invalid_body");
    }
    server
        .post("a", &json, b"\"\xff\"")
        .await
        .refused(400, "invalid_body");
    for kind in [
        vec![],
        vec![("Content-Type", "text/plain")],
        vec![("Content-Type", "application/x-www-form-urlencoded")],
    ] {
        server
            .post("a", &kind, b"ok \xff")
            .await
            .refused(400, "invalid_body");
    }
    for bad in ["{}", "1", "\"s\"", "[1", "[{\"$bin\":\"?\"}]", "null"] {
        server
            .post("a?args=1", &json, bad.as_bytes())
            .await
            .refused(400, "invalid_body");
    }
    assert!(poll::read(&server.get("a", &[]).await).0.is_empty());
}

async fn targets_are_of_one_namespace(variant: Variant) {
    let server = TestServer::start(variant).await;
    server
        .post("a,chat:b", &[], b"x")
        .await
        .refused(400, "bad_request");
    server.publish("chat:a,chat:b", "x").await;
    server.publish("a,:b", "x").await;
    // To listen, they may be of several.
    assert_eq!(server.get("a,chat:b", &[]).await.status, 200);
    // A WebSocket over several publishes to them as one message, or is told.
    let mut ws = Ws::open(server.addr, "/c/a,chat:b", &[])
        .await
        .enveloped(true);
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws.text("{\"data\":1,\"ref\":1}").await;
    let Said::Reply(reply) = ws.next().await else {
        panic!("no $error")
    };
    assert_eq!(
        (&reply["event"], &reply["ref"]),
        (&"$error".into(), &1.into())
    );
}

async fn j2_j3_j5_j9_bad_commands_are_refused_and_the_socket_stays(variant: Variant) {
    let server = TestServer::start(variant).await;
    for (command, code) in [
        ("", "bad_request"),
        ("[]", "bad_request"),
        ("1", "bad_request"),
        ("{}", "bad_request"),
        ("{\"data\":1}x", "bad_request"),
        ("\u{feff}{\"data\":1}", "bad_request"),
        ("{\"data\":NaN}", "bad_request"),
        ("{\"data\":1,\"data\":2}", "bad_request"),
        ("{\"data\":1,\"ref\":1,\"ref\":1}", "bad_request"),
        ("{\"data\":1,\"event\":5}", "bad_request"),
        ("{\"data\":1,\"key\":[]}", "bad_request"),
        ("{\"data\":1,\"kind\":\"json\"}", "bad_request"),
        ("{\"data\":1,\"kind\":\"text\"}", "bad_request"),
        ("{\"data\":\"?\",\"kind\":\"binary\"}", "bad_request"),
        ("{\"data\":1,\"event\":\"$x\"}", "invalid_event"),
        ("{\"data\":1,\"event\":\"open\"}", "invalid_event"),
        ("{\"data\":1,\"ref\":1e1}", "bad_request"),
    ] {
        let mut ws = Ws::envelope(server.addr, "/c/a").await;
        assert!(matches!(ws.next().await, Said::Ready(_)));
        ws.text(command).await;
        let Said::Reply(reply) = ws.next().await else {
            panic!("{command}: no $error")
        };
        assert_eq!(reply["event"], "$error", "{command}");
        assert_eq!(reply["code"], code, "{command}: {reply}");
        assert!(reply["message"].as_str().is_some_and(|text| text.len() > 8));
        // j9: what is not known is ignored; j2: numbers go through as they are.
        ws.text("{\"data\":[1e400,-0,9007199254740993],\"later\":{\"x\":1},\"ref\":\"r\"}")
            .await;
        let mut heard = None;
        loop {
            match ws.next().await {
                Said::Heard(message) => heard = Some(message.text()),
                Said::Reply(reply) => {
                    assert_eq!(
                        (&reply["event"], &reply["ref"]),
                        (&"$ack".into(), &"r".into())
                    );
                    if heard.is_some() {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
            if heard.is_some() {
                break;
            }
        }
        assert_eq!(heard.unwrap(), "[1e400,-0,9007199254740993]");
    }
}

async fn a_refused_publish_closes_a_raw_websocket_with_its_code(variant: Variant) {
    use fanwire::config::Who;
    let server = TestServer::with(variant, |config| config.rules.publish = Who::Nobody).await;
    let mut listener = Ws::open(server.addr, "/c/a", &[]).await;
    let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
    ws.text("not allowed").await;
    let (code, reason) = ws.closed().await;
    assert_eq!(code, 3507, "forbidden");
    assert!(reason.contains("forbidden"), "{reason}");
    server.post("a", &[], b"x").await.refused(403, "forbidden");
    // Listening alone goes on, and an envelope is told and stays.
    let mut envelope = Ws::envelope(server.addr, "/c/a").await;
    assert!(matches!(envelope.next().await, Said::Ready(_)));
    envelope.text("{\"data\":1,\"ref\":5}").await;
    let Said::Reply(reply) = envelope.next().await else {
        panic!("no $error")
    };
    assert_eq!(
        (&reply["code"], &reply["ref"]),
        (&"forbidden".into(), &5.into())
    );
    listener
        .send(&fanwire_tests::ws::frame(0x89, b"alive"))
        .await;
    assert_eq!(listener.frame().await.unwrap().payload, b"alive");
}

async fn one_connections_error_touches_no_other(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listeners = Vec::new();
    for transport in Transport::RESUMING {
        listeners.push(Listener::open(transport, server.addr, "a", "").await);
    }
    for at in 0..20 {
        let mut ws = Ws::open(server.addr, "/c/a", &[]).await;
        ws.send(b"\xff\xff\xff\xff").await;
        assert_eq!(ws.closed().await.0, 1002);
        drop(Ws::open(server.addr, "/c/a", &[]).await);
        drop(Sse::open(server.addr, "/c/a", &[]).await);
        let mut http = Http::connect(server.addr).await;
        let _ = http
            .wire
            .send(b"POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
            .await;
        drop(http);
        server.publish("a", &at.to_string()).await;
    }
    let expected: Vec<String> = (0..20).map(|at| at.to_string()).collect();
    for listener in &mut listeners {
        assert_eq!(listener.texts(20).await, expected);
    }
}
