//! Which HTTP a connection speaks: its first bytes decide.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use crate::app::App;
use crate::shutdown::Stage;
use crate::transport::{Stream, with_scratch};

/// What a client that knows beforehand opens HTTP/2 with (RFC 9113, 3.4). No
/// request of HTTP/1 begins so.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1.1, or whatever its parser will refuse.
    Http1,
    /// HTTP/2.
    Http2,
    /// Nothing: no byte came in time, or the server stops.
    Nothing,
    /// A part of the preface, and then nothing in time.
    Late,
}

/// What was read to decide.
pub(super) struct Sniffed {
    pub(super) speaks: Speaks,
    /// All that was read, preface included.
    pub(super) read: Bytes,
    /// When the first byte was there.
    pub(super) begun: Instant,
}

/// Reads until it is clear what `stream` speaks; `before` has been read of it
/// already. The first byte may take `http.first_byte_timeout`, the rest of a
/// preface `http.header_timeout`.
pub(super) async fn sniff(app: &App, stream: &mut Stream, before: Bytes) -> Sniffed {
    let limits = &app.config.http;
    let mut read = BytesMut::from(&before[..]);
    let mut begun = Instant::now();
    let mut stopping = pin!(app.reached(Stage::Closing));
    let mut timer = pin!(sleep_until(begun + limits.first_byte_timeout));
    let speaks = loop {
        if let Some(speaks) = judge(&read) {
            break speaks;
        }
        if !read.is_empty() {
            timer.as_mut().reset(begun + limits.header_timeout);
        }
        let had = read.len();
        let more = poll_fn(|cx| {
            if let Poll::Ready(more) = fill(stream, &mut read, cx) {
                return Poll::Ready(Some(more));
            }
            let over = stopping.as_mut().poll(cx).is_ready() || timer.as_mut().poll(cx).is_ready();
            if over {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        });
        match more.await {
            Some(true) if had == 0 => begun = Instant::now(),
            Some(true) => {}
            // The end, or an error: told by whoever reads next.
            Some(false) => break Speaks::Http1,
            None if read.is_empty() => break Speaks::Nothing,
            None => break Speaks::Late,
        }
    };
    let read = read.freeze();
    Sniffed {
        speaks,
        read,
        begun,
    }
}

/// Whether more came.
fn fill(stream: &mut Stream, read: &mut BytesMut, cx: &mut Context<'_>) -> Poll<bool> {
    with_scratch(|buffer| {
        stream.poll_read(cx, buffer).map(|result| {
            let count = result.unwrap_or(0);
            read.put_slice(&buffer[..count]);
            count > 0
        })
    })
}

/// None while it can still be either.
fn judge(read: &[u8]) -> Option<Speaks> {
    if read.starts_with(PREFACE) {
        Some(Speaks::Http2)
    } else if PREFACE.starts_with(read) {
        None
    } else {
        Some(Speaks::Http1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_from_the_preface_means_http_1() {
        assert_eq!(judge(b""), None);
        assert_eq!(judge(b"P"), None);
        assert_eq!(judge(b"PO"), Some(Speaks::Http1));
        assert_eq!(judge(b"GET / HTTP/1.1\r\n"), Some(Speaks::Http1));
        assert_eq!(judge(&PREFACE[..23]), None);
        assert_eq!(judge(PREFACE), Some(Speaks::Http2));
        assert_eq!(judge(&[PREFACE, &[0; 9]].concat()), Some(Speaks::Http2));
        assert_eq!(judge(b"PRI * HTTP/2.0\r\n\r\nXX"), Some(Speaks::Http1));
    }
}
