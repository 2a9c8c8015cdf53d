//! What a GET under `/c/` wants: a WebSocket, an event stream, a long poll or
//! history (`PROTOCOL.md`, section 2).

use std::time::Duration;

use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::Start;
use fanwire_core::limits::MAX_HISTORY_LIMIT;
use fanwire_proto::ws::handshake::has_token;
use http::header::{
    ACCEPT, CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};

use super::target::{Query, number};

/// The subprotocol that asks for envelopes.
pub(crate) const SUBPROTOCOL: &str = "fanwire.envelope";

/// `limit=` where none is given.
const DEFAULT_LIMIT: usize = 100;

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// A WebSocket. `named`: the subprotocol was offered, so it is echoed.
    WebSocket { envelope: bool, named: bool },
    /// An event stream.
    Sse { envelope: bool },
    /// The first thing to tell, or an empty list at the deadline.
    Poll { wait: Duration, limit: usize },
    /// What was.
    History { limit: usize },
}

/// How long polls may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// Without a value.
    pub(crate) default: Duration,
    /// At most.
    pub(crate) max: Duration,
}

#[derive(Default)]
struct Formats {
    sse: bool,
    json: bool,
    raw: bool,
    envelope: bool,
}

/// Decides what a GET wants.
///
/// # Errors
/// `bad_request` where parameters contradict each other or are not of their form.
pub(crate) fn want(
    headers: &HeaderMap,
    query: &Query,
    channels: usize,
    waits: Waits,
) -> Result<Want, Refusal> {
    let formats = formats(query.format.as_deref())?;
    let envelope = formats.envelope || channels > 1;
    if wants_websocket(headers) {
        if formats.sse || formats.json {
            return Err(bad("a WebSocket is raw or envelope, not sse or json"));
        }
        let offered = offers_envelope(headers);
        let envelope = envelope || (offered && !formats.raw);
        let named = envelope && offered;
        return Ok(Want::WebSocket { envelope, named });
    }
    if formats.sse || (!formats.json && names_event_stream(headers)) {
        return Ok(Want::Sse { envelope });
    }
    if formats.raw {
        return Err(bad("raw is a form of streams; polls and history are JSON"));
    }
    let limit = limit(query.limit.as_deref())?;
    Ok(match query.wait.as_deref() {
        None => Want::History { limit },
        Some(b"") => Want::Poll {
            wait: waits.default,
            limit,
        },
        Some(value) => Want::Poll {
            wait: seconds(number("wait", value)?).min(waits.max),
            limit,
        },
    })
}

/// Where a stream, poll or history starts. `Last-Event-ID` wins over `after=`,
/// and both over `rewind=`.
///
/// # Errors
/// `bad_request` for a `rewind` that is not 0 to 1,000. Never for a cursor.
pub(crate) fn start(headers: &HeaderMap, query: &Query, want: Want) -> Result<Start, Refusal> {
    let mut ids = headers.get_all(LAST_EVENT_ID).iter();
    if let Some(id) = ids.next() {
        let one = ids.next().is_none();
        return Ok(Start::After(match one {
            true => Cursor::read(id.as_bytes()),
            false => CursorText::Malformed,
        }));
    }
    match query.after.as_deref() {
        Some(b"earliest") => return Ok(Start::Earliest),
        Some(b"latest") => return Ok(Start::Latest),
        Some(cursor) => return Ok(Start::After(Cursor::read(cursor))),
        None => {}
    }
    if let Some(value) = query.rewind.as_deref() {
        let last = number("rewind", value)?;
        if last > MAX_HISTORY_LIMIT {
            return Err(bad("rewind is 0 to 1000"));
        }
        return Ok(Start::Rewind(last));
    }
    Ok(match want {
        Want::History { limit } => Start::Newest(limit),
        _ => Start::Latest,
    })
}

/// `Last-Event-ID`, which the `http` crate has no constant for.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Whether the request asks for a WebSocket: whether it asks well is judged
/// later, so that a broken handshake is refused instead of answered otherwise.
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    has(headers, &UPGRADE, "websocket")
}

/// Whether the request says that its connection is to be upgraded.
pub(crate) fn wants_upgrade(headers: &HeaderMap) -> bool {
    has(headers, &CONNECTION, "upgrade")
}

/// Whether the connection is to be closed after the answer.
pub(crate) fn wants_close(headers: &HeaderMap) -> bool {
    has(headers, &CONNECTION, "close")
}

fn has(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|value| has_token(value.as_bytes(), token.as_bytes()))
}

/// Whether the envelope's subprotocol is among those offered.
pub(super) fn offers_envelope(headers: &HeaderMap) -> bool {
    let offers = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|offer| offer.trim_ascii() == SUBPROTOCOL.as_bytes())
    };
    headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().any(offers)
}

