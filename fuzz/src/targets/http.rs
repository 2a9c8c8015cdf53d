//! Heads and chunks.

use fanwire::fuzzing as server;
use fanwire_bench::fuzzing as bench;
use fanwire_proto::sse::chunk::{LAST_CHUNK, chunk, chunked};
use fanwire_proto::ws::handshake;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::input::{Dice, Input};

/// Lines `name: value`, those of them that HTTP allows.
pub(super) fn headers(mut input: Input<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    while !input.is_empty() && headers.len() < 100 {
        let line = input.line();
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// A byte for what is around, then headers: those of a client's request to us,
/// and of a server's answer to our client.
pub(super) fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let headers = headers(input);
    if let Some(head) = server::handshake(&headers, how & 1 == 1) {
        let text = std::str::from_utf8(&head).expect("a head is ASCII");
        assert!(text.starts_with("HTTP/1.1 101 "));
        assert_eq!(text.find("\r\n\r\n"), Some(text.len() - 4), "one head");
        let key = headers.get("sec-websocket-key").expect("a checked key");
        let accept = handshake::accept_key(key.as_bytes());
        assert!(text.contains(&accept));
        // What we answer, a client takes, but for what it did not offer.
        assert!(!text.contains("permessage-deflate") || headers.contains_key(EXTENSIONS));
        assert!(!text.contains("fanwire.envelope") || headers.contains_key(PROTOCOL));
    }
    let nonce = [how; 16];
    let named: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let accept = handshake::accept_key(handshake::client_key(nonce).as_bytes());
    let given = headers.get("sec-websocket-accept").cloned();
    let checked = handshake::check_response(nonce, &["a", "b"], 101, named.clone());
    if let Ok(protocol) = checked {
        assert_eq!(given.expect("an accept").as_bytes(), accept.as_bytes());
        assert!(protocol.is_none_or(|name| name == "a" || name == "b"));
    }
    // The right accept in its place, which no fuzzer guesses.
    let rest = named
        .into_iter()
        .filter(|(name, _)| *name != "sec-websocket-accept");
    let accept = [("sec-websocket-accept", accept.as_bytes())];
    if let Ok(Some(protocol)) =
        handshake::check_response(nonce, &["a", "b"], 101, rest.chain(accept))
    {
        assert!(headers.contains_key(PROTOCOL) && (protocol == "a" || protocol == "b"));
    }
}

const EXTENSIONS: &str = "sec-websocket-extensions";
const PROTOCOL: &str = "sec-websocket-protocol";

/// The first byte: whether the rest is a server's answer, or content that we
/// send in chunks.
pub(super) fn chunks(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let rest = input.rest();
    if how & 1 == 0 {
        let mut first = None;
        for end in 0..=rest.len() {
            let Ok(Some(answer)) = bench::answer(&rest[..end], false) else {
                continue;
            };
            assert!(answer.len <= end && answer.body.len() <= answer.len);
            let first = first.get_or_insert_with(|| answer.clone());
            assert_eq!(*first, answer, "more bytes do not change a whole answer");
        }
        let _ = bench::answer(rest, true);
        return;
    }
    let mut wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in Dice::of(data).cut(rest) {
        let one = chunk(piece);
        let same = chunked(piece.len() / 2, |out| out.extend_from_slice(piece));
        assert_eq!(one, same, "two ways to write a chunk");
        wire.extend_from_slice(&one);
    }
    wire.extend_from_slice(LAST_CHUNK);
    let answer = bench::answer(&wire, false).expect("a legal answer");
    let answer = answer.expect("a whole one");
    assert_eq!((&answer.body[..], answer.len), (rest, wire.len()));
    let cut = bench::answer(&wire[..wire.len() - 1], false);
    assert_eq!(cut, Ok(None), "it is not whole before its last byte");
}

/// What a server says in HTTP/2, as the load generator reads it.
pub(super) fn http2_answers(data: &[u8]) {
    let whole = bench::http2(std::iter::once(data));
    let bodies: usize = whole.0.iter().map(|(_, body)| body.len()).sum();
    assert!(bodies <= data.len(), "no body out of nothing");
    assert_eq!(bench::http2(data.chunks(1)), whole, "byte by byte");
    let pieces = Dice::of(data).cut(data);
    assert_eq!(bench::http2(pieces.into_iter()), whole, "in pieces");
}
