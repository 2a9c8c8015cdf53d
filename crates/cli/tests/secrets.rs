//! What nobody may read in a log: keys, tokens and the secrets behind them.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::{PATIENCE, fanwire, run, serve_on};

const KEY: &str = "MARKED-api-key-0123456789";
const SECRET: &str = "MARKED-signing-secret-0123456789abcdef";
/// By [`SECRET`]; ends in 2100.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDAsImZhbndpcmUiOnsic3Vic2NyaWJlIjpbIm5ld3MiXSwicHVibGlzaCI6WyJuZXdzIl19fQ.QPDQBYtFt--83trlUKHZQkPanzcpC4pOkZMJHKKDdxM";
/// Of the form of a token, and none.
const WRONG: &str = "eyJMARKED.eyJMARKED.MARKED";

/// Sends `bytes` and reads up to the end, or to an answer that holds `until`.
fn talk(port: u16, bytes: &[u8], until: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        said.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&said);
        if count == 0 || (!until.is_empty() && text.contains(until)) {
            return text.into_owned();
        }
    }
}

fn get(target: &str, header: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n")
        .into_bytes()
}

fn upgrade(target: &str, header: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: fanwire.envelope\r\n{header}\r\n"
    )
    .into_bytes()
}

/// A masked text frame, by a mask that changes nothing.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 0x80 | 126][..], &length, &[0; 4], text.as_bytes()].concat()
}

/// A GET of HTTP/2 (RFC 9113), its headers as plain literals (RFC 7541, 6.2.2).
fn get_by_http2(target: &str, name: &str, value: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let mut text = |text: &str| {
        match text.len() {
            short @ 0..127 => block.push(short as u8),
            long => {
                let over = long - 127;
                block.extend([127, (over & 127) as u8 | 128, (over >> 7) as u8]);
            }
        }
        block.extend_from_slice(text.as_bytes());
    };
    // Each begins with a zero, which is the length of an empty text, too.
    for (name, value) in [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", target),
        (":authority", "localhost"),
        (name, value),
    ] {
        text("");
        text(name);
        text(value);
    }
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
        &length[1..],
        &[1, 5, 0, 0, 0, 1],
        &block,
    ]
    .concat()
}

#[test]
fn a17_no_key_token_or_secret_stands_in_the_log_at_any_level() {
    let mut command = fanwire(&["--log=trace", "--tokens-in-url", "--tokens-cookie=session"]);
    command.env("FANWIRE_API_KEYS", format!("ops={KEY}"));
    command.env("FANWIRE_ISSUERS", format!("us:secret={SECRET}"));
    let served = serve_on(0, &mut command);
    let port = served.port;
    let mut said = String::new();
    for proof in [KEY, TOKEN, WRONG, &TOKEN[..TOKEN.len() - 1]] {
        let header = format!("Authorization: Bearer {proof}");
        let basic = format!("Authorization: Basic {proof}");
        let cookie = format!("Cookie: session={proof}");
        let broken = format!("Authorization: Bearer {proof}\x01\r\nX");
        for header in [&header, &basic, &cookie, &broken] {
            said += &talk(port, &get("/c/news", header), "");
            said += &talk(port, &get("/c/news?wait=0", header), "");
            said += &talk(port, &get("/c/news?format=sse", header), "\r\n\r\n");
            said += &talk(
                port,
                &upgrade("/c/news", &format!("{header}\r\n")),
                "\r\n\r\n",
            );
        }
        let target = format!("/c/news?token={proof}");
        said += &talk(port, &get(&target, "X-A: 1"), "");
        said += &talk(port, &upgrade(&target, ""), "\r\n\r\n");
        said += &talk(
            port,
            &get(&format!("/c/news?token={proof}%zz&limit=x"), "X-A: 1"),
            "",
        );
        said += &talk(
            port,
            &get(&format!("/c/news?token={proof} x"), "X-A: 1"),
            "",
        );
        // In the first frame, and in a later one.
        let first = frame(&format!(r#"{{"auth":"{proof}"}}"#));
        let later = frame(&format!(r#"{{"auth":"{WRONG}"}}"#));
        let both = [upgrade("/c/news", ""), first, later].concat();
        said += &talk(port, &both, "unauthorized: ");
        for (target, name, value) in [
            ("/c/news", "authorization", &format!("Bearer {proof}")),
            ("/c/news", "cookie", &format!("session={proof}")),
            (&target, "x-a", &"1".to_owned()),
        ] {
            said += &talk(port, &get_by_http2(target, name, value), "\"}");
        }
    }
    assert!(
        said.contains("unauthorized") && said.contains("$ready"),
        "{said}"
    );
    served.running.signal("TERM");
    let ended = served.running.end();
    assert!(
        ended.stderr.contains("TRACE") && ended.stderr.contains("unauthorized"),
        "{}",
        ended.stderr
    );
    for (what, text) in [
        ("answers", &said),
        ("log", &ended.stderr),
        ("out", &ended.stdout),
    ] {
        let signature = TOKEN.rsplit('.').next().unwrap();
        for marker in ["MARKED", &signature[..20], &TOKEN[..60]] {
            let found = text.lines().find(|line| line.contains(marker));
            assert_eq!(found, None, "{marker} in the {what}");
        }
    }
}

#[test]
fn a17_a_faulty_configuration_is_told_without_its_secrets() {
    let mut command = fanwire(&["check-config"]);
    command.env("FANWIRE_ISSUERS", "us:secret=MARKED-short");
    let told = command.output().unwrap();
    let text = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
    assert!(text.contains("32") && !text.contains("MARKED"), "{text}");
    let shown = run(&[
        "check-config",
        "--issuer",
        "us:secret=MARKED-signing-secret-0123456789abcdef",
    ]);
    assert!(!(shown.stdout + &shown.stderr).contains("MARKED"));
}
