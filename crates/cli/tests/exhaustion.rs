//! The built server without descriptors, and under what should fill its log.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use common::{PATIENCE, Running, fanwire, request, serve_on};

/// Descriptors of the process: a few of its own, and those of its connections.
const DESCRIPTORS: usize = 90;

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, request: &str) {
    stream.write_all(request.as_bytes()).unwrap();
}

/// Reads until `part` has come.
fn hear(stream: &mut TcpStream, part: &str) {
    let mut heard = Vec::new();
    let mut some = [0; 4096];
    while !heard
        .windows(part.len())
        .any(|window| window == part.as_bytes())
    {
        let count = stream.read(&mut some).unwrap();
        let text = String::from_utf8_lossy(&heard);
        assert!(count > 0, "ended before {part:?}: {text}");
        heard.extend_from_slice(&some[..count]);
    }
}

/// Microseconds of the day, by which a line of the log begins.
fn written_at(line: &str) -> u64 {
    let time = line.split_once('T').unwrap().1.split_once('Z').unwrap().0;
    let (clock, fraction) = time.split_once('.').unwrap();
    let seconds = clock
        .split(':')
        .fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap());
    seconds * 1_000_000 + fraction.parse::<u64>().unwrap()
}

#[test]
fn x8_out_of_descriptors_the_server_serves_on_and_recovers() {
    let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.env_clear().args([
        "-c",
        &limited,
        env!("CARGO_BIN_EXE_fanwire"),
        "serve",
        "--listen=127.0.0.1:0",
        "--log=debug",
        "--http-first-byte-timeout=10m",
        "--http-keep-alive=10m",
    ]);
    let running = Running::start(&mut command);
    let port: u16 = {
        let line = running.line();
        let url = line.split([' ', ',']).find(|word| word.contains("://"));
        url.unwrap().rsplit(':').next().unwrap().parse().unwrap()
    };
    let mut stream = connect(port);
    ask(
        &mut stream,
        "GET /c/a?format=sse HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    hear(&mut stream, "$ready");
    let mut publisher = connect(port);
    let mut publish = |text: &str, stream: &mut TcpStream| {
        let length = text.len();
        ask(
            &mut publisher,
            &format!(
                "POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{text}"
            ),
        );
        hear(&mut publisher, "{\"id\":");
        hear(stream, &format!("data: {text}\n"));
    };
    publish("before", &mut stream);

    // The system takes them in; the server has no descriptor for all of them.
    let idle: Vec<TcpStream> = (0..DESCRIPTORS).map(|_| connect(port)).collect();
    let first = running.hears("cannot accept");
    for at in 0..20 {
        publish(&format!("meanwhile {at}"), &mut stream);
    }
    // It waits between two tries, 50 ms at least, and complains now and then.
    let mut last = String::new();
    for _ in 0..6 {
        last = running.hears("cannot accept");
    }
    let between = (written_at(&last) + 86_400_000_000 - written_at(&first)) % 86_400_000_000;
    assert!(between >= 6 * 50_000, "six tries within {between} µs");
    assert!(first.contains("ERROR"), "{first}");
    let soon = between < 9_000_000;
    assert!(
        !(soon && last.contains("ERROR")),
        "two complaints within 10 s"
    );

    drop(idle);
    // Who waited, and who comes now, gets in.
    let (head, _) = request(port, "GET /healthz", "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    publish("after", &mut stream);
    drop(stream);
    running.signal("TERM");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn x13_nothing_that_a_client_sends_writes_to_the_log() {
    let mut flags = fanwire(&["--limits-connections=20", "--http-header-timeout=200ms"]);
    let served = serve_on(0, &mut flags);
    let upgrade = "GET /c/a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let bad: [&[u8]; 9] = [
        b"\x16\x03\x01 hello",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"GET /c/a%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /c/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n",
        b"POST /c/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
        b"GET /c/a HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        &[upgrade.as_bytes(), b"\x81\x05hello"].concat(),
        &[upgrade.as_bytes(), b"\xc1\x80\0\0\0\0"].concat(),
    ];
    for _ in 0..10 {
        // More at once than are taken in.
        let mut open: Vec<TcpStream> = (0..36).map(|_| connect(served.port)).collect();
        for (stream, bytes) in open.iter_mut().zip(bad.iter().cycle()) {
            // A connection too many may be gone already.
            let _ = stream.write_all(bytes);
        }
        for stream in &mut open {
            let _ = stream.read(&mut [0; 64]);
        }
    }
    served.running.signal("TERM");
    let ended = served.running.end();
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(ended.code, Some(0), "{lines:?}");
    let [stopping, stopped] = lines.as_slice() else {
        panic!("more than its end was said: {lines:?}");
    };
    assert!(stopping.starts_with("stopping: ") && stopped.starts_with("stopped: "));
}
