//! The built server stopped for a while and continued.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::{PATIENCE, Running, request, serve, until};

const PING: u8 = 0x89;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

fn open(port: u16, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("{head}\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())
        .unwrap();
    stream
}

/// Reads until `part` has come.
fn hear(stream: &mut TcpStream, part: &str) {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(part.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
}

fn web_socket(port: u16) -> TcpStream {
    let upgrade = "GET /c/a HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut socket = open(port, upgrade);
    hear(&mut socket, "\r\n\r\n");
    socket
}

/// The next frame: its first byte and its payload, a short one.
fn frame(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    socket.read_exact(&mut head).unwrap();
    let mut payload = vec![0; usize::from(head[1])];
    socket.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

fn pong(socket: &mut TcpStream) {
    socket.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).unwrap();
}

/// True once no thread of the process runs.
fn is_stopped(running: &Running) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", running.id())).unwrap();
    tasks.flatten().all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap();
        stat.rsplit(')').next().unwrap().trim().starts_with('T')
    })
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time that the server stands still; nothing is waited for"
)]
fn p7_after_a_stop_who_is_gone_is_closed_and_who_answered_is_not() {
    let served = serve(&["--ws-ping=300ms", "--ws-timeout=2s"]);
    let mut events = open(served.port, "GET /c/a?format=sse HTTP/1.1");
    hear(&mut events, "$ready");
    let (mut live, mut gone) = (web_socket(served.port), web_socket(served.port));
    for socket in [&mut live, &mut gone] {
        assert_eq!(frame(socket).0, PING);
    }
    served.running.signal("STOP");
    until("the server to stand still", || is_stopped(&served.running));
    // Its answer waits in the socket when the time-out has long passed.
    pong(&mut live);
    // The stop itself: longer than a ping's interval and time-out together, by
    // more than the second that could be load.
    thread::sleep(Duration::from_millis(3_700));
    served.running.signal("CONT");
    let living = thread::spawn(move || {
        loop {
            match frame(&mut live) {
                (PING, _) => pong(&mut live),
                (TEXT, text) => return text,
                (kind, payload) => panic!("closed, or worse: {kind:x} {payload:?}"),
            }
        }
    });
    // From then on it has a time-out more, like everyone who was asked.
    let words = loop {
        match frame(&mut gone) {
            (PING, _) => {}
            (kind, payload) => break (kind, payload),
        }
    };
    assert_eq!(words.0, CLOSE);
    assert_eq!(words.1[..2], 3012_u16.to_be_bytes());
    let (head, _) = request(served.port, "POST /c/a", "after");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    hear(&mut events, "data: after");
    assert_eq!(living.join().unwrap(), b"after");
}
