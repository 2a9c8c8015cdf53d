//! The poll behind a poll and the message behind a message, read without hyper.
//!
//! Only what hyper would take for the same request is taken here: one whole
//! plain GET, or a whole plain POST with its body, by the same parser, within
//! the same limits. The handler is the same, too. Everything else is left to
//! hyper: requests in pieces or broken ones, chunked bodies, other methods and
//! versions, whatever names an option of the connection, and every GET whose
//! answer is not a poll that waits.

use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::message::Keys;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{Method, Request, StatusCode, Uri, Version, request};
use http_body_util::BodyExt as _;

use super::connection;
use super::engineio;
use super::listen::Reply;
use super::negotiate::{Waits, Want, want};
use super::publish::Sent;
use super::routes;
use super::service::{channels_of, dress, judge, route};
use super::target::{self, Query};
use crate::answer::{Answer, empty, whole};
use crate::app::{App, Peer};
use crate::transport::{Back, Judged, Purpose, Said};

/// Headers of a head that is read here; one with more is hyper's.
const HEADERS: usize = 32;

/// Where polls' sockets go.
pub(super) static BACK: Back = Back {
    start: connection::start,
    next,
};

/// A whole request at the front of what was read.
struct Whole {
    head: request::Parts,
    body: Bytes,
    /// Bytes of head and body.
    len: usize,
}

fn next(app: &Arc<App>, peer: &Arc<Peer>, read: &Bytes) -> Option<(Judged, usize)> {
    let Whole { head, body, len } = parse(read)?;
    let limits = &app.config.http;
    let head_bytes = len - body.len();
    if head_bytes >= limits.header_bytes || head.headers.len() > limits.header_count {
        return None;
    }
    if routes::theirs(app, peer, &head).is_some() {
        return None;
    }
    if head.method == Method::POST {
        let (app, peer) = (app.clone(), peer.clone());
        let future = async move { publishes(&app, &peer, &head, &body).await };
        return Some((Judged::Publishes(Box::pin(future)), len));
    }
    // Whatever else is asked of a session is asked once.
    let ours = engineio::is_here(app, head.uri.path());
    if ours && !engineio::is_poll(&head) {
        return None;
    }
    // Whatever hyper is to serve is charged for there alone; a refusal takes nothing,
    // and is told there.
    let asked = match ours {
        true => None,
        false => Some(waits(app, &head)?),
    };
    let mut dress = dress(&head);
    // Nothing has to be waited for before a poll begins to wait.
    let judged = {
        let judged = pin!(route(
            app,
            peer,
            &head,
            (None, asked),
            Duration::ZERO,
            &mut dress
        ));
        judged.poll(&mut Context::from_waker(Waker::noop()))
    };
    match judged {
        Poll::Ready(Ok(Reply::Departs(departure))) => {
            matches!(departure.purpose, Purpose::Poll { close: false, .. })
                .then_some((Judged::Poll(departure), len))
        }
        // A session was asked, and is not asked again.
        Poll::Ready(Ok(Reply::Answer(mut answer))) if ours => {
            dress.put_on(answer.headers_mut());
            let said = async move {
                Said {
                    words: written(answer).await,
                    closes: false,
                }
            };
            Some((Judged::Publishes(Box::pin(said)), len))
        }
        Poll::Ready(Ok(Reply::Engine(exit))) => exit.waits().map(|said| (Judged::Waits(said), len)),
        _ => None,
    }
}

/// The channels and the query of a poll that waits; none for any other request.
fn waits(app: &App, head: &request::Parts) -> Option<(Keys, Query)> {
    let list = channels_of(head.uri.path())?;
    let (keys, query) = target::read(list, head.uri.query()).ok()?;
    // Code is asked first, which may take its time.
    if app.spaces.asks_any(&keys) {
        return None;
    }
    let waits = Waits {
        default: app.config.poll.wait,
        max: app.config.poll.wait_max,
    };
    let want = want(&head.headers, &query, keys.len(), waits).ok()?;
    let waits = matches!(want, Want::Poll { wait, .. } if !wait.is_zero());
    (waits && !app.is_stopping()).then_some((keys, query))
}