/// Whether `Accept` names `text/event-stream` itself; `*/*` does not.
fn names_event_stream(headers: &HeaderMap) -> bool {
    let named = |range: &[u8]| {
        let mut parts = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let kind = parts.next().unwrap_or_default();
        kind.eq_ignore_ascii_case(b"text/event-stream") && !parts.any(is_zero_weight)
    };
    headers.get_all(ACCEPT).iter().any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|r| named(r.trim_ascii()))
    })
}

/// Whether a request that is not looked at any further asks for an event stream.
pub(crate) fn is_event_stream(headers: &HeaderMap, query: Option<&str>) -> bool {
    let by_query = |part: &str| {
        let value = part.strip_prefix("format=");
        value.is_some_and(|value| value.split(',').any(|word| word == "sse"))
    };
    names_event_stream(headers) || query.is_some_and(|query| query.split('&').any(by_query))
}

/// `q=0`: not acceptable (RFC 9110, 12.4.2).
fn is_zero_weight(part: &[u8]) -> bool {
    let Some((name, value)) = part.split_at_checked(2) else {
        return false;
    };
    name.eq_ignore_ascii_case(b"q=")
        && !value.is_empty()
        && value.iter().all(|b| matches!(b, b'0' | b'.'))
}

fn formats(value: Option<&[u8]>) -> Result<Formats, Refusal> {
    let mut formats = Formats::default();
    for word in value
        .into_iter()
        .flat_map(|value| value.split(|b| *b == b','))
    {
        match word {
            b"sse" => formats.sse = true,
            b"json" => formats.json = true,
            b"raw" => formats.raw = true,
            b"envelope" => formats.envelope = true,
            _ => return Err(bad("format is one of sse, json, raw, envelope")),
        }
    }
    if (formats.sse && formats.json) || (formats.raw && formats.envelope) {
        return Err(bad("format names two forms that exclude each other"));
    }
    Ok(formats)
}

fn limit(value: Option<&[u8]>) -> Result<usize, Refusal> {
    match value.map(|value| number("limit", value)).transpose()? {
        None => Ok(DEFAULT_LIMIT),
        Some(0) => Err(bad("limit is 1 to 1000")),
        Some(limit) => Ok(limit.min(MAX_HISTORY_LIMIT)),
    }
}

fn seconds(seconds: usize) -> Duration {
    Duration::from_secs(seconds as u64)
}

