//! The poll behind a poll, read without hyper.
//!
//! Only what hyper would take for the same request is taken here: one whole
//! head of a plain GET, by the same parser, within the same limits. The handler
//! is the same, too. Everything else is left to hyper: heads in pieces or
//! broken ones, bodies, other methods and versions, whatever names an option of
//! the connection, and every request whose answer is not a poll that waits.

use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{Method, Request, Uri, Version, request};

use super::connection;
use super::listen::Reply;
use super::service::{dress, route};
use crate::app::{App, Peer};
use crate::transport::{Back, Departure, Purpose};

/// Headers of a head that is read here; one with more is hyper's.
const HEADERS: usize = 32;

/// Where polls' sockets go.
pub(super) static BACK: Back = Back {
    start: connection::start,
    next,
};

fn next(app: &Arc<App>, peer: &Arc<Peer>, read: &Bytes) -> Option<(Box<Departure>, usize)> {
    let (head, len) = parse(read)?;
    let limits = &app.config.http;
    if len >= limits.header_bytes || head.headers.len() > limits.header_count {
        return None;
    }
    let mut dress = dress(&head);
    let judged = pin!(route(app, peer, &head, None, Duration::ZERO, &mut dress));
    // Nothing has to be waited for before a poll begins to wait.
    match judged.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Reply::Departs(departure))) => {
            matches!(departure.purpose, Purpose::Poll { close: false, .. })
                .then_some((departure, len))
        }
        _ => None,
    }
}

/// The head at the front of `read`, and its length; none where it is not a
/// whole and plain GET that may be a poll.
fn parse(read: &Bytes) -> Option<(request::Parts, usize)> {
    // What most other requests are known by, before any work is done for them.
    if !read.starts_with(b"GET /c") {
        return None;
    }
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(len)) = parsed.parse_with_uninit_headers(read, &mut headers)
    else {
        return None;
    };
    let target = parsed.path.filter(|target| target.contains("wait"))?;
    if parsed.version != Some(1) {
        return None;
    }
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::GET;
    head.version = Version::HTTP_11;
    head.uri = Uri::from_maybe_shared(read.slice_ref(target.as_bytes())).ok()?;
    let mut map = HeaderMap::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(read.slice_ref(header.value)).ok()?;
        let plain = match name {
            CONNECTION => value.as_bytes().eq_ignore_ascii_case(b"keep-alive"),
            CONTENT_LENGTH | TRANSFER_ENCODING | EXPECT | UPGRADE => false,
            _ => true,
        };
        if !plain {
            return None;
        }
        map.append(name, value);
    }
    head.headers = map;
    Some((head, len))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PLAIN: &str =
        "GET /c/a?wait=5&after=x-1 HTTP/1.1\r\nHost: a.org\r\nX-A: 1\r\nx-a:  2 \r\n\r\n";

    fn parsed(text: &str) -> Option<(request::Parts, usize)> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_plain_head_is_read_whole_and_what_is_behind_it_is_left() {
        let (head, len) = parsed(&format!("{PLAIN}GET /")).unwrap();
        assert_eq!(len, PLAIN.len());
        assert_eq!(head.uri, "/c/a?wait=5&after=x-1");
        assert_eq!((head.method, head.version), (Method::GET, Version::HTTP_11));
        assert_eq!(head.headers["host"], "a.org");
        let both: Vec<_> = head.headers.get_all("x-a").iter().collect();
        assert_eq!(both, ["1", "2"]);
    }

    #[test]
    fn every_piece_of_a_head_is_left_to_hyper() {
        for end in 0..PLAIN.len() {
            assert!(parsed(&PLAIN[..end]).is_none(), "{end}");
        }
    }

    #[test]
    fn what_is_not_a_plain_poll_is_left_to_hyper() {
        for (part, other) in [
            ("GET ", "POST "),
            ("GET ", "HEAD "),
            ("GET ", "\r\nGET "),
            ("/c/a", "http://a.org/c/a"),
            ("/c/a", "/other"),
            ("?wait=5", "?x=5"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("HTTP/1.1", "HTTP/2.0"),
            ("X-A: 1", "Content-Length: 0"),
            ("X-A: 1", "Transfer-Encoding: chunked"),
            ("X-A: 1", "Expect: 100-continue"),
            ("X-A: 1", "Upgrade: websocket"),
            ("X-A: 1", "Connection: close"),
            ("X-A: 1", "Connection: keep-alive, X-A"),
            ("X-A: 1", "X-A : 1"),
            ("X-A: 1", "X-A: 1\r\n folded"),
            ("X-A: 1", "X-A: \u{1}"),
        ] {
            let text = PLAIN.replacen(part, other, 1);
            assert_ne!(text, PLAIN);
            assert!(parsed(&text).is_none(), "{text}");
        }
        let many = format!("{}\r\n", "X-B: 1\r\n".repeat(HEADERS));
        assert!(parsed(&PLAIN.replacen("\r\n\r\n", &format!("\r\n{many}"), 1)).is_none());
        let kept = PLAIN.replacen("X-A: 1", "Connection: Keep-Alive", 1);
        assert!(parsed(&kept).is_some());
    }
}
