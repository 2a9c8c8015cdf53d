//! `GET /c/…`: streams, polls, history (`PROTOCOL.md`, sections 2, 4, 5, 6).

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fanwire_core::clock::Clock as _;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::Start;
use fanwire_core::message::Keys;
use fanwire_core::policy::{Permit, Subject, Verb};
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Response, Version, request};

use super::ask;
use super::engineio;
use super::handshake::{self, has_body};
use super::negotiate::{self, Waits, Want, wants_close};
use super::next;
use super::once::once;
use super::service;
use super::target::Query;
use crate::answer::{Answer, Dress, EVENT_STREAM, json, open_head, put_off};
use crate::app::{App, Peer};
use crate::metrics::Opened;
use crate::rates::Payer;
use crate::refused::Kept;
use crate::transport::{Departure, Listed, Purpose, Unproven};

/// How a request goes on.
pub(super) enum Reply {
    /// hyper sends this.
    Answer(Answer),
    /// The socket leaves.
    Departs(Box<Departure>),
    /// A WebSocket that is to show in its first frame whose it is.
    Unproven(Box<Unproven>),
    /// These are its last bytes: a WebSocket's answer, and what it says. `named`: the
    /// envelope's subprotocol was offered and chosen.
    Says {
        head: Bytes,
        named: bool,
        words: Bytes,
    },
    /// A poll or WebSocket of an Engine.IO session.
    Engine(Box<engineio::Exit>),
}

