//! Peers that vanish without a word (S6, X7): their network goes down, and
//! nothing of theirs comes any more, no acknowledgement and no reset. Needs a
//! network of its own, which only root may make; in a process of its own.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::wait::until;

/// A network namespace with one cable to here; gone when dropped.
struct Island {
    name: String,
    here: String,
    /// The first three parts of this side's address, and the last. Its own, so
    /// that two runs on one machine do not meet.
    net: (String, u32),
}

fn ip(line: &str) -> bool {
    let output = Command::new("ip").args(line.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

impl Island {
    /// None where this process may not.
    fn new() -> Option<Self> {
        let id = std::process::id() % 16_384;
        let (name, here) = (format!("fw{id}"), format!("fwh{id}"));
        if !ip(&format!("netns add {name}")) {
            return None;
        }
        // Of the block for tests of networks (RFC 2544), a /30.
        let net = (format!("198.18.{}", id / 64), id % 64 * 4 + 1);
        let island = Self { name, here, net };
        let (name, here, (net, last)) = (&island.name, &island.here, &island.net);
        let there = last + 1;
        let ready = ip(&format!(
            "link add {here} type veth peer name eth0 netns {name}"
        )) && ip(&format!("addr add {net}.{last}/30 dev {here}"))
            && ip(&format!("link set {here} up"))
            && ip(&format!("-n {name} addr add {net}.{there}/30 dev eth0"))
            && ip(&format!("-n {name} link set eth0 up"));
        ready.then_some(island)
    }

    /// A client there that asks, and listens for as long as it lives.
    fn client(&self, to: SocketAddr, request: &str) -> Child {
        let script = format!(
            "exec 3<>/dev/tcp/{}/{}; printf '{request}' >&3; exec cat <&3",
            to.ip(),
            to.port()
        );
        Command::new("ip")
            .args(["netns", "exec", &self.name, "bash", "-c", &script])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// A free port on this side.
    fn address(&self) -> SocketAddr {
        let (net, last) = &self.net;
        format!("{net}.{last}:0").parse().unwrap()
    }

    fn cut(&self) {
        assert!(ip(&format!("link set {} down", self.here)));
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
        ip(&format!("link del {}", self.here));
    }
}

async fn vanish(island: Island, variant: Variant) {
    let server = TestServer::with(variant, |config| {
        config.access.open = true;
        config.listen.addresses = vec![island.address()];
        let second = Duration::from_secs(1);
        (config.sse.comment_min, config.sse.comment_max) = (second, second);
        (config.ws.ping, config.ws.timeout) = (second, second);
        config.limits.write_progress = 2 * second;
    })
    .await;
    let host = "Host: localhost\\r\\n";
    let requests = [
        format!("GET /c/a?format=sse HTTP/1.1\\r\\n{host}\\r\\n"),
        format!("GET /c/a?wait=1 HTTP/1.1\\r\\n{host}\\r\\n"),
        format!(
            "GET /c/a HTTP/1.1\\r\\n{host}Upgrade: websocket\\r\\nConnection: Upgrade\\r\\n\
             Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
        ),
    ];
    let mut clients: Vec<Child> = requests
        .iter()
        .map(|request| island.client(server.addr, request))
        .collect();
    until("all to listen", || {
        (server.stats().subscribers == 3).then_some(())
    })
    .await;
    island.cut();
    // A stream by its comments, a poll by its answer, a WebSocket by its ping.
    until("all to be found gone", || {
        let none = server.stats().subscribers == 0 && server.connections() == 0;
        none.then_some(())
    })
    .await;
    for client in &mut clients {
        let _ = (client.kill(), client.wait());
    }
}

#[test]
fn s6_x7_peers_that_vanished_without_a_word_are_found() {
    for variant in [Variant::MEMORY, Variant::MEMORY_PULL] {
        let Some(island) = Island::new() else {
            // Past libtest's capture: `cargo xtask test` counts this line.
            let why = "SKIPPED peers that vanish: no right to make a network namespace";
            writeln!(std::io::stdout(), "\n{why}").unwrap();
            return;
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(vanish(island, variant));
        runtime.shutdown_background();
    }
}
