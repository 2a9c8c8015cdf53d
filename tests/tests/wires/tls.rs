//! TLS: handshakes, their bounds, the files, and the ends. (The promises
//! themselves run over it in the table, as `tls::…`.)

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use fanwire::Config;
use fanwire_tests::http::{self, Http, request};
use fanwire_tests::listener::{Listener, Transport};
use fanwire_tests::secure::{config, shake, shake_as};
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::{until, within};
use fanwire_tests::wire::{Ending, Wire};
use fanwire_tests::ws::Ws;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::table::run;

macro_rules! tests {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn tls() {
                super::run(super::$name());
            }
        }
    )+ };
}

tests!(
    both_versions_are_spoken_and_the_older_can_be_switched_off,
    alpn_prefers_http2_and_decides_what_is_spoken,
    without_alpn_the_first_bytes_decide,
    who_agreed_on_one_http_and_speaks_another_is_told_so,
    sessions_are_resumed_by_ticket_on_both_versions,
    x1_a_dripped_handshake_is_cut_and_holds_no_slot,
    x1_handshakes_beyond_the_bound_wait_and_are_served,
    z4_a_handshake_under_way_does_not_hold_the_end,
    h11_plain_http_on_a_tls_address_gets_an_alert_and_the_end,
    plain_addresses_speak_in_the_clear_beside,
    every_end_in_order_says_so_before_the_fin,
    a_peer_that_never_answers_close_notify_does_not_hold_the_end,
    a_peer_that_hangs_up_without_close_notify_is_let_go,
    files_are_read_again_when_they_change_and_a_bad_pair_changes_nothing,
    a_key_of_another_certificate_is_refused_at_start,
);

async fn secured() -> TestServer {
    TestServer::start(Variant::MEMORY_TLS).await
}

async fn tcp(server: &TestServer) -> TcpStream {
    within("a connection", TcpStream::connect(server.addr))
        .await
        .unwrap()
}

async fn both_versions_are_spoken_and_the_older_can_be_switched_off() {
    let server = secured().await;
    let strict = TestServer::with(Variant::MEMORY_TLS, |config| {
        config.tls.min_version = "1.3".to_owned();
    })
    .await;
    for (version, spoken) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let client = config(&[b"http/1.1"], &[version]);
        let tls = shake_as(tcp(&server).await, client.clone()).await.unwrap();
        assert_eq!(tls.get_ref().1.protocol_version(), Some(spoken));
        let strict = shake_as(tcp(&strict).await, client).await;
        assert_eq!(strict.is_ok(), spoken == ProtocolVersion::TLSv1_3);
    }
}

async fn alpn_prefers_http2_and_decides_what_is_spoken() {
    let server = secured().await;
    let both: [&[u8]; 2] = [b"http/1.1", b"h2"];
    let tls = shake(tcp(&server).await, &both).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let refused = shake(tcp(&server).await, &[b"smtp"]).await.unwrap_err();
    assert!(
        refused.to_string().contains("NoApplicationProtocol"),
        "{refused}"
    );
    let mut http = Http::connect2(server.addr).await;
    assert_eq!(http.ask("GET", "/healthz", &[], b"").await.text(), "ok");
}

async fn without_alpn_the_first_bytes_decide() {
    let server = secured().await;
    let tls = shake(tcp(&server).await, &[]).await.unwrap();
    let mut http = Http::over(Wire::secured(tls), server.addr);
    assert_eq!(http.ask("GET", "/healthz", &[], b"").await.text(), "ok");
    let tls = shake(tcp(&server).await, &[]).await.unwrap();
    let mut wire = Wire::secured(tls);
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    assert_eq!(wire.take(5).await.unwrap()[3], 4, "SETTINGS");
}

async fn who_agreed_on_one_http_and_speaks_another_is_told_so() {
    let server = secured().await;
    let tls = shake(tcp(&server).await, &[b"h2"]).await.unwrap();
    let mut wire = Wire::secured(tls);
    let bytes = request("GET", "/healthz", &[("Host", b"localhost")], b"");
    wire.send(&bytes).await.unwrap();
    let (said, _) = wire.rest().await;
    // SETTINGS, then GOAWAY: never an answer.
    assert!(!said.windows(4).any(|four| four == b"HTTP"), "{said:?}");
    let mut wire = Wire::connect(server.addr).await;
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let (said, ending) = wire.rest().await;
    assert!(said.starts_with(b"HTTP/1.1 400 "), "{said:?}");
    assert_eq!(ending, Ending::Fin);
}

