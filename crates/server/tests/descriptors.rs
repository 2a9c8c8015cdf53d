//! Alone in its process: it takes the descriptors away.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Connections that the server has descriptors for.
const FREE: usize = 2;

fn limit_to(more: usize) {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() - 1;
    let limit = Rlimit {
        current: Some((open + more) as u64),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

async fn is_answered(stream: &mut TcpStream) {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn x8_without_descriptors_the_server_waits_and_serves_on() {
    let mut config = fanwire::Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let running = fanwire::Server::new(config).unwrap().start().await.unwrap();
    // Descriptors of the clients are taken before there are none.
    let sockets: Vec<TcpSocket> = (0..6).map(|_| TcpSocket::new_v4().unwrap()).collect();
    limit_to(FREE);
    let mut clients = Vec::new();
    for socket in sockets {
        clients.push(socket.connect(running.addr()).await.unwrap());
    }
    let mut waiting = clients.split_off(FREE);
    for client in &mut clients {
        is_answered(client).await;
    }
    // Some hole among the numbers may have let one more in, but not all.
    assert!(running.connections() < FREE + waiting.len());
    // One more descriptor each for client and server becomes free by every end.
    drop(clients);
    while let Some(mut client) = waiting.pop() {
        is_answered(&mut client).await;
    }
    limit_to(64);
    running.shutdown().await;
}
