//! The opening handshake (RFC 6455, section 4): keys and accepts, and the
//! client's request and check. Parsing HTTP is the caller's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::error::DecodeError;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

/// Checks a client's `Sec-WebSocket-Key`: base64 of exactly 16 bytes. The
/// caller checks that there is one and only one.
///
/// # Errors
/// `Malformed` otherwise (answer 400).
pub fn check_key(key: &[u8]) -> Result<(), DecodeError> {
    let mut nonce = [0; 18];
    match (key.len(), STANDARD.decode_slice(key, &mut nonce)) {
        (24, Ok(16)) => Ok(()),
        _ => Err(DecodeError::malformed(
            0,
            "Sec-WebSocket-Key is not the base64 of 16 bytes",
        )),
    }
}

/// The `Sec-WebSocket-Key` of a client. `nonce` must be random.
#[must_use]
pub fn client_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// A client's opening request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The `Host` header: host and, where it is not 80, port.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Subprotocols to offer, in order of preference.
    pub subprotocols: &'a [&'a str],
    /// Further headers, such as `Authorization`.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Request<'_> {
    /// The request's bytes. `nonce` must be random; keep it for
    /// [`check_response`].
    ///
    /// # Errors
    /// `Malformed` where a part holds a control character (it could smuggle in
    /// a header) or the target a space.
    pub fn encode(&self, nonce: [u8; 16]) -> Result<Vec<u8>, DecodeError> {
        let dirty = |s: &str| s.bytes().any(|b| b < b' ' || b == 0x7F);
        let parts = [self.host, self.target];
        if parts.iter().any(|s| dirty(s) || s.contains(' '))
            || self.subprotocols.iter().any(|s| dirty(s))
            || self
                .headers
                .iter()
                .any(|(n, v)| dirty(n) || n.contains([' ', ':']) || dirty(v))
        {
            return Err(DecodeError::malformed(
                0,
                "a control character in the request's head",
            ));
        }
        let mut out = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
            self.target,
            self.host,
            client_key(nonce),
        );
        if !self.subprotocols.is_empty() {
            out.push_str("Sec-WebSocket-Protocol: ");
            out.push_str(&self.subprotocols.join(", "));
            out.push_str("\r\n");
        }
        for (name, value) in self.headers {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
            out.push_str("\r\n");
        }
        out.push_str("\r\n");
        Ok(out.into_bytes())
    }
}

/// Checks a server's answer to the request made with `nonce` (4.1): status 101,
/// `Upgrade: websocket`, `Connection: upgrade`, the right accept, no extension,
/// and at most one subprotocol, out of those `offered`. Gives the subprotocol.
///
/// # Errors
/// `Malformed` with what is wrong; end the connection.
pub fn check_response<'a>(
    nonce: [u8; 16],
    offered: &[&str],
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Option<String>, DecodeError> {
    let bad = |why| Err(DecodeError::malformed(0, why));
    let (mut upgrade, mut connection, mut accept, mut protocol) = (false, false, None, None);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("upgrade") {
            upgrade |= has_token(value, b"websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            connection |= has_token(value, b"upgrade");
        } else if name.eq_ignore_ascii_case("sec-websocket-accept") {
            if accept.replace(value.trim_ascii()).is_some() {
                return bad("Sec-WebSocket-Accept stands twice");
            }
        } else if name.eq_ignore_ascii_case("sec-websocket-extensions") {
            return bad("the server chose an extension that was not offered");
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            let value = value.trim_ascii();
            let known = offered.iter().find(|o| o.as_bytes() == value);
            let Some(known) = known.filter(|_| protocol.is_none()) else {
                return bad("the server chose a subprotocol that was not offered");
            };
            protocol = Some((*known).to_owned());
        }
    }
    if status != 101 {
        return bad("the server did not switch protocols");
    }
    if !upgrade || !connection {
        return bad("the server's answer is not an upgrade to websocket");
    }
    if accept != Some(accept_key(client_key(nonce).as_bytes()).as_bytes()) {
        return bad("Sec-WebSocket-Accept is not the one for this request");
    }
    Ok(protocol)
}

/// Whether a comma-separated header value holds this token, in any case (both
/// sides of the handshake need it: `Connection: keep-alive, Upgrade`).
#[must_use]
pub fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|&b| b == b',')
        .any(|t| t.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_accept_of_rfc_6455_section_1_3() {
        assert_eq!(
            accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn h2_a_key_that_is_not_base64_of_16_bytes_is_refused() {
        assert!(check_key(b"dGhlIHNhbXBsZSBub25jZQ==").is_ok());
        for key in [
            &b""[..],
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"dGhlIHNhbXBsZSBub25jZQ= ",
            b"dGhlIHNhbXBsZSBub25jZSE=",
            b"AAAAAAAAAAAAAAAAAAAAAAAA",
            b"!!!!!!!!!!!!!!!!!!!!!!==",
            b"dGhlIHNhbXBsZSBub25j",
            &[b'A'; 20_000],
        ] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn an_answer_is_taken_only_with_everything_in_place() {
        let nonce = *b"the sample nonce";
        let accept = accept_key(STANDARD.encode(nonce).as_bytes());
        let good = [
            ("UPGRADE", &b"WebSocket"[..]),
            ("Connection", b"keep-alive, Upgrade"),
            ("sec-websocket-accept", accept.as_bytes()),
            ("Sec-WebSocket-Protocol", b"b"),
        ];
        let check = |status, headers: &[(&'static str, &'static [u8])]| {
            let mut all = good.to_vec();
            all.extend_from_slice(headers);
            check_response(nonce, &["a", "b"], status, all)
        };
        assert_eq!(check(101, &[]).unwrap().as_deref(), Some("b"));
        assert!(check(200, &[]).is_err());
        assert!(check(101, &[("sec-websocket-extensions", b"permessage-deflate")]).is_err());
        assert!(check(101, &[("sec-websocket-protocol", b"a")]).is_err());
        assert!(check(101, &[("sec-websocket-accept", b"x")]).is_err());
        for missing in 0..3 {
            let mut headers = good.to_vec();
            headers.remove(missing);
            assert!(
                check_response(nonce, &["a", "b"], 101, headers).is_err(),
                "{missing}"
            );
        }
        assert!(
            check_response(nonce, &["a"], 101, good).is_err(),
            "b was not offered"
        );
        assert!(
            check_response([0; 16], &["a", "b"], 101, good).is_err(),
            "another nonce"
        );
    }

    #[test]
    fn a_request_cannot_smuggle_in_a_header() {
        let request = Request {
            host: "h",
            target: "/c/a",
            subprotocols: &["p"],
            headers: &[],
        };
        let text = String::from_utf8(request.encode(*b"the sample nonce").unwrap()).unwrap();
        assert!(
            text.starts_with("GET /c/a HTTP/1.1\r\nHost: h\r\n"),
            "{text}"
        );
        assert!(
            text.contains("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            "{text}"
        );
        assert!(text.contains("\r\nSec-WebSocket-Protocol: p\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        for bad in [
            Request {
                host: "h\r\nX: y",
                ..request
            },
            Request {
                target: "/c/a b",
                ..request
            },
            Request {
                target: "/c/a\n",
                ..request
            },
            Request {
                subprotocols: &["a\0"],
                ..request
            },
            Request {
                headers: &[("a", "b\r\nc: d")],
                ..request
            },
            Request {
                headers: &[("a: b", "c")],
                ..request
            },
        ] {
            assert!(bad.encode([0; 16]).is_err(), "{bad:?}");
        }
    }
}
