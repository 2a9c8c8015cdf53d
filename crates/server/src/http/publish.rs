//! `POST /c/…`: one message to the channels named (`PROTOCOL.md`, section 3).

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fanwire_core::broker::Appended;
use fanwire_core::clock::Clock as _;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::Draft;
use fanwire_core::key::{Key, SocketId};
use fanwire_core::limits::MAX_KEY;
use fanwire_core::message::{Body, EventName, Keys};
use fanwire_core::policy::{Subject, Verb};
use fanwire_proto::native::answer::{Problem, Published};
use fanwire_proto::native::{args, json};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, StatusCode, request};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use super::coming::Coming;
use super::target::{self, Query};
use crate::answer::{Answer, empty, full, json as json_answer};
use crate::app::App;
use crate::clock::connection_id;
use crate::handlers::{Post, Rejected, Reply, posted};
use crate::rates::Payer;
use crate::shown::Shown;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request's body.
pub(super) enum Sent<'a> {
    /// To be read yet.
    Coming(&'a mut Coming),
    /// Read already.
    Here(&'a Bytes),
}

/// Publishes the request's body.
///
/// # Errors
/// Every refusal of section 8 that a publish can meet. The door is asked before
/// the body is read.
pub(super) async fn publish(
    app: &Arc<App>,
    (subject, payer, client): (Subject, Payer<'_>, IpAddr),
    keys: Keys,
    query: Query,
    head: &request::Parts,
    body: Sent<'_>,
) -> Result<Answer, Refusal> {
    let headers = &head.headers;
    let namespace = keys[0].namespace().clone();
    if let Some(other) = keys.iter().find(|key| *key.namespace() != namespace) {
        let sentence = "one message goes to channels of one namespace; publish once for each";
        return Err(Refusal::new(Code::BadRequest, sentence).at(other.to_string()));
    }
    let permit = app.door.admit(subject, Verb::Publish, keys)?;
    let several = target::switch("args", query.args.as_deref())?;
    let kind = kind(headers, several)?;
    let mut draft = Draft::new(Body::Binary(Bytes::new()));
    draft.idempotency_key = idempotency_key(headers)?;
    draft.volatile = target::switch("volatile", query.volatile.as_deref())?;
    if let Some(event) = query.event {
        let event = String::from_utf8(event)
            .map_err(|_| Refusal::new(Code::InvalidEvent, "an event name is UTF-8 text"))?;
        draft.event = EventName::new(&event)
            .map_err(|why| Refusal::new(Code::InvalidEvent, why.to_string()))?;
    }
    if let Some(key) = query.key {
        draft.key = Some(target::text("key", key, MAX_KEY)?.into());
    }
    if let Some(conn) = query.exclude {
        let conn = target::text("exclude", conn, MAX_KEY)?;
        draft.except = vec![Key::Socket(namespace.clone(), SocketId::new(&conn))];
    }
    let code = app.spaces.taking(&namespace, draft.event.as_str());
    if code.is_some() {
        fits_code(&draft)?;
    }
    let body = read(app, headers, body, app.config.limits.message).await?;
    app.rates
        .publishes(payer, &namespace, body.len(), app.clock.now())?;
    draft.body = content(kind, body)?;
    if let Some(space) = code {
        let post = Post::new(Shown::of(head), client);
        let event = (draft.event.as_str().to_owned(), draft.body);
        return replied(posted(space, connection_id(), &permit, post, event).await);
    }
    let bytes = draft.body.len();
    let published = app.hub.publish(&permit, draft).await;
    app.metrics.publishes(bytes, &published);
    answer(published?)
}

/// What belongs to a message that is published means nothing to code.
fn fits_code(draft: &Draft) -> Result<(), Refusal> {
    let named = [
        ("Idempotency-Key", draft.idempotency_key.is_some()),
        ("volatile", draft.volatile),
        ("key", draft.key.is_some()),
        ("exclude", !draft.except.is_empty()),
    ];
    match named.iter().find(|(_, there)| *there) {
        None => Ok(()),
        Some((name, _)) => {
            let sentence = format!("code handles this event here: it takes no {name}");
            Err(Refusal::new(Code::BadRequest, sentence))
        }
    }
}

/// What code answers: its arguments as one JSON value, 204 where there are none.
fn replied(reply: Reply) -> Result<Answer, Refusal> {
    match reply {
        Reply::Ack(args) if !args.is_empty() => Ok(json_answer(args.to_value())),
        Reply::Ack(_) | Reply::None => Ok(empty(StatusCode::NO_CONTENT)),
        Reply::Rejected(why) => match why.as_refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(rejected(&why)),
        },
    }
}

/// A refusal by a word of the application's own.
fn rejected(why: &Rejected) -> Answer {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut problem = Problem::new(
        status.as_u16(),
        "Refused by the application",
        &why.code,
        &why.message,
    );
    problem.place.clone_from(&why.at);
    let mut answer = full(status, "application/problem+json", problem.to_json());
    if let Some(wait) = why.retry_in {
        let seconds = wait.div_ceil(1000).max(1);
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn answer(appended: Appended) -> Result<Answer, Refusal> {
    let published = match appended {
        Appended::Kept { id, duplicate } => Published {
            id: Some(id.to_string()),
            duplicate,
        },
        Appended::Volatile => Published {
            id: None,
            duplicate: false,
        },
    };
    Ok(json_answer(published.to_json()))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Json,
    Text,
    Binary,
    Args,
}

pub(super) fn kind(headers: &HeaderMap, several: bool) -> Result<Kind, Refusal> {
    let value = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let media = value.map(|value| {
        let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        value[..end].trim_ascii().to_ascii_lowercase()
    });
    let kind = match media.as_deref() {
        None | Some(b"" | b"application/x-www-form-urlencoded") => Kind::Text,
        Some(b"application/json") => Kind::Json,
        Some(media) if media.starts_with(b"text/") => Kind::Text,
        Some(_) => Kind::Binary,
    };
    match (several, kind) {
        (false, kind) => Ok(kind),
        (true, Kind::Json) => Ok(Kind::Args),
        (true, _) => Err(Refusal::new(
            Code::BadRequest,
            "args=1 takes a JSON array: send 'Content-Type: application/json'",
        )),
    }
}

pub(super) fn content(kind: Kind, bytes: Bytes) -> Result<Body, Refusal> {
    let invalid = |why: String| Refusal::new(Code::InvalidBody, why);
    Ok(match kind {
        Kind::Json => {
            json::check(&bytes).map_err(|why| invalid(why.to_string()))?;
            Body::Json(bytes)
        }
        Kind::Text => {
            std::str::from_utf8(&bytes).map_err(|_| {
                invalid("the body is not UTF-8; send other bytes with a Content-Type".to_owned())
            })?;
            Body::Text(bytes)
        }
        Kind::Binary => Body::Binary(bytes),
        Kind::Args => {
            let (json, attachments) =
                args::parse_surface(&bytes).map_err(|why| invalid(why.to_string()))?;
            Body::Args { json, attachments }
        }
    })
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).ok();
    let legal = |text: &&str| (1..=MAX_KEY).contains(&text.len());
    match text.filter(legal).filter(|_| values.next().is_none()) {
        Some(text) => Ok(Some(text.into())),
        None => Err(Refusal::new(
            Code::BadRequest,
            "Idempotency-Key stands once and has 1 to 255 bytes of UTF-8",
        )),
    }
}

/// Reads the body, as long as it is within the limit and does not dawdle.
///
/// # Errors
/// `too_large`, `request_timeout`, or `bad_request` for one that is cut off.
pub(super) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Sent<'_>,
    limit: usize,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(
            Code::TooLarge,
            format!("a message has at most {limit} bytes"),
        )
    };
    let body = match body {
        Sent::Coming(body) => body,
        Sent::Here(whole) if whole.len() > limit => return Err(too_large()),
        // Copied: it is a slice of what was read, and history would keep all of it.
        Sent::Here(whole) => return Ok(Bytes::copy_from_slice(whole)),
    };
    // Said beforehand: refused without reading it.
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|value| value.parse::<u64>().ok());
    if declared.max(Some(body.size_hint().lower())) > Some(limit as u64) {
        return Err(too_large());
    }
    let reading = collect(body, limit);
    match tokio::time::timeout(app.config.http.body_timeout, reading).await {
        Err(_) => Err(Refusal::new(
            Code::RequestTimeout,
            "the request's body came too slowly",
        )),
        Ok(Err(Broken::TooLarge)) => Err(too_large()),
        Ok(Err(Broken::Cut)) => Err(Refusal::new(
            Code::BadRequest,
            "the request's body is broken or ended early",
        )),
        Ok(Ok(bytes)) => Ok(bytes),
    }
}

