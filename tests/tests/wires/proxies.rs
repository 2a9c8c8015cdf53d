//! Who a proxy speaks for (R1, R2, R3): `X-Forwarded-For`, `Forwarded` and the
//! PROXY protocol, from configured addresses and from others.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fanwire::Config;
use fanwire::config::{Network, ProxyHeader};
use fanwire_tests::http::{Head, Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::{Ending, Wire};
use fanwire_tests::ws::Ws;

use crate::table::{modes, once};

once!(
    r1_a_header_of_anyone_but_a_proxy_is_ignored,
    r1_forwarded_is_read_where_it_was_chosen,
    r1_an_answered_request_gives_its_place_back,
    r1_a_proxy_protocol_header_names_the_client,
    r1_a_proxy_without_a_good_header_is_closed,
    h12_a_proxy_protocol_line_of_anyone_else_is_400,
);
modes!(
    r1_r2_r3_behind_a_proxy_the_forwarded_address_is_limited,
    r3_polls_on_one_connection_are_each_for_whom_they_are_sent,
);

/// Loopback is a proxy, and an address may have two of anything.
fn proxied(config: &mut Config) {
    config.access.open = true;
    config.access.proxies = vec![Network::parse("127.0.0.1").unwrap()];
    config.limits.connections_per_ip = 2;
}

async fn keyed(server: &TestServer, headers: &[(&str, &str)], body: &str) -> u16 {
    let headers = [headers, &[("Idempotency-Key", "k")]].concat();
    server.post("a", &headers, body.as_bytes()).await.status
}

async fn r1_a_header_of_anyone_but_a_proxy_is_ignored(variant: Variant) {
    let publishers = [
        [("X-Forwarded-For", "203.0.113.1")],
        [("X-Forwarded-For", "203.0.113.2")],
    ];
    // To the proxy's word they are two publishers, each with a key of its own.
    let server = TestServer::with(variant, proxied).await;
    assert_eq!(keyed(&server, &publishers[0], "one").await, 200);
    assert_eq!(keyed(&server, &publishers[1], "two").await, 200);
    assert_eq!(keyed(&server, &publishers[0], "two").await, 422);
    // To anyone else's they are one, whatever they write.
    for proxies in [vec![], vec![Network::parse("192.0.2.0/24").unwrap()]] {
        let server = TestServer::with(variant, |config| {
            proxied(config);
            config.access.proxies = proxies;
        })
        .await;
        assert_eq!(keyed(&server, &publishers[0], "one").await, 200);
        assert_eq!(keyed(&server, &publishers[1], "two").await, 422);
        let mut streams = Vec::new();
        for _ in 0..4 {
            let from: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"203.0.113.1")];
            streams.push(Ws::open(server.addr, "/c/a", &from).await);
        }
    }
}

async fn r1_forwarded_is_read_where_it_was_chosen(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        proxied(config);
        config.access.proxy_header = ProxyHeader::Forwarded;
    })
    .await;
    let same = ("X-Forwarded-For", "203.0.113.9");
    let one = [("Forwarded", "for=203.0.113.1;proto=https"), same];
    let two = [
        ("Forwarded", "for=203.0.113.1, for=\"203.0.113.2:99\""),
        same,
    ];
    assert_eq!(keyed(&server, &one, "one").await, 200);
    assert_eq!(keyed(&server, &two, "two").await, 200);
    assert_eq!(keyed(&server, &one, "two").await, 422);
}