async fn publishes(app: &Arc<App>, peer: &Arc<Peer>, head: &request::Parts, body: &Bytes) -> Said {
    let reply = judge(app, peer, Duration::ZERO, head, Sent::Here(body)).await;
    let mut answer = match reply {
        Reply::Answer(answer) => answer,
        // Only a GET listens.
        Reply::Departs(_) | Reply::Unproven(_) | Reply::Says { .. } | Reply::Engine(_) => {
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    };
    if app.is_stopping() {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    let closes = answer.headers().contains_key(CONNECTION);
    Said {
        words: written(answer).await,
        closes,
    }
}

/// Whether the request behind this one, which was answered, may be read without
/// hyper: it published over a connection that stays open, as it will again.
pub(super) fn may_publish_again(app: &App, peer: &Peer, head: &request::Parts) -> bool {
    let headers = &head.headers;
    let plain = |name: &HeaderName, value: &HeaderValue| match *name {
        CONNECTION => value.as_bytes().eq_ignore_ascii_case(b"keep-alive"),
        TRANSFER_ENCODING | EXPECT | UPGRADE => false,
        _ => true,
    };
    head.method == Method::POST
        && head.version == Version::HTTP_11
        && headers.contains_key(CONTENT_LENGTH)
        && headers.iter().all(|(name, value)| plain(name, value))
        && peer.is_in_one_piece()
        && !app.is_stopping()
}

/// The bytes of an answer, as hyper would write them.
pub(super) async fn written(answer: Answer) -> Vec<u8> {
    let (head, body) = answer.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    whole(&head, &body)
}

/// The request at the front of `read`; none where it is not a whole and plain
/// GET that may be a poll, or a whole and plain POST.
fn parse(read: &Bytes) -> Option<Whole> {
    // What most other requests are known by, before any work is done for them.
    let method = match read.get(..6)? {
        b"GET /c" => Method::GET,
        b"POST /" => Method::POST,
        _ => return None,
    };
    let posts = method == Method::POST;
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(len)) = parsed.parse_with_uninit_headers(read, &mut headers)
    else {
        return None;
    };
    let target = parsed
        .path
        .filter(|target| posts || target.contains("wait"))?;
    if parsed.version != Some(1) {
        return None;
    }
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = method;
    head.version = Version::HTTP_11;
    head.uri = Uri::from_maybe_shared(read.slice_ref(target.as_bytes())).ok()?;
    let mut declared = None;
    let mut map = HeaderMap::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(read.slice_ref(header.value)).ok()?;
        let plain = match name {
            CONNECTION => value.as_bytes().eq_ignore_ascii_case(b"keep-alive"),
            CONTENT_LENGTH if posts && declared.is_none() => {
                declared = Some(digits(value.as_bytes())?);
                true
            }
            CONTENT_LENGTH | TRANSFER_ENCODING | EXPECT | UPGRADE => false,
            _ => true,
        };
        if !plain {
            return None;
        }
        map.append(name, value);
    }
    head.headers = map;
    let end = len.checked_add(if posts { declared? } else { 0 })?;
    (end <= read.len()).then(|| Whole {
        head,
        body: read.slice(len..end),
        len: end,
    })
}

/// A length in digits and nothing else (RFC 9110, 8.6).
fn digits(value: &[u8]) -> Option<usize> {
    let plain = !value.is_empty() && value.len() <= 9 && value.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PLAIN: &str =
        "GET /c/a?wait=5&after=x-1 HTTP/1.1\r\nHost: a.org\r\nX-A: 1\r\nx-a:  2 \r\n\r\n";

    const POST: &str =
        "POST /c/a?event=x HTTP/1.1\r\nHost: a.org\r\nContent-Length: 5\r\n\r\nhello";

    fn parsed(text: &str) -> Option<Whole> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_plain_message_is_read_whole_and_what_is_behind_it_is_left() {
        let Whole { head, body, len } = parsed(&format!("{POST}POST /")).unwrap();
        assert_eq!((&body[..], len), (&b"hello"[..], POST.len()));
        assert_eq!((head.method, head.uri.path()), (Method::POST, "/c/a"));
        assert_eq!(head.headers["content-length"], "5");
        let empty = parsed(&POST.replace(": 5\r\n\r\nhello", ": 0\r\n\r\n"));
        assert!(empty.unwrap().body.is_empty());
    }

    #[test]
    fn a_message_in_pieces_or_of_unclear_length_is_left_to_hyper() {
        for end in 0..POST.len() {
            assert!(parsed(&POST[..end]).is_none(), "{end}");
        }
        for length in [
            "",
            "+5",
            "5, 5",
            "0x5",
            "-5",
            "5 5",
            "99999999999999999999",
            "1.0",
        ] {
            let text = POST.replace(": 5", &format!(": {length}"));
            assert!(parsed(&text).is_none(), "{length:?}");
        }
        for more in [
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Connection: close",
        ] {
            let text = POST.replace("Host: a.org", &format!("Host: a.org\r\n{more}"));
            assert!(parsed(&text).is_none(), "{more}");
        }
        let without = POST.replace("Content-Length: 5", "X-A: 5");
        assert!(parsed(&without).is_none());
    }

    #[test]
    fn a_plain_head_is_read_whole_and_what_is_behind_it_is_left() {
        let Whole { head, len, .. } = parsed(&format!("{PLAIN}GET /")).unwrap();
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
