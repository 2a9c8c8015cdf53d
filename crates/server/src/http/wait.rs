//! A route that takes its time, over HTTP/1.1: it is waited for outside hyper, which would
//! go on with it for a client that has gone, and hold its connection, until it has its
//! answer for nobody.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, Version, request};

use super::next;
use super::pour::{Sends, pour, sends};
use super::routes::Own;
use crate::answer::head_alone;
use crate::app::{App, Peer};
use crate::shutdown::Stage;
use crate::transport::{Stream, linger, rest, with_scratch};

/// What comes within this goes out by hyper: most answers do.
const SOON: Duration = Duration::from_millis(100);

/// Bytes of requests behind this one that are kept for later. Who sends more is read no
/// further, and no longer seen to go.
const AHEAD: usize = 64 * 1024;

/// An answer to come.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response<Own>> + Send>>;

/// What of a request says how it is answered.
pub(super) struct Seen {
    method: Method,
    version: Version,
    /// The connection may go on behind it.
    stays: bool,
}

/// A request whose route is at work.
pub(super) struct Waiting {
    seen: Seen,
    answering: Answering,
}

impl Seen {
    pub(super) fn of(head: &request::Parts) -> Self {
        let closes = |value: &HeaderValue| {
            let options = value.to_str().unwrap_or("close");
            let mut options = options.split(',').map(str::trim);
            options.any(|option| option.eq_ignore_ascii_case("close"))
        };
        let mut options = head.headers.get_all(CONNECTION).iter();
        Self {
            method: head.method.clone(),
            version: head.version,
            stays: head.version == Version::HTTP_11 && !options.any(closes),
        }
    }
}

impl Waiting {
    /// A request without a body.
    pub(super) fn new(seen: Seen, answering: Answering) -> Self {
        Self { seen, answering }
    }

    /// The answer, where it comes soon.
    pub(super) async fn soon(mut self) -> Result<Response<Own>, Box<Self>> {
        match tokio::time::timeout(SOON, &mut self.answering).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(Box::new(self)),
        }
    }
}

/// Waits in a task of its own, and sends the answer. Where its client goes before, the
/// route is dropped. `behind` is what has been read behind the request.
pub(super) fn wait(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    behind: Bytes,
    waiting: Waiting,
) {
    tokio::spawn(waited(app, peer, stream, behind.into(), waiting));
}

async fn waited(
    app: Arc<App>,
    peer: Arc<Peer>,
    mut stream: Stream,
    mut behind: BytesMut,
    waiting: Waiting,
) {
    let Waiting {
        seen,
        mut answering,
    } = waiting;
    let mut over = pin!(app.reached(Stage::Over));
    let answer = poll_fn(|cx| {
        let gone = poll_gone(cx, &mut stream, &mut behind);
        if gone.is_ready() || over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        answering.as_mut().poll(cx).map(Some)
    });
    let Some(answer) = answer.await else {
        return stream.say_goodbye();
    };
    let mut answer = match sends(answer, &seen.method, seen.version).await {
        Sends::Whole(answer) => answer,
        Sends::Pours(pouring) => return pour(app, peer, stream, *pouring),
    };
    let stays = seen.stays && !peer.over_limit && !app.is_stopping();
    if !stays {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    // Said by whoever writes it, as it is; but what a GET would get only the route knows.
    answer.headers_mut().remove(TRANSFER_ENCODING);
    let words = match seen.method {
        Method::HEAD => head_alone(&answer.into_parts().0),
        _ => {
            answer.headers_mut().remove(CONTENT_LENGTH);
            next::written(answer).await
        }
    };
    let time = app.config.limits.write_progress;
    let written = tokio::time::timeout(time, stream.write_all(&words)).await;
    if !matches!(written, Ok(Ok(()))) {
        return;
    }
    if stays {
        rest(app, peer, stream, &behind, &next::BACK);
    } else {
        linger(stream, app.config.ws.close_wait).await;
    }
}

/// Ready once the client has gone: it sends no more, or the connection broke.
fn poll_gone(cx: &mut Context<'_>, stream: &mut Stream, behind: &mut BytesMut) -> Poll<()> {
    while behind.len() < AHEAD {
        let read = with_scratch(|buffer| {
            let read = stream.poll_read(cx, buffer);
            if let Poll::Ready(Ok(count)) = read {
                behind.extend_from_slice(&buffer[..count]);
            }
            read
        });
        match std::task::ready!(read) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Poll::Ready(()),
        }
    }
    Poll::Pending
}