async fn r1_r2_r3_behind_a_proxy_the_forwarded_address_is_limited(variant: Variant) {
    let server = TestServer::with(variant, proxied).await;
    let here = &[("X-Forwarded-For", "6.6.6.6, 2a00:0:0:1::1")];
    let raw: &[(&str, &[u8])] = &[("X-Forwarded-For", here[0].1.as_bytes())];
    let there = &[("X-Forwarded-For", "203.0.113.1")];
    // Two of one /64, by one connection each: a stream and a parked poll.
    let mut one = Sse::open(server.addr, "/c/a", raw).await;
    let mut two = Http::connect(server.addr).await;
    let neighbour: [(&str, &[u8]); 2] = [
        ("Host", b"localhost"),
        ("X-Forwarded-For", b"[2a00:0:0:1::ffff]:99"),
    ];
    let poll = request("GET", "/c/a?wait=55", &neighbour, b"");
    two.wire.send(&poll).await.unwrap();
    until("the poll to park", || {
        (server.stats().subscribers == 2).then_some(())
    })
    .await;

    // The third is told so, as its kind can hear it; the connection is the
    // proxy's, and stays for others.
    let mut http = Http::connect(server.addr).await;
    let refused = http.ask("GET", "/c/a", here, b"").await;
    refused.refused(429, "connection_limit");
    let refused = http.ask("POST", "/c/a", here, b"x").await;
    refused.refused(429, "connection_limit");
    let other = http.ask("GET", "/c/a", there, b"").await;
    assert_eq!(other.status, 200);
    let mut put_off = Sse::open(server.addr, "/c/a", raw).await;
    assert_eq!(put_off.next().await, Said::Ended);
    assert!(put_off.retry.is_some_and(|ms| ms >= 2_000));
    let mut ws = Ws::open(server.addr, "/c/a", raw).await;
    assert_eq!(ws.closed().await.0, 3504);
    assert_eq!(server.stats().subscribers, 2);

    // An answered poll gives its place back, a stream when it ends.
    http.ask("POST", "/c/a", there, b"hi").await.id();
    assert_eq!(two.answer().await.unwrap().status, 200);
    assert!(matches!(one.next().await, Said::Ready(_)));
    assert!(matches!(one.next().await, Said::Heard(_)));
    let mut ws = Ws::open(server.addr, "/c/a", raw).await;
    http.ask("GET", "/c/a", here, b"")
        .await
        .refused(429, "connection_limit");
    drop(one);
    within("the stream's place", async {
        while http.ask("GET", "/c/a", here, b"").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    http.ask("POST", "/c/a", there, b"more").await.id();
    assert!(matches!(ws.next().await, Said::Heard(_)));
}

async fn r1_an_answered_request_gives_its_place_back(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        proxied(config);
        config.limits.connections_per_ip = 1;
    })
    .await;
    let here = &[("X-Forwarded-For", "203.0.113.1")];
    let mut http = Http::connect(server.addr).await;
    for at in 0..20 {
        http.ask("POST", "/c/a", here, b"x").await.id();
        assert_eq!(http.ask("GET", "/c/a", here, b"").await.status, 200, "{at}");
        let gone = http.ask("GET", "/c/a?rewind=x", here, b"").await;
        assert_eq!(gone.status, 400);
        let waited = http.ask("GET", "/c/a?wait=0", here, b"").await;
        assert_eq!(waited.status, 200);
    }
}

async fn r3_polls_on_one_connection_are_each_for_whom_they_are_sent(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        proxied(config);
        config.limits.connections_per_ip = 1;
    })
    .await;
    let clients = ["203.0.113.1", "203.0.113.2"];
    let mut proxy = Http::connect(server.addr).await;
    let mut other = Http::connect(server.addr).await;
    for round in 0..6 {
        let from = [
            ("Host", &b"localhost"[..]),
            ("X-Forwarded-For", clients[round % 2].as_bytes()),
        ];
        let poll = request("GET", "/c/a?wait=55", &from, b"");
        proxy.wire.send(&poll).await.unwrap();
        until("the poll to park", || {
            (server.stats().subscribers == 1).then_some(())
        })
        .await;
        let same = &[("X-Forwarded-For", clients[round % 2])];
        let refused = other.ask("GET", "/c/a", same, b"").await;
        refused.refused(429, "connection_limit");
        let next = &[("X-Forwarded-For", clients[(round + 1) % 2])];
        other.ask("POST", "/c/a", next, b"hi").await.id();
        assert_eq!(proxy.answer().await.unwrap().status, 200);
    }
}

/// A header of version 2 for an IPv4 client.
fn version_2(source: [u8; 4]) -> Vec<u8> {
    let addresses = [&source[..], &[127, 0, 0, 1], &[0x12, 0x34, 0, 80]].concat();
    let tlv = b"\x04\x00\x03xyz";
    let length = (addresses.len() + tlv.len()) as u16;
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11";
    [&start[..], &length.to_be_bytes(), &addresses, tlv].concat()
}

