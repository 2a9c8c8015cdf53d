//! `fanwire demo`: starts, says where, ends.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpListener;

use common::{Running, fanwire, request, run};

fn port(line: &str) -> u16 {
    let digits = line.rsplit("localhost:").next().unwrap();
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}

#[test]
fn it_says_where_serves_on_both_ports_and_ends_by_ctrl_c() {
    let args = ["demo", "--port", "0", "--ws-port", "0"];
    let running = Running::start(&mut fanwire(&args));
    let said = running.lines(3);
    assert!(said[0].contains("http://localhost:"), "{said:?}");
    assert!(said[1].contains("ws://localhost:"), "{said:?}");
    for line in &said[..2] {
        let (head, body) = request(port(line), "GET /", "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(body.contains("/demo/chat"), "{body}");
    }
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn without_the_second_port_there_is_one() {
    let args = [
        "demo",
        "--port",
        "0",
        "--no-ws-port",
        "--address",
        "127.0.0.1",
    ];
    let running = Running::start(&mut fanwire(&args));
    let said = running.lines(2);
    assert!(!said.concat().contains("ws://"), "{said:?}");
    running.signal("TERM");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = run(&["demo", "--port", &port, "--ws-port", "0"]);
    assert_eq!(refused.code, Some(1));
    for word in [port.as_str(), "--port", "--ws-port"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
}