async fn sessions_are_resumed_by_ticket_on_both_versions() {
    let server = secured().await;
    for version in [&TLS12, &TLS13] {
        let client = config(&[b"http/1.1"], &[version]);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let tls = shake_as(tcp(&server).await, client.clone()).await.unwrap();
            assert_eq!(
                tls.get_ref().1.handshake_kind(),
                Some(expected),
                "{version:?}"
            );
            // The tickets of 1.3 come behind the handshake.
            let mut http = Http::over(Wire::secured(tls), server.addr);
            assert_eq!(http.ask("GET", "/healthz", &[], b"").await.status, 200);
        }
    }
}

/// The beginning of a client's first message, and not its end.
const HALF_A_HELLO: [u8; 11] = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

async fn x1_a_dripped_handshake_is_cut_and_holds_no_slot() {
    let server = TestServer::with(Variant::MEMORY_TLS, |config| {
        config.tls.handshake_timeout = Duration::from_millis(400);
        config.tls.handshakes = 1;
    })
    .await;
    let mut dripping = tcp(&server).await;
    for byte in HALF_A_HELLO {
        dripping.write_all(&[byte]).await.unwrap();
    }
    // The one slot is free meanwhile.
    assert_eq!(http::get(server.addr, "/healthz", &[]).await.text(), "ok");
    let mut silent = tcp(&server).await;
    let mut said = Vec::new();
    for slow in [&mut dripping, &mut silent] {
        let _ = within("the end", slow.read_to_end(&mut said)).await;
    }
    assert_eq!(said, b"");
    until("them to be counted out", || {
        (server.connections() == 0).then_some(())
    })
    .await;
}

async fn x1_handshakes_beyond_the_bound_wait_and_are_served() {
    let server = TestServer::with(Variant::MEMORY_TLS, |config| config.tls.handshakes = 1).await;
    let all: Vec<_> = (0..20)
        .map(|_| tokio::spawn(http::get(server.addr, "/healthz", &[])))
        .collect();
    for one in all {
        assert_eq!(within("an answer", one).await.unwrap().text(), "ok");
    }
}

async fn h11_plain_http_on_a_tls_address_gets_an_alert_and_the_end() {
    let server = secured().await;
    let mut wire = Wire::over(tcp(&server).await);
    let bytes = request("GET", "/healthz", &[("Host", b"localhost")], b"");
    wire.send(&bytes).await.unwrap();
    let (said, ending) = wire.rest().await;
    assert_eq!(
        (said.first(), ending),
        (Some(&21), Ending::Fin),
        "an alert: {said:?}"
    );
}

async fn plain_addresses_speak_in_the_clear_beside() {
    let server = TestServer::with(Variant::MEMORY_TLS, |config| {
        config.listen.plain_addresses = config.listen.addresses.clone();
    })
    .await;
    let plain = server.addrs()[1];
    let mut listener = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    let posted = http::post(plain, "/c/a", &[], b"across").await;
    assert_eq!(listener.message().await.id, Some(posted.id()));
}

async fn every_end_in_order_says_so_before_the_fin() {
    // The raw client takes a FIN without close_notify for a reset.
    let server = TestServer::with(Variant::MEMORY_TLS, |config| {
        config.http.keep_alive = Duration::from_millis(200);
    })
    .await;
    let mut idle = Http::connect(server.addr).await;
    assert_eq!(idle.ask("GET", "/healthz", &[], b"").await.status, 200);
    assert_eq!(idle.wire.rest().await.1, Ending::Fin, "idle for too long");
    let mut poller = Http::connect(server.addr).await;
    assert_eq!(poller.ask("GET", "/c/a?wait=0", &[], b"").await.status, 200);
    assert_eq!(poller.wire.rest().await.1, Ending::Fin, "after a poll");
    let mut last = Http::connect(server.addr).await;
    let answer = last
        .ask("GET", "/healthz", &[("Connection", "close")], b"")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(last.wire.rest().await.1, Ending::Fin, "Connection: close");
    let mut ws = Ws::envelope(server.addr, "/c/a").await;
    ws.wire
        .send(&fanwire_tests::ws::close(1000, b""))
        .await
        .unwrap();
    assert_eq!(ws.closed().await.0, 1000);
    assert_eq!(ws.wire.rest().await.1, Ending::Fin, "a WebSocket");
    let mut stream = Listener::open(Transport::SseRaw, server.addr, "a", "").await;
    stream.ready().await;
    let stopping = tokio::spawn(server.stop());
    stream.rest().await;
    let Listener::Sse(mut sse) = stream else {
        unreachable!()
    };
    assert_eq!(sse.wire.rest().await.1, Ending::Fin, "an event stream");
    assert_eq!(within("the server", stopping).await.unwrap().cut, 0);
}