async fn by_proxy(server: &TestServer, header: &[u8]) -> Http {
    let mut wire = Wire::connect(server.addr).await;
    wire.send(header).await.unwrap();
    Http::over(wire, server.addr)
}

async fn r1_a_proxy_protocol_header_names_the_client(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        proxied(config);
        config.listen.proxy_protocol = true;
    })
    .await;
    // The header in the packet of the request, and byte by byte.
    let first = version_2([203, 0, 113, 7]);
    let ask = request("GET", "/c/a?format=sse", &[("Host", b"localhost")], b"");
    let mut wire = Wire::connect(server.addr).await;
    wire.send(&[&first[..], &ask].concat()).await.unwrap();
    let head = Head::read(&mut wire).await.unwrap();
    let mut one = Sse::over(wire, head);
    let mut two = Http::connect(server.addr).await;
    for byte in b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 80\r\n" {
        two.wire.send(&[*byte]).await.unwrap();
    }
    two.ask("POST", "/c/a", &[], b"hi").await.id();
    assert!(matches!(one.next().await, Said::Ready(_)));
    assert!(matches!(one.next().await, Said::Heard(_)));

    // Each connection counts for the client, and one past the limit is told so.
    let mut three = by_proxy(&server, &version_2([203, 0, 113, 7])).await;
    let refused = three.ask("GET", "/c/a", &[], b"").await;
    refused.refused(429, "connection_limit");
    assert_eq!(three.wire.rest().await, (Vec::new(), Ending::Fin));
    let mut other = by_proxy(&server, &version_2([203, 0, 113, 8])).await;
    assert_eq!(other.ask("GET", "/c/a", &[], b"").await.status, 200);
    // Whom the client says that it speaks for is nothing.
    let said = [("Idempotency-Key", "k"), ("X-Forwarded-For", "1.2.3.4")];
    other.ask("POST", "/c/a", &said, b"one").await.id();
    let said = [("Idempotency-Key", "k"), ("X-Forwarded-For", "1.2.3.5")];
    let twin = other.ask("POST", "/c/a", &said, b"two").await;
    assert_eq!(twin.status, 422);

    // A proxy for itself, and for whom it cannot say, is counted as what it is.
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00",
    ] {
        let mut all = Vec::new();
        for _ in 0..3 {
            let mut own = by_proxy(&server, header).await;
            assert_eq!(own.ask("GET", "/healthz", &[], b"").await.status, 200);
            all.push(own);
        }
    }
    // When they end, their places are free.
    drop((one, two));
    within("a place", async {
        let from = version_2([203, 0, 113, 7]);
        while by_proxy(&server, &from)
            .await
            .ask("GET", "/c/a", &[], b"")
            .await
            .status
            != 200
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn r1_a_proxy_without_a_good_header_is_closed(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        proxied(config);
        config.listen.proxy_protocol = true;
        config.http.header_timeout = Duration::from_millis(200);
    })
    .await;
    for bad in [
        &b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"PROXY TCP4 1.2.3.4\r\n",
        b"PROXY TCP4 1.2.3.",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"",
    ] {
        let mut wire = Wire::connect(server.addr).await;
        // It may be closed before all of it is sent.
        let _ = wire.send(bad).await;
        let (bytes, _) = wire.rest().await;
        assert_eq!(bytes, b"", "{}", bad.escape_ascii());
    }
    until("all to be gone", || {
        (server.connections() == 0).then_some(())
    })
    .await;
}

async fn h12_a_proxy_protocol_line_of_anyone_else_is_400(variant: Variant) {
    let server = TestServer::with(variant, |config| {
        proxied(config);
        config.access.proxies = vec![Network::parse("192.0.2.0/24").unwrap()];
        config.listen.proxy_protocol = true;
    })
    .await;
    for header in [
        &b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 80\r\n"[..],
        &version_2([203, 0, 113, 7]),
    ] {
        let mut http = by_proxy(&server, header).await;
        http.wire.send(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        http.answer().await.unwrap().refused(400, "bad_request");
    }
    // Who is no proxy needs none.
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut http = Http::over(Wire::connect_from(here, server.addr, 0).await, server.addr);
    assert_eq!(http.ask("GET", "/healthz", &[], b"").await.status, 200);
    drop(Listener::open(Transport::WsRaw, server.addr, "a", "").await);
}
