//! Answers: JSON, problems, and heads written by hand for sockets that have
//! left hyper.

use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use fanwire_proto::native::answer::Problem;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode, response};
use http_body_util::Full;

/// The type of an event stream.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// An answer that hyper sends.
pub(crate) type Answer = Response<Full<Bytes>>;

/// What every answer to one request carries, whatever it says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dress {
    /// The page that may read the answer.
    pub(crate) origin: Option<HeaderValue>,
    /// It may send credentials.
    pub(crate) credentials: bool,
    /// Under `/c/` nothing is stored by anyone on the way.
    pub(crate) no_store: bool,
}

impl Dress {
    /// Adds the headers.
    pub(crate) fn put_on(&self, headers: &mut HeaderMap) {
        // What else it varies by, its maker has said.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if self.no_store {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        let Some(origin) = &self.origin else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Retry-After"),
        );
        if self.credentials {
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }
}

/// An answer with a body of this type.
pub(crate) fn full(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// A JSON answer, 200.
pub(crate) fn json(body: impl Into<Bytes>) -> Answer {
    full(StatusCode::OK, "application/json", body)
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// A refusal as `application/problem+json`, with the headers that its code asks for.
pub(crate) fn problem(refusal: &Refusal) -> Answer {
    problem_with(refusal, None)
}

/// The same, with what code says beside.
pub(crate) fn problem_with(refusal: &Refusal, data: Option<serde_json::Value>) -> Answer {
    let code = refusal.code;
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut text = Problem::new(code.status(), code.title(), code.as_str(), &refusal.detail);
    text.channel.clone_from(&refusal.channel);
    text.place = refusal.place.as_deref().map(str::to_owned);
    text.data = data;
    let mut answer = full(status, "application/problem+json", text.to_json());
    let headers = answer.headers_mut();
    match code {
        Code::Unauthorized => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Code::UpgradeRequired => {
            headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
            headers.insert("upgrade", HeaderValue::from_static("websocket"));
            headers.insert("connection", HeaderValue::from_static("upgrade"));
        }
        _ if matches!(code.status(), 429 | 503) => {
            // Whole seconds, at least one (RFC 9110, 10.2.3).
            let wait = refusal.retry_in.unwrap_or_default();
            let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        _ => {}
    }
    answer
}

/// A time in milliseconds, the last one begun counted whole.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// 405, saying what is allowed.
pub(crate) fn not_allowed(allow: &'static str) -> Answer {
    let sentence = format!("this path takes {allow}");
    let mut answer = problem(&Refusal::new(Code::MethodNotAllowed, sentence));
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// The bytes of a response head without its last empty line, so that headers
/// can follow. Writes `Date` (RFC 9110, 6.6.1).
pub(crate) fn open_head(parts: &response::Parts) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    let reason = parts.status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &parts.headers {
        line(&mut out, name.as_str(), value.as_bytes());
    }
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    line(&mut out, "date", now.as_bytes());
    out
}

/// The bytes of a whole response, for a socket that is not hyper's. It says its length,
/// unless the head does, which is then believed, or its status has none (RFC 9110, 8.6).
pub(crate) fn whole(head: &response::Parts, body: &[u8]) -> Vec<u8> {
    let mut out = open_head(head);
    let bare = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if !bare && !head.headers.contains_key(CONTENT_LENGTH) {
        let length = body.len().to_string();
        line(&mut out, "content-length", length.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    if bare {
        return out;
    }
    out.extend_from_slice(body);
    out
}

/// The bytes of a response without a body, as it is answered to a HEAD: it says a length
/// only where the head does.
pub(crate) fn head_alone(head: &response::Parts) -> Vec<u8> {
    let mut out = open_head(head);
    out.extend_from_slice(b"\r\n");
    out
}

/// The bytes of a whole response that ends its connection, for a socket that is
/// not hyper's.
pub(crate) fn last_words(mut answer: Answer, body: &[u8]) -> Vec<u8> {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert("connection", close);
    whole(&answer.into_parts().0, body)
}

/// A refusal as the bytes of a whole response that ends its connection.
pub(crate) fn raw_problem(refusal: &Refusal, dress: &Dress) -> Vec<u8> {
    let mut answer = problem(refusal);
    dress.put_on(answer.headers_mut());
    let code = refusal.code;
    let mut text = Problem::new(code.status(), code.title(), code.as_str(), &refusal.detail);
    text.channel.clone_from(&refusal.channel);
    text.place = refusal.place.as_deref().map(str::to_owned);
    last_words(answer, &text.to_json())
}

/// The words of an event stream that ends at once and says when to come back.
fn put_off_words(ms: u64) -> String {
    format!("retry: {ms}\n\n")
}

/// An event stream that ends at once and says to come back after `ms`.
pub(crate) fn put_off(ms: u64) -> Answer {
    let mut answer = full(StatusCode::OK, EVENT_STREAM, put_off_words(ms));
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    answer
}

/// The same as bytes, for a socket that is not hyper's.
pub(crate) fn raw_put_off(ms: u64, dress: &Dress) -> Vec<u8> {
    let mut answer = put_off(ms);
    dress.put_on(answer.headers_mut());
    last_words(answer, put_off_words(ms).as_bytes())
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_is_a_problem_with_its_code_and_channel() {
        let refusal = Refusal::new(Code::Forbidden, "ask for it").at("news");
        let raw = raw_problem(&refusal, &Dress::default());
        let text = String::from_utf8(raw).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"));
        assert!(head.contains("content-type: application/problem+json\r\n"));
        assert!(head.contains("vary: Origin\r\n"));
        assert!(head.contains("connection: close\r\n"));
        assert!(head.contains("\r\ndate: "));
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        assert_eq!(
            body,
            "{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,\
             \"code\":\"forbidden\",\"detail\":\"ask for it\",\"channel\":\"news\"}"
        );
    }

    #[test]
    fn o4_vary_is_on_everything_and_cors_only_for_allowed_pages() {
        let mut headers = HeaderMap::new();
        Dress::default().put_on(&mut headers);
        assert_eq!(headers[VARY], "Origin");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        let dress = Dress {
            origin: Some(HeaderValue::from_static("https://a.org")),
            credentials: false,
            no_store: true,
        };
        dress.put_on(&mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.org");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn h1_the_required_version_is_named_and_retries_are_hinted() {
        let upgrade = problem(&Refusal::new(Code::UpgradeRequired, "x"));
        assert_eq!(upgrade.headers()["sec-websocket-version"], "13");
        let busy = problem(&Refusal::new(Code::Overloaded, "x"));
        assert_eq!(busy.headers()[RETRY_AFTER], "1");
        let wait = Duration::from_millis(2001);
        let fast = problem(&Refusal::new(Code::RateLimited, "x").after(wait));
        assert_eq!(fast.headers()[RETRY_AFTER], "3");
        let key = problem(&Refusal::new(Code::Unauthorized, "x"));
        assert_eq!(key.headers()[WWW_AUTHENTICATE], "Bearer");
    }
}
