//! `fanwire serve` gives memory back.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use common::{PATIENCE, Served, request, serve};

const STREAMS: usize = 800;

/// KiB of its own that the server holds.
fn held(served: &Served) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.running.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next())
        .unwrap()
        .parse()
        .unwrap()
}

/// Event streams that have begun.
fn flood(served: &Served) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
        let head = "GET /c/a?format=sse HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut some = [0; 4096];
        assert!(stream.read(&mut some).unwrap() > 0);
        stream
    };
    (0..STREAMS).map(open).collect()
}

#[test]
fn memory_is_back_after_a_flood_of_streams() {
    let served = serve(&[]);
    request(served.port, "GET /", "");
    let before = held(&served);
    for _ in 0..3 {
        let streams = flood(&served);
        let full = held(&served);
        assert!(full - before > STREAMS as i64, "{before} {full}");
        drop(streams);
        let begun = Instant::now();
        // Pages that something long-lived stands on stay: a third of so small a
        // flood. An allocator that gives nothing back keeps three quarters.
        while held(&served) - before > (full - before) / 2 {
            assert!(
                begun.elapsed() < PATIENCE,
                "{before} {full} {}",
                held(&served)
            );
            request(served.port, "GET /healthz", "");
        }
    }
}
