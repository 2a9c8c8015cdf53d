//! The WebSocket handshake: group H of the bad inputs.

use std::time::Duration;

use fanwire_tests::http::{self, Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::{Kind, Said};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wire::Ending;
use fanwire_tests::ws::{KEY, Ws, close, frame, upgrade};

use crate::table::{modes, once};

modes!(
    h1_a_version_other_than_13_is_426,
    h2_a_bad_key_is_400,
    h3_only_get_on_http_1_1_upgrades,
    h4_a_body_on_an_upgrade_is_refused_and_no_second_request_is_served,
    h5_mixed_case_and_lists_in_the_upgrade_headers_are_fine,
    h6_a_subprotocol_is_echoed_only_if_offered_and_known,
    h7_extensions_are_declined,
    h9_frames_in_the_same_packet_as_the_request_are_heard_in_order,
    format_and_several_channels_choose_the_envelope,
);
once!(
    h8_a_handshake_that_drips_is_cut_with_408,
    h10_long_heads_are_414_or_431,
    h11_tls_on_the_plain_port_is_400_and_no_hang,
    h12_a_proxy_protocol_line_is_400,
);

async fn refusal(server: &TestServer, headers: &[(&str, &[u8])]) -> http::Answer {
    match Ws::try_open(server.addr, "/c/a", headers).await {
        Ok(Err(answer)) => answer,
        other => panic!("{headers:?}: {other:?}"),
    }
}

async fn h1_a_version_other_than_13_is_426(variant: Variant) {
    let server = TestServer::start(variant).await;
    for version in ["12", "14", "8", "0", "abc", "", "13,8", "-13", "013"] {
        let answer = refusal(&server, &[("Sec-WebSocket-Version", version.as_bytes())]).await;
        answer.refused(426, "upgrade_required");
        assert_eq!(
            answer.header("sec-websocket-version"),
            Some("13"),
            "{version}"
        );
    }
    let bytes = upgrade(server.addr, "/c/a", &[]);
    let without = String::from_utf8(bytes)
        .unwrap()
        .replace("Sec-WebSocket-Version: 13\r\n", "");
    let answer = http::raw(server.addr, without.as_bytes()).await.unwrap();
    answer.refused(426, "upgrade_required");
}

async fn h2_a_bad_key_is_400(variant: Variant) {
    let server = TestServer::start(variant).await;
    let bad = [
        "",
        "x",
        "!!!!",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "dGhlIHNhbXBsZSBub25jZQ==dGhl",
    ];
    for key in bad {
        let answer = refusal(&server, &[("Sec-WebSocket-Key", key.as_bytes())]).await;
        answer.refused(400, "bad_request");
    }
    let once = String::from_utf8(upgrade(server.addr, "/c/a", &[])).unwrap();
    let line = format!("Sec-WebSocket-Key: {KEY}\r\n");
    for (changed, what) in [
        (once.replace(&line, ""), "none"),
        (once.replace(&line, &line.repeat(2)), "two"),
    ] {
        let answer = http::raw(server.addr, changed.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
}

async fn h3_only_get_on_http_1_1_upgrades(variant: Variant) {
    let server = TestServer::start(variant).await;
    let get = String::from_utf8(upgrade(server.addr, "/c/a", &[])).unwrap();
    for (changed, status) in [
        (get.replacen("GET", "HEAD", 1), 405),
        (get.replacen("GET", "PUT", 1), 405),
        (get.replacen("HTTP/1.1", "HTTP/1.0", 1), 400),
    ] {
        let mut http = Http::connect(server.addr).await;
        http.wire.send(changed.as_bytes()).await.unwrap();
        let head = http::Head::read(&mut http.wire).await.unwrap();
        assert_eq!(head.status, status, "{changed}");
    }
    // A POST that asks for an upgrade is never one; it may publish.
    let post = get
        .replacen("GET", "POST", 1)
        .replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
    let answer = http::raw(server.addr, post.as_bytes()).await.unwrap();
    assert!(
        [200, 400, 405].contains(&answer.status),
        "{}",
        answer.status
    );
}

async fn h4_a_body_on_an_upgrade_is_refused_and_no_second_request_is_served(variant: Variant) {
    let server = TestServer::start(variant).await;
    let smuggled = "POST /c/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let length = smuggled.len().to_string();
    for (name, value, body) in [
        ("Content-Length", length.as_str(), smuggled),
        ("Transfer-Encoding", "chunked", chunk.as_str()),
    ] {
        let mut bytes = upgrade(server.addr, "/c/a", &[(name, value.as_bytes())]);
        bytes.extend_from_slice(body.as_bytes());
        let mut http = Http::connect(server.addr).await;
        http.wire.send(&bytes).await.unwrap();
        let answer = http.answer().await.unwrap();
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        let (rest, _) = http.wire.rest().await;
        assert_eq!(rest, b"", "{name}: a second answer");
    }
    let held = server.get("smuggled", &[]).await;
    assert_eq!(held.json()["messages"].as_array().unwrap().len(), 0);
}

async fn h5_mixed_case_and_lists_in_the_upgrade_headers_are_fine(variant: Variant) {
    let server = TestServer::start(variant).await;
    for (connection, upgrade) in [
        ("keep-alive, Upgrade", "websocket"),
        ("UPGRADE", "WebSocket"),
        ("upgrade,foo", "WEBSOCKET"),
        (" Keep-Alive ,  upgrade ", "websocket"),
    ] {
        let headers: [(&str, &[u8]); 2] = [
            ("Connection", connection.as_bytes()),
            ("Upgrade", upgrade.as_bytes()),
        ];
        let mut ws = Ws::open(server.addr, "/c/a", &headers).await;
        ws.text("hi").await;
        assert!(matches!(ws.next().await, Said::Heard(heard) if heard.text() == "hi"));
    }
}

async fn h6_a_subprotocol_is_echoed_only_if_offered_and_known(variant: Variant) {
    let server = TestServer::start(variant).await;
    for offered in [
        "",
        "chat",
        "jwt.eyJhbGciOi.secret",
        "fanwire.envelope2",
        "FANWIRE",
    ] {
        let headers: [(&str, &[u8]); 1] = [("Sec-WebSocket-Protocol", offered.as_bytes())];
        let ws = Ws::open(server.addr, "/c/a", &headers).await;
        assert_eq!(ws.head.header("sec-websocket-protocol"), None, "{offered}");
    }
    for offered in [
        "fanwire.envelope",
        "chat, fanwire.envelope",
        "fanwire.envelope,x",
    ] {
        let headers: [(&str, &[u8]); 1] = [("Sec-WebSocket-Protocol", offered.as_bytes())];
        let mut ws = Ws::open(server.addr, "/c/a", &headers)
            .await
            .enveloped(true);
        assert_eq!(
            ws.head.header("sec-websocket-protocol"),
            Some("fanwire.envelope")
        );
        assert!(matches!(ws.next().await, Said::Ready(_)));
    }
    let headers: [(&str, &[u8]); 2] = [
        ("Sec-WebSocket-Protocol", b"chat"),
        ("Sec-WebSocket-Protocol", b"fanwire.envelope"),
    ];
    let ws = Ws::open(server.addr, "/c/a", &headers).await;
    assert_eq!(
        ws.head.header("sec-websocket-protocol"),
        Some("fanwire.envelope")
    );
}

async fn h7_extensions_are_declined(variant: Variant) {
    let server = TestServer::start(variant).await;
    for offered in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "x-webkit-deflate-frame, ;;;,=,\"",
        "permessage-deflate; a=\"quoted; value\"; a=1; a=2",
    ] {
        let headers: [(&str, &[u8]); 1] = [("Sec-WebSocket-Extensions", offered.as_bytes())];
        let mut ws = Ws::open(server.addr, "/c/a", &headers).await;
        assert_eq!(ws.head.header("sec-websocket-extensions"), None);
        ws.text("hi").await;
        assert!(matches!(ws.next().await, Said::Heard(heard) if heard.text() == "hi"));
    }
}

async fn h9_frames_in_the_same_packet_as_the_request_are_heard_in_order(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut listener = Listener::open(Transport::WsRaw, server.addr, "a", "").await;
    let mut bytes = upgrade(server.addr, "/c/a", &[]);
    for at in 0..20 {
        bytes.extend(frame(0x81, format!("early {at}").as_bytes()));
    }
    bytes.extend(close(1000, b"bye"));
    let mut ws = Ws::try_send(server.addr, &bytes).await.unwrap().unwrap();
    let expected: Vec<String> = (0..20).map(|at| format!("early {at}")).collect();
    assert_eq!(listener.texts(20).await, expected);
    assert_eq!(ws.closed().await.0, 1000);
}

async fn format_and_several_channels_choose_the_envelope(variant: Variant) {
    let server = TestServer::start(variant).await;
    for target in [
        "/c/a?format=envelope",
        "/c/a,b",
        "/c?channel=a&channel=b",
        "/c/a,b?format=raw",
    ] {
        let mut ws = Ws::open(server.addr, target, &[]).await.enveloped(true);
        assert!(matches!(ws.next().await, Said::Ready(_)), "{target}");
    }
    let mut ws = Ws::open(server.addr, "/c/a?format=raw", &[]).await;
    server.publish("a", "data only").await;
    assert!(
        matches!(ws.next().await, Said::Heard(h) if h.kind == Kind::Raw && h.text() == "data only")
    );
}

async fn h8_a_handshake_that_drips_is_cut_with_408(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.http.header_timeout = Duration::from_millis(400);
        config.ws.handshake = Duration::from_millis(400);
    })
    .await;
    let bytes = upgrade(server.addr, "/c/a", &[]);
    let mut http = Http::connect(server.addr).await;
    let mut answered = Err(Ending::Reset);
    for byte in &bytes {
        if http.wire.send(&[*byte]).await.is_err() {
            break;
        }
        tokio::select! {
            answer = http.wire.fill() => { answered = answer; break }
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
    assert_eq!(answered, Ok(()), "cut without a word");
    http.answer().await.unwrap().refused(408, "request_timeout");
    assert_eq!(http.wire.rest().await.0, b"");
}

async fn h10_long_heads_are_414_or_431(variant: Variant) {
    let server = TestServer::start(variant).await;
    let long = "x".repeat(200_000);
    let answer = http::get(server.addr, &format!("/c/{long}"), &[]).await;
    answer.refused(414, "uri_too_long");
    let answer = http::get(server.addr, "/c/a", &[("X-Long", &long)]).await;
    answer.refused(431, "headers_too_large");
    let headers: [(&str, &[u8]); 1] = [("X-Long", long.as_bytes())];
    refusal(&server, &headers)
        .await
        .refused(431, "headers_too_large");
}

async fn h11_tls_on_the_plain_port_is_400_and_no_hang(variant: Variant) {
    let server = TestServer::start(variant).await;
    let mut hello = vec![
        0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
    ];
    hello.extend((0..506).map(|at| at as u8));
    let answer = http::raw(server.addr, &hello).await;
    assert!(answer.is_ok_and(|answer| answer.status == 400));
}

async fn h12_a_proxy_protocol_line_is_400(variant: Variant) {
    let server = TestServer::start(variant).await;
    let get = request("GET", "/healthz", &[("Host", b"localhost")], b"");
    let text = [b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".as_slice(), &get].concat();
    let binary = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(),
        &[0; 12],
        &get,
    ]
    .concat();
    for bytes in [text, binary] {
        let answer = http::raw(server.addr, &bytes).await.unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}