/// Answers a GET under `/c/`.
///
/// # Errors
/// Whatever makes the request as a whole impossible; nothing has been sent then.
pub(super) async fn get(
    app: &Arc<App>,
    peer: &Peer,
    who: (Subject, Payer<'_>, IpAddr),
    keys: Keys,
    query: &Query,
    head: &request::Parts,
    dress: &Dress,
) -> Result<Reply, Refusal> {
    let waits = Waits {
        default: app.config.poll.wait,
        max: app.config.poll.wait_max,
    };
    let want = negotiate::want(&head.headers, query, keys.len(), waits)?;
    let reply = serve((app, peer), who, keys, query, head, dress, want).await;
    match (reply, want) {
        // An EventSource gives up for good on any answer but 200.
        (Err(refusal), Want::Sse { .. }) if refusal.code.retry() => {
            app.refuses(&refusal, service::who(app, peer, head));
            Ok(Reply::Answer(put_off(app.put_off_ms_for(&refusal))))
        }
        // Nor does a page ever see the status of a handshake.
        (Err(refusal), Want::WebSocket { .. }) if refusal.code == Code::RateLimited => {
            let said = handshake::close_at_once(head, dress, &refusal)?;
            app.refuses(&refusal, service::who(app, peer, head));
            Ok(said)
        }
        (reply, _) => reply,
    }
}

async fn serve(
    (app, peer): (&Arc<App>, &Peer),
    (subject, payer, client): (Subject, Payer<'_>, IpAddr),
    keys: Keys,
    query: &Query,
    head: &request::Parts,
    dress: &Dress,
    want: Want,
) -> Result<Reply, Refusal> {
    let key = match want {
        Want::WebSocket { .. } => {
            Some(handshake::check(&head.method, head.version, &head.headers)?)
        }
        _ if has_body(&head.headers) => {
            return Err(Refusal::new(Code::BadRequest, "a GET here has no body"));
        }
        _ => None,
    };
    let start = negotiate::start(&head.headers, query, want)?;
    let verb = match start {
        Start::Latest => Verb::Subscribe,
        _ => Verb::Read,
    };
    // A page can send no header with a WebSocket: it may show a token in its first
    // frame. Nothing is opened until then, and nothing inflated.
    let later = match (want, &subject) {
        (
            Want::WebSocket {
                envelope: true,
                named,
            },
            Subject::Anonymous(_),
        ) if app.auth.takes_tokens() => Some((named, keys.clone())),
        _ => None,
    };
    let comer = ask::comer(app, &keys, head, client, want);
    let admitted = app.door.admit(subject, verb, keys);
    let stopping = app.is_stopping();
    if admitted.is_ok() && stopping && matches!(want, Want::WebSocket { .. } | Want::Sse { .. }) {
        let sentence = "the server is shutting down; come back shortly";
        return Err(Refusal::new(Code::Unavailable, sentence));
    }
    let permit = match (admitted, later) {
        (Ok(permit), _) => permit,
        (Err(refusal), Some((named, keys))) if refusal.code == Code::Unauthorized => {
            let key = key.unwrap_or(HeaderValue::from_static(""));
            return Ok(Reply::Unproven(Box::new(Unproven {
                keys,
                verb,
                start,
                head: handshake::switching(&key, named, None, dress),
                named,
                dress: dress.clone(),
                back: &next::BACK,
                account: payer.account,
                place: None,
                client: None,
                who: Kept::default(),
                comer,
            })));
        }
        (Err(refusal), _) => return Err(refusal),
    };
    let opens = matches!(want, Want::WebSocket { .. } | Want::Sse { .. });
    app.rates
        .listens(payer, permit.keys(), opens, app.clock.now())?;
    let visit = match ask::ask(comer, &permit, want).await {
        Ok(visit) => visit,
        Err(why) => {
            let key = key.unwrap_or(HeaderValue::from_static(""));
            let who = service::who(app, peer, head);
            return ask::refuse((app, who), &why, want, &key, dress);
        }
    };
    let opened = match want {
        Want::WebSocket { .. } => Opened::WebSocket,
        Want::Sse { .. } => Opened::Sse,
        Want::Poll { .. } => Opened::Poll,
        Want::History { .. } => Opened::History,
    };
    app.metrics.opens(opened);
    let close = head.version < Version::HTTP_11 || wants_close(&head.headers);
    // Only HTTP/1.1 has chunks, and heads that are written by hand.
    let chunked = head.version == Version::HTTP_11 && !close;
    let departs = |permit: Permit, head: Bytes, purpose: Purpose| {
        Ok(Reply::Departs(Box::new(Departure {
            permit,
            start,
            head,
            dress: dress.clone(),
            purpose,
            back: &next::BACK,
            account: payer.account,
            place: None,
            client: None,
            who: Kept::default(),
            visit,
        })))
    };
    match want {
        Want::WebSocket { envelope, named } => {
            let key = key.unwrap_or(HeaderValue::from_static(""));
            let agreed = handshake::compression(&head.headers).filter(|_| app.config.ws.deflate);
            let head = handshake::switching(&key, named, agreed, dress);
            let purpose = Purpose::WebSocket {
                envelope,
                named,
                agreed,
            };
            departs(permit, head, purpose)
        }
        Want::Sse { envelope } => {
            let purpose = Purpose::Sse { envelope, chunked };
            departs(permit, stream_head(chunked, dress), purpose)
        }
        Want::Poll { wait, limit } if !wait.is_zero() && !stopping => {
            let purpose = Purpose::Poll { wait, limit, close };
            departs(permit, poll_head(close, dress), purpose)
        }
        Want::History { limit } | Want::Poll { limit, .. } => {
            let listed = Listed::new(app, opened, None, Kept::default());
            let body = once(app, permit, start, Duration::ZERO, limit, listed).await?;
            Ok(Reply::Answer(json(body)))
        }
    }
}

/// The whole head of an event stream.
fn stream_head(chunked: bool, dress: &Dress) -> Bytes {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    event_stream(headers);
    if chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    } else {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    dress.put_on(headers);
    let mut head = open_head(&response.into_parts().0);
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// What makes an answer an event stream.
pub(super) fn event_stream(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    // nginx would hold events back until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
}

thread_local! {
    /// The head of nearly all polls, and the second of its date.
    static POLL_HEAD: RefCell<(u64, Bytes)> = const { RefCell::new((0, Bytes::new())) };
}

/// A poll's head; its length and the empty line come with the answer. For
/// programs it is the same for everyone within a second.
fn poll_head(close: bool, dress: &Dress) -> Bytes {
    if close || dress.origin.is_some() || !dress.no_store {
        return make_poll_head(close, dress);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let second = since.map_or(0, |since| since.as_secs());
    POLL_HEAD.with_borrow_mut(|(made, head)| {
        if *made != second || head.is_empty() {
            (*made, *head) = (second, make_poll_head(close, dress));
        }
        head.clone()
    })
}

fn make_poll_head(close: bool, dress: &Dress) -> Bytes {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    dress.put_on(headers);
    open_head(&response.into_parts().0).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(head: &Bytes) -> String {
        String::from_utf8(head.to_vec()).unwrap()
    }

    #[test]
    fn an_event_streams_head_is_whole_and_says_how_it_ends() {
        let dress = Dress {
            no_store: true,
            ..Dress::default()
        };
        let head = text(&stream_head(true, &dress));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(head.contains("content-type: text/event-stream; charset=utf-8\r\n"));
        assert!(head.contains("transfer-encoding: chunked\r\n"));
        assert!(head.contains("cache-control: no-store\r\n"));
        assert!(head.contains("x-accel-buffering: no\r\n"));
        assert!(head.contains("vary: Origin\r\n"));
        assert!(head.ends_with("\r\n\r\n"));
        let head = text(&stream_head(false, &dress));
        assert!(head.contains("connection: close\r\n"));
        assert!(!head.contains("transfer-encoding"));
    }

    #[test]
    fn a_polls_head_is_open_for_its_length() {
        let head = text(&poll_head(false, &Dress::default()));
        assert!(head.ends_with("\r\n") && !head.ends_with("\r\n\r\n"));
        assert!(!head.contains("connection:"));
        assert!(text(&poll_head(true, &Dress::default())).contains("connection: close\r\n"));
        // The one that is kept says what a new one would.
        let dress = Dress {
            no_store: true,
            ..Dress::default()
        };
        let undated = |head: &Bytes| {
            let text = text(head);
            let at = text.find("date: ").unwrap();
            (text[..at].to_owned(), text.len())
        };
        let made = undated(&make_poll_head(false, &dress));
        assert_eq!(undated(&poll_head(false, &dress)), made);
        assert_eq!(undated(&poll_head(false, &dress)), made);
        let page = Dress {
            origin: Some(HeaderValue::from_static("https://a.org")),
            ..dress
        };
        assert!(text(&poll_head(false, &page)).contains("https://a.org"));
    }
}