enum Broken {
    TooLarge,
    Cut,
}

async fn collect(body: &mut Coming, limit: usize) -> Result<Bytes, Broken> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Broken::Cut)?.into_data() else {
            continue; // Trailers say nothing here.
        };
        if first.len() + all.len() + data.len() > limit {
            return Err(Broken::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    // Copied even where it came in one piece: that piece is a slice of the
    // connection's read buffer, and history would keep all of it.
    Ok(if all.is_empty() {
        Bytes::copy_from_slice(&first)
    } else {
        all.freeze()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn kind_of(content_type: Option<&str>, several: bool) -> Result<Kind, Code> {
        let mut headers = HeaderMap::new();
        if let Some(text) = content_type {
            headers.insert(CONTENT_TYPE, text.parse().unwrap());
        }
        kind(&headers, several).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_content_type_decides_the_kind() {
        assert_eq!(kind_of(None, false), Ok(Kind::Text));
        assert_eq!(kind_of(Some("Text/HTML; charset=x"), false), Ok(Kind::Text));
        assert_eq!(
            kind_of(Some("application/x-www-form-urlencoded"), false),
            Ok(Kind::Text)
        );
        assert_eq!(
            kind_of(Some("application/JSON;charset=utf-8"), false),
            Ok(Kind::Json)
        );
        assert_eq!(
            kind_of(Some("application/octet-stream"), false),
            Ok(Kind::Binary)
        );
        assert_eq!(kind_of(Some("application/json"), true), Ok(Kind::Args));
        assert_eq!(kind_of(None, true), Err(Code::BadRequest));
    }

    fn content_of(kind: Kind, bytes: &'static [u8]) -> Result<Body, Code> {
        content(kind, Bytes::from_static(bytes)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn u1_text_is_utf8_and_json_parses() {
        assert!(content_of(Kind::Text, "é\0\u{2028}".as_bytes()).is_ok());
        assert_eq!(content_of(Kind::Text, b"\xff"), Err(Code::InvalidBody));
        assert_eq!(
            content_of(Kind::Json, b"{\"a\":1} x"),
            Err(Code::InvalidBody)
        );
        assert_eq!(content_of(Kind::Json, b""), Err(Code::InvalidBody));
        let json = content_of(Kind::Json, b" {\"a\": 1e400}").unwrap();
        assert_eq!(json, Body::Json(Bytes::from_static(b" {\"a\": 1e400}")));
        assert!(content_of(Kind::Binary, b"\xff").is_ok());
        assert_eq!(content_of(Kind::Args, b"{}"), Err(Code::InvalidBody));
    }

    #[test]
    fn p4_an_idempotency_key_has_1_to_255_bytes_and_stands_once() {
        let key = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, value.parse().unwrap());
            }
            idempotency_key(&headers).map_err(|refusal| refusal.code)
        };
        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&["k"]).unwrap().as_deref(), Some("k"));
        assert!(key(&[&"k".repeat(255)]).is_ok());
        assert_eq!(key(&[&"k".repeat(256)]), Err(Code::BadRequest));
        assert_eq!(key(&[""]), Err(Code::BadRequest));
        assert_eq!(key(&["k", "k"]), Err(Code::BadRequest));
    }
}
