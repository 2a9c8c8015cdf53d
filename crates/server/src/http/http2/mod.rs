//! One connection of HTTP/2 (RFC 9113), under hyper: requests are judged as
//! those of HTTP/1.1, and every event stream and poll stays here, in pull mode.
//!
//! hyper and h2 hold the protocol: windows, header lists, resets, frames that
//! are out of place. Here is what they do not: a frame that is never finished, a
//! peer that takes nothing or sends frames without end, a connection that has
//! nothing to do. No task and no timer of a connection outlives it.

mod frames;
mod line;
mod streams;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use self::frames::{ENHANCE_YOUR_CALM, goaway};
use self::line::{Held, Line};
use self::streams::Streams;
use super::coming::Coming;
use super::stay::{Arrived, Times, answer};
use super::timer::Tokio;
use crate::app::{App, Peer};
use crate::refused::{Via, Who};
use crate::shutdown::Stage;
use crate::transport::{Stream, linger};

/// What a peer may send on one stream before it is read, and on all of a
/// connection: uploads are small here, and every connection may hold so much.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Bytes that h2 keeps of one stream for a peer that does not take them.
const SEND_BUFFER: usize = 32 * 1024;

/// Streams that a peer may open and reset before they are looked at, and those
/// it makes us reset by its errors; one more ends the connection.
const RESETS_UNSEEN: usize = 20;
const RESETS_BY_ERRORS: usize = 100;

/// How a connection ended.
enum Done {
    /// By the protocol, or the peer went.
    Ended,
    /// The peer takes no bytes, or does not answer.
    Cut,
    /// The peer is told why, where that can be said.
    Calm(Code, &'static str),
}

/// When something becomes due, and what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Slow,
    Stalled,
    Leave,
    Left,
}

/// Serves `stream` in a task of its own; of it `read`, the preface first, has been read since
/// `begun`.
pub(super) fn start(app: Arc<App>, peer: Arc<Peer>, stream: Stream, read: Bytes, begun: Instant) {
    tokio::spawn(serve(app, peer, stream, read, begun));
}

async fn serve(app: Arc<App>, peer: Arc<Peer>, stream: Stream, read: Bytes, begun: Instant) {
    let line = Line::new(stream, read, begun, app.config.http2.overhead_frames);
    let done = under_hyper(&app, &peer, &line).await;
    let Some(line) = Arc::into_inner(line).map(Mutex::into_inner) else {
        return;
    };
    if let Done::Calm(code, why) = done {
        app.refuses(&Refusal::new(code, why), Who::new(peer.address, Via::Http));
    }
    let wait = app.config.ws.close_wait;
    let last = line.last_stream();
    let mut stream = line.into_stream();
    match (done, last) {
        (Done::Ended, _) => linger(stream, wait).await,
        (Done::Calm(_, why), Some(last)) => {
            tracing::debug!(peer = %peer.address, why, "HTTP/2 connection closed");
            let words = goaway(last, ENHANCE_YOUR_CALM, why);
            let written = tokio::time::timeout(wait, stream.write_all(&words)).await;
            if matches!(written, Ok(Ok(()))) {
                linger(stream, wait).await;
            }
        }
        (Done::Calm(..) | Done::Cut, _) => {}
    }
}

async fn under_hyper(app: &Arc<App>, peer: &Arc<Peer>, line: &Arc<Mutex<Line>>) -> Done {
    let limits = &app.config.limits;
    let times = Times {
        progress: limits.write_progress,
        grace: app.config.listen.shutdown_grace,
    };
    let streams = Streams::new(peer.clone(), times);
    let service = service_fn({
        let (app, peer, streams) = (app.clone(), peer.clone(), streams.clone());
        move |request: Request<Incoming>| {
            let arrived = Arrived::new(request.map(Coming::Ours));
            let answer = answer(app.clone(), peer.clone(), streams.open(), arrived);
            // Apart: a stream that only waits holds no room for everything that
            // answering takes.
            let answer = Box::pin(answer);
            async move { Ok::<_, Infallible>(answer.await) }
        }
    });
    let held = Held(line.clone());
    let mut connection = builder(app, streams.clone()).serve_connection(held, service);
    let mut draining = pin!(app.reached(Stage::Draining));
    let mut over = pin!(app.reached(Stage::Over));
    // Since when no more streams are taken.
    let mut leaving: Option<Instant> = None;
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        if leaving.is_none() && draining.as_mut().poll(cx).is_ready() {
            leaving = Some(Instant::now());
            Pin::new(&mut connection).graceful_shutdown();
        }
        loop {
            if Pin::new(&mut connection).poll(cx).is_ready() {
                return Poll::Ready(Done::Ended);
            }
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Done::Cut);
            }
            let now = streams.look(cx);
            if leaving.is_none() && peer.over_limit && now.opened > 0 {
                // Told once, and gone.
                leaving = Some(Instant::now());
                Pin::new(&mut connection).graceful_shutdown();
                continue;
            }
            let line = line.lock();
            if line.is_flooded() {
                let why = "more frames than requests and data need";
                return Poll::Ready(Done::Calm(Code::RateLimited, why));
            }
            let Some((at, due)) = next(app, peer, &line, &now, leaving) else {
                return Poll::Pending;
            };
            drop(line);
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            std::task::ready!(timer.as_mut().poll(cx));
            match due {
                Due::Slow => {
                    let why = "a frame came too slowly";
                    return Poll::Ready(Done::Calm(Code::RequestTimeout, why));
                }
                Due::Stalled | Due::Left => return Poll::Ready(Done::Cut),
                Due::Leave => {
                    leaving = Some(Instant::now());
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    })
    .await
}

/// What is due next.
fn next(
    app: &App,
    peer: &Peer,
    line: &Line,
    now: &streams::Now,
    leaving: Option<Instant>,
) -> Option<(Instant, Due)> {
    let (http, listen) = (&app.config.http, &app.config.listen);
    let slow = line.begun().map(|(begun, of_data)| {
        let time = if of_data {
            http.body_timeout
        } else {
            http.header_timeout
        };
        (begun + time, Due::Slow)
    });
    let progress = app.config.limits.write_progress;
    let stalled = line.stalled().map(|since| (since + progress, Due::Stalled));
    // Streams end by themselves, each within its own bounds.
    let idle = (now.live == 0).then(|| match leaving {
        // Taken in only to be told so.
        None if peer.over_limit => (now.changed + http.header_timeout, Due::Leave),
        None => (now.changed + http.keep_alive, Due::Leave),
        Some(since) => (since.max(now.changed) + listen.shutdown_grace, Due::Left),
    });
    [slow, stalled, idle]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
}

fn builder(app: &App, streams: Streams) -> Builder<Streams> {
    let (http, http2) = (&app.config.http, &app.config.http2);
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut builder = Builder::new(streams);
    builder
        .timer(Tokio)
        .enable_connect_protocol()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(narrow(http2.max_streams))
        .max_header_list_size(narrow(http.header_bytes))
        .max_pending_accept_reset_streams(RESETS_UNSEEN)
        .max_local_error_reset_streams(RESETS_BY_ERRORS)
        .keep_alive_interval(http2.ping)
        .keep_alive_timeout(http2.timeout);
    builder
}