fn bad(why: &str) -> Refusal {
    Refusal::new(Code::BadRequest, why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::target;
    use super::*;

    const WAITS: Waits = Waits {
        default: Duration::from_secs(25),
        max: Duration::from_secs(55),
    };

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn wanted(pairs: &[(&'static str, &str)], target: &str) -> Result<Want, Code> {
        let (list, query) = target.split_once('?').unwrap_or((target, ""));
        let (keys, query) = target::read(Some(list), Some(query)).unwrap();
        want(&headers(pairs), &query, keys.len(), WAITS).map_err(|refusal| refusal.code)
    }

    fn poll(seconds: u64) -> Want {
        Want::Poll {
            wait: Duration::from_secs(seconds),
            limit: 100,
        }
    }

    #[test]
    fn an_event_stream_must_be_named() {
        let sse = Ok(Want::Sse { envelope: false });
        assert_eq!(wanted(&[("accept", "text/event-stream")], "a"), sse);
        assert_eq!(
            wanted(&[("accept", "text/html, Text/Event-Stream;q=0.9")], "a"),
            sse
        );
        assert_eq!(wanted(&[], "a?format=sse"), sse);
        let history = Ok(Want::History { limit: 100 });
        assert_eq!(wanted(&[("accept", "*/*")], "a"), history);
        assert_eq!(wanted(&[("accept", "text/event-stream;q=0")], "a"), history);
        assert_eq!(
            wanted(&[("accept", "text/event-stream")], "a?format=json"),
            history
        );
    }

    #[test]
    fn several_channels_come_in_the_envelope() {
        let sse = |envelope| Ok(Want::Sse { envelope });
        assert_eq!(wanted(&[], "a,b?format=sse"), sse(true));
        assert_eq!(wanted(&[], "a,b?format=sse,raw"), sse(true));
        assert_eq!(wanted(&[], "a,a?format=sse"), sse(false));
        assert_eq!(wanted(&[], "a?format=sse,envelope"), sse(true));
    }

    #[test]
    fn h5_h6_a_websocket_takes_only_the_subprotocol_that_was_offered() {
        let upgrade = ("upgrade", "WebSocket");
        let ws = |envelope, named| Ok(Want::WebSocket { envelope, named });
        assert_eq!(wanted(&[upgrade], "a"), ws(false, false));
        assert_eq!(wanted(&[upgrade], "a?format=envelope"), ws(true, false));
        assert_eq!(wanted(&[upgrade], "a,b"), ws(true, false));
        let offer = ("sec-websocket-protocol", "x, fanwire.envelope");
        assert_eq!(wanted(&[upgrade, offer], "a"), ws(true, true));
        assert_eq!(wanted(&[upgrade, offer], "a?format=raw"), ws(false, false));
        let other = (
            "sec-websocket-protocol",
            "fanwire.envelope2, Fanwire.Envelope",
        );
        assert_eq!(wanted(&[upgrade, other], "a"), ws(false, false));
        assert_eq!(wanted(&[upgrade], "a?format=sse"), Err(Code::BadRequest));
    }

    #[test]
    fn a_poll_waits_as_long_as_it_says_within_bounds() {
        assert_eq!(wanted(&[], "a?wait=0"), Ok(poll(0)));
        assert_eq!(wanted(&[], "a?wait"), Ok(poll(25)));
        assert_eq!(wanted(&[], "a?wait="), Ok(poll(25)));
        assert_eq!(wanted(&[], "a?wait=55"), Ok(poll(55)));
        assert_eq!(wanted(&[], "a?wait=56"), Ok(poll(55)));
        assert_eq!(wanted(&[], "a?wait=-1"), Err(Code::BadRequest));
        assert_eq!(wanted(&[], "a?wait=2.5"), Err(Code::BadRequest));
    }

    #[test]
    fn x11_a_limit_over_the_bound_counts_as_the_bound() {
        let history = |limit| Ok(Want::History { limit });
        assert_eq!(wanted(&[], "a?limit=1000"), history(1000));
        assert_eq!(wanted(&[], "a?limit=1001"), history(1000));
        assert_eq!(
            wanted(&[], "a?limit=99999999999999999999999"),
            history(1000)
        );
        assert_eq!(wanted(&[], "a?limit=0"), Err(Code::BadRequest));
        assert_eq!(wanted(&[], "a?limit=x"), Err(Code::BadRequest));
    }

    #[test]
    fn formats_that_exclude_each_other_are_refused() {
        for bad in ["sse,json", "raw,envelope", "xml", "", "raw"] {
            let refused = wanted(&[], &format!("a?format={bad}"));
            assert_eq!(refused, Err(Code::BadRequest), "{bad}");
        }
    }

    fn started(pairs: &[(&'static str, &str)], query: &str) -> Start {
        let (_, query) = target::read(Some("a"), Some(query)).unwrap();
        start(&headers(pairs), &query, Want::Sse { envelope: false }).unwrap()
    }

    #[test]
    fn s4_the_header_wins_over_the_query_and_both_over_rewind() {
        let id = [("last-event-id", "a-7")];
        let seven = Start::After(Cursor::read(b"a-7"));
        assert_eq!(started(&id, "after=a-8&rewind=3"), seven);
        assert_eq!(started(&[], "after=a-7&rewind=3"), seven);
        assert_eq!(started(&[], "rewind=3"), Start::Rewind(3));
        assert_eq!(started(&[], "after=earliest"), Start::Earliest);
        assert_eq!(started(&[], "after=latest&rewind=3"), Start::Latest);
        assert_eq!(started(&[], ""), Start::Latest);
    }

    #[test]
    fn s3_no_cursor_is_refused() {
        let after = |text| Start::After(text);
        assert_eq!(started(&[], "after="), after(CursorText::Empty));
        assert_eq!(started(&[], "after=%FF%00"), after(CursorText::Malformed));
        assert_eq!(
            started(&[("last-event-id", "earliest")], ""),
            after(CursorText::Malformed)
        );
        assert_eq!(
            started(&[("last-event-id", "")], ""),
            after(CursorText::Empty)
        );
        let twice = [("last-event-id", "a-7"), ("last-event-id", "a-7")];
        assert_eq!(started(&twice, ""), after(CursorText::Malformed));
        let long = "9".repeat(20_000);
        assert_eq!(
            started(&[("last-event-id", &long)], ""),
            after(CursorText::Malformed)
        );
    }

    #[test]
    fn rewind_is_0_to_1000() {
        assert_eq!(started(&[], "rewind=1000"), Start::Rewind(1000));
        let (_, query) = target::read(Some("a"), Some("rewind=1001")).unwrap();
        assert!(start(&HeaderMap::new(), &query, Want::Sse { envelope: false }).is_err());
    }
}