async fn a_peer_that_never_answers_close_notify_does_not_hold_the_end() {
    let server = TestServer::with(Variant::MEMORY_TLS, |config| {
        config.ws.close_wait = Duration::from_millis(200);
    })
    .await;
    let mut http = Http::connect(server.addr).await;
    let answer = http
        .ask("GET", "/healthz", &[("Connection", "close")], b"")
        .await;
    assert_eq!(answer.status, 200);
    // The connection stays open on this side.
    until("it to be counted out", || {
        (server.connections() == 0).then_some(())
    })
    .await;
    drop(http);
}

async fn a_peer_that_hangs_up_without_close_notify_is_let_go() {
    let server = secured().await;
    let tls = shake(tcp(&server).await, &[]).await.unwrap();
    let mut wire = Wire::secured(tls);
    let target = "/c/a?format=sse";
    wire.send(&request("GET", target, &[("Host", b"localhost")], b""))
        .await
        .unwrap();
    wire.take_some().await.unwrap();
    until("the subscriber", || {
        (server.stats().subscribers == 1).then_some(())
    })
    .await;
    drop(wire);
    until("it to be let go", || {
        (server.stats().subscribers == 0 && server.connections() == 0).then_some(())
    })
    .await;
}

/// Files of one test, taken away at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("fanwire-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// Puts a file in place at once, as programs that renew certificates do.
    fn put(&self, name: &str, text: &[u8]) {
        let new = self.0.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.0.join(name)).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ONE: (&[u8], &[u8]) = (include_bytes!("tls/one.pem"), include_bytes!("tls/one.key"));
const TWO: (&[u8], &[u8]) = (include_bytes!("tls/two.pem"), include_bytes!("tls/two.key"));

async fn certificate(server: &TestServer) -> CertificateDer<'static> {
    let tls = shake(tcp(server).await, &[]).await.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

async fn files_are_read_again_when_they_change_and_a_bad_pair_changes_nothing() {
    let dir = Dir::new("tls");
    dir.put("chain", ONE.0);
    dir.put("key", ONE.1);
    let server = TestServer::with(Variant::MEMORY_TLS, |config| {
        config.tls.self_signed = false;
        config.tls.cert = dir.path("chain");
        config.tls.key = dir.path("key");
        config.tls.reload_interval = Duration::from_millis(20);
    })
    .await;
    let [one, two] = [ONE.0, TWO.0].map(|pem| CertificateDer::from_pem_slice(pem).unwrap());
    assert_eq!(certificate(&server).await, one);
    let mut stays = Listener::open(Transport::WsEnvelope, server.addr, "a", "").await;
    // The certificate alone: it has another key.
    dir.put("chain", TWO.0);
    for _ in 0..10 {
        assert_eq!(certificate(&server).await, one);
    }
    dir.put("key", TWO.1);
    let changed = async { while certificate(&server).await != two {} };
    within("the new certificate", changed).await;
    server.publish("a", "on").await;
    assert_eq!(stays.texts(1).await, ["on"], "connections stay");
}

async fn a_key_of_another_certificate_is_refused_at_start() {
    let dir = Dir::new("pair");
    dir.put("chain", ONE.0);
    dir.put("key", TWO.1);
    dir.put("nothing", b"-----BEGIN NOTHING-----\n");
    let start = async |cert: &str, key: &str| -> io::Error {
        let mut config = Config::default();
        config.listen.addresses = vec![([127, 0, 0, 1], 0).into()];
        (config.tls.cert, config.tls.key) = (dir.path(cert), dir.path(key));
        match fanwire::Server::new(config).unwrap().start().await {
            Ok(_) => panic!("it serves {cert} with {key}"),
            Err(error) => error,
        }
    };
    let why = start("chain", "key").await.to_string();
    assert!(
        why.contains("is not the key of the certificate in"),
        "{why}"
    );
    for (cert, key, setting) in [
        ("nothing", "key", "tls.cert"),
        ("chain", "nothing", "tls.key"),
        ("missing", "key", "tls.cert"),
    ] {
        let why = start(cert, key).await.to_string();
        assert!(why.starts_with(setting), "{why}");
    }
}

async fn z4_a_handshake_under_way_does_not_hold_the_end() {
    let server = secured().await;
    let mut stuck = tcp(&server).await;
    // The head of a record whose rest never comes (RFC 8446, 5.1).
    stuck.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    until("the connection to be taken in", || {
        (server.connections() == 1).then_some(())
    })
    .await;
    let stopped = server.stop().await;
    assert_eq!((stopped.ended, stopped.cut), (1, 0));
    drop(stuck);
}
