//! Event streams of an application's own: its events, its ids, its times.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use crate::answer::EVENT_STREAM;

/// One event of an event stream of an application's own.
///
/// ```
/// let event = fanwire::sse::Event::data("7 of 9").id("7").event("progress");
/// assert_eq!(event.to_string(), "id: 7\nevent: progress\ndata: 7 of 9\n\n");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Event {
    id: Option<String>,
    event: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
}

/// The body of an event stream: the events of a stream, and a comment after each
/// time in which there was none. Dropped with its reader's connection.
pub struct Events<S> {
    stream: Pin<Box<S>>,
    comments: Duration,
    quiet: Pin<Box<Sleep>>,
}

/// After how long without an event a comment is sent.
const COMMENTS: Duration = Duration::from_secs(15);

impl Event {
    /// An event with this data; each of its lines becomes one of the event.
    pub fn data(data: impl Into<String>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::default()
        }
    }

    /// An event whose data is a value as JSON.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn json<T: serde::Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::data)
    }

    /// Says to the reader after how long, in whole milliseconds, to come back. Alone it
    /// is no event to the page.
    pub fn reconnect_after(time: Duration) -> Self {
        Self::default().retry(time)
    }

    /// The same with an id, which a reader that comes back names: see
    /// [`last_event_id`]. Of an id with a line end or NUL nothing is sent, as readers
    /// would take none of it.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into()).filter(|id| !id.contains(['\n', '\r', '\0']));
        self
    }

    /// The same with a name; without one it is `message`. Line ends in it are left out.
    #[must_use]
    pub fn event(mut self, name: impl Into<String>) -> Self {
        let mut name = name.into();
        name.retain(|c| !matches!(c, '\n' | '\r'));
        self.event = Some(name);
        self
    }

    /// The same, saying too after how long to come back.
    #[must_use]
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = Some(time);
        self
    }
}

/// As it stands in the stream.
impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(time) = self.retry {
            writeln!(f, "retry: {}", time.as_millis())?;
        }
        if let Some(id) = &self.id {
            writeln!(f, "id: {id}")?;
        }
        if let Some(event) = &self.event {
            writeln!(f, "event: {event}")?;
        }
        if let Some(data) = &self.data {
            let lines = data.replace("\r\n", "\n").replace('\r', "\n");
            for line in lines.split('\n') {
                writeln!(f, "data: {line}")?;
            }
        }
        f.write_str("\n")
    }
}

/// Answers with the events of `stream` as they come, until it ends. Where there is none
/// for 15 s a comment is sent. When its reader goes, or the server stops, `stream` is
/// dropped at once. An `EventSource` comes back after an end; an answer of status 204
/// tells it not to.
///
/// ```
/// use fanwire::sse::{self, Event, Events};
/// use tokio_stream::{Stream, StreamExt as _};
///
/// # fn shown() {
/// async fn count(headers: http::HeaderMap) -> http::Response<Events<impl Stream<Item = Event>>> {
///     let last: Option<u64> = sse::last_event_id(&headers).and_then(|id| id.parse().ok());
///     let numbers = last.map_or(1, |last| last + 1)..;
///     let each = std::time::Duration::from_secs(1);
///     let numbers = tokio_stream::iter(numbers).throttle(each);
///     sse::events(numbers.map(|n| Event::data(format!("Event {n}")).id(n.to_string())))
/// }
/// let routes: axum::Router = axum::Router::new().route("/count", axum::routing::get(count));
/// # }
/// ```
pub fn events<S>(stream: S) -> Response<Events<S>>
where
    S: Stream<Item = Event> + Send + 'static,
{
    let mut answer = Response::new(Events {
        stream: Box::pin(stream),
        comments: COMMENTS,
        quiet: Box::pin(tokio::time::sleep(COMMENTS)),
    });
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers let these through.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    answer
}

/// The id of the last event that a reader who comes back has seen.
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("last-event-id")?;
    std::str::from_utf8(value.as_bytes()).ok()
}

impl<S> Events<S> {
    /// The same with a comment after this long without an event, at least 10 ms.
    #[must_use]
    pub fn comments_after(mut self, time: Duration) -> Self {
        self.comments = time.max(Duration::from_millis(10));
        self.quiet.as_mut().reset(Instant::now() + self.comments);
        self
    }
}

impl<S: Stream<Item = Event>> Body for Events<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let words = match this.stream.as_mut().poll_next(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(event)) => Bytes::from(event.to_string()),
            Poll::Pending => {
                std::task::ready!(this.quiet.as_mut().poll(cx));
                Bytes::from_static(b":\n\n")
            }
        };
        this.quiet.as_mut().reset(Instant::now() + this.comments);
        Poll::Ready(Some(Ok(Frame::data(words))))
    }
}

impl<S> std::fmt::Debug for Events<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_no_line_of_data_id_or_name_becomes_a_field_of_its_own() {
        let event = Event::data("a\r\nid: 9\rb\n").id("1\nx").event("e\nid: 2");
        let expected = "event: eid: 2\ndata: a\ndata: id: 9\ndata: b\ndata: \n\n";
        assert_eq!(event.to_string(), expected);
        let alone = Event::reconnect_after(Duration::from_secs(5));
        assert_eq!(alone.to_string(), "retry: 5000\n\n");
        assert_eq!(Event::data("").to_string(), "data: \n\n");
    }
}
