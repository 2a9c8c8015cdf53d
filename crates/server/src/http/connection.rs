//! One connection: which HTTP it speaks, and under HTTP/1.1 its time-outs, its broken heads, its departure.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use fanwire_core::error::{Code, Refusal};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use tokio::time::Instant;

use super::engineio;
use super::gate::{Exit, Gate, Hatch, Phase, Watch};
use super::pour::{Pouring, pour};
use super::sniff::{Speaks, sniff};
use super::wait::{Waiting, wait};
use super::{http2, next, service};
use crate::answer::{Dress, raw_problem};
use crate::app::{Agreed, App, Peer};
use crate::refused::{Via, Who};
use crate::shutdown::Stage;
use crate::transport::{Departure, Stream, Unproven, depart, linger, prove, rest};

/// Why a connection is hyper's no longer.
enum Done {
    /// HTTP said so, or the peer went.
    Ended,
    /// The head was broken or too slow: this is the answer.
    Refused(Refusal),
    /// Idle for too long, or the peer takes no bytes.
    Idle,
    /// A handler wants the socket.
    Departs(Box<Departure>),
    /// A WebSocket of somebody yet to be known.
    Unproven(Box<Unproven>),
    /// A handler's last words on it.
    Says(Bytes),
    /// A handler's answer, behind which more messages may follow.
    Rests(Vec<u8>),
    /// An Engine.IO session wants the socket.
    Engine(Box<engineio::Exit>),
    /// An application's route answers at length.
    Pours(Box<Pouring>),
    /// An application's route takes its time.
    Waits(Box<Waiting>),
}

/// Serves HTTP on `stream` in a task of its own; `before` has been read of
/// it already. Sockets come back here after every parked poll.
pub(crate) fn start(app: Arc<App>, peer: Arc<Peer>, stream: Stream, before: Bytes) {
    tokio::spawn(serve(app, peer, stream, before));
}

async fn serve(app: Arc<App>, peer: Arc<Peer>, mut stream: Stream, mut before: Bytes) {
    let mut begun = None;
    if !peer.was_served() {
        let sniffed = sniff(&app, &mut stream, before).await;
        // Who agreed on one HTTP and speaks another is told so by the first.
        let speaks = match (peer.agreed, sniffed.speaks) {
            (Agreed::Http2, Speaks::Http1) => Speaks::Http2,
            (Agreed::Http1, Speaks::Http2) => Speaks::Http1,
            (_, speaks) => speaks,
        };
        match speaks {
            Speaks::Http1 => {}
            Speaks::Http2 => {
                return http2::start(app, peer, stream, sniffed.read, sniffed.begun);
            }
            Speaks::Nothing => return stream.say_goodbye(),
            Speaks::Late => return refuse((&app, &peer), stream, &too_slow()).await,
        }
        before = sniffed.read;
        begun = (!before.is_empty()).then_some(sniffed.begun);
    }
    let hatch = Hatch::new(!peer.was_served(), begun);
    let (mut stream, rest_of, done) = under_hyper(&app, &peer, stream, before, &hatch).await;
    let time = app.config.ws.close_wait;
    match done {
        Done::Departs(departure) => depart(app, peer, stream, &rest_of, *departure),
        Done::Unproven(unproven) => prove(app, peer, stream, rest_of, *unproven),
        Done::Engine(exit) => engineio::leave(app, peer, stream, &rest_of, *exit, &next::BACK),
        Done::Pours(pouring) => pour(app, peer, stream, *pouring),
        Done::Waits(waiting) => wait(app, peer, stream, rest_of, *waiting),
        Done::Ended => linger(stream, time).await,
        Done::Idle => stream.say_goodbye(),
        Done::Refused(refusal) => refuse((&app, &peer), stream, &refusal).await,
        Done::Says(words) => say_last(stream, &words, time).await,
        Done::Rests(answer) => {
            let time = app.config.limits.write_progress;
            let written = tokio::time::timeout(time, stream.write_all(&answer)).await;
            if matches!(written, Ok(Ok(()))) {
                rest(app, peer, stream, &rest_of, &next::BACK);
            }
        }
    }
}

async fn refuse((app, peer): (&App, &Peer), stream: Stream, refusal: &Refusal) {
    app.refuses(refusal, Who::new(peer.address, Via::Http));
    let wait = app.config.ws.close_wait;
    say_last(stream, &raw_problem(refusal, &Dress::default()), wait).await;
}

async fn say_last(mut stream: Stream, words: &[u8], wait: Duration) {
    let written = tokio::time::timeout(wait, stream.write_all(words)).await;
    if matches!(written, Ok(Ok(()))) {
        linger(stream, wait).await;
    }
}

fn too_slow() -> Refusal {
    Refusal::new(
        Code::RequestTimeout,
        "the request's head came too slowly; send it at once",
    )
}

async fn under_hyper(
    app: &Arc<App>,
    peer: &Arc<Peer>,
    stream: Stream,
    before: Bytes,
    hatch: &Arc<Hatch>,
) -> (Stream, Bytes, Done) {
    let limits = &app.config.http;
    let gate = Gate::new(stream, before, limits.header_bytes, hatch.clone());
    let service = service_fn({
        let (app, peer, hatch) = (app.clone(), peer.clone(), hatch.clone());
        move |request| service::handle(app.clone(), peer.clone(), hatch.clone(), request)
    });
    let mut connection = builder(app).serve_connection(gate, service);
    let mut closing = pin!(app.reached(Stage::Closing));
    let mut over = pin!(app.reached(Stage::Over));
    // The request under way is the last one.
    let mut closes = false;
    let mut timer = pin!(tokio::time::sleep(limits.first_byte_timeout));
    let done = poll_fn(|cx| {
        if !closes && closing.as_mut().poll(cx).is_ready() {
            closes = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let polled = Pin::new(&mut connection).poll(cx);
        let mut watch = hatch.watch();
        if let Poll::Ready(result) = polled {
            let broken = result.is_err_and(|error| error.is_parse());
            return Poll::Ready(ended(&watch, broken));
        }
        match watch.take_exit() {
            Some(Exit::Departs(departure)) => return Poll::Ready(Done::Departs(departure)),
            Some(Exit::Unproven(unproven)) => return Poll::Ready(Done::Unproven(unproven)),
            Some(Exit::Says(words)) => return Poll::Ready(Done::Says(words)),
            Some(Exit::Rests(words)) => return Poll::Ready(Done::Rests(words)),
            Some(Exit::Pours(pouring)) => return Poll::Ready(Done::Pours(pouring)),
            Some(Exit::Waits(waiting)) => return Poll::Ready(Done::Waits(waiting)),
            Some(Exit::Engine(exit)) => return Poll::Ready(Done::Engine(exit)),
            None => {}
        }
        if watch.phase == Phase::Head && watch.head_bytes >= limits.header_bytes {
            return Poll::Ready(Done::Refused(too_long(&watch)));
        }
        if over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Done::Idle);
        }
        let Some(deadline) = deadline(app, &watch) else {
            return Poll::Pending;
        };
        let phase = watch.phase;
        drop(watch);
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| match phase {
            Phase::Head => Done::Refused(too_slow()),
            _ => Done::Idle,
        })
    })
    .await;
    let parts = connection.into_parts();
    let (stream, before) = parts.io.into_parts();
    (stream, join(parts.read_buf, before), done)
}

fn builder(app: &App) -> Builder {
    let limits = &app.config.http;
    let mut builder = Builder::new();
    builder
        .half_close(true)
        .header_read_timeout(None)
        // The gate holds the exact limit; these hold pipelined heads, which the
        // gate cannot tell from the bodies before them.
        .max_header_size(limits.header_bytes + 1024)
        .max_buf_size((limits.header_bytes + 1024).max(64 * 1024));
    if limits.header_count != 100 {
        builder.max_headers(limits.header_count);
    }
    builder
}

/// When the phase has lasted too long; none where a handler bounds itself.
fn deadline(app: &App, watch: &Watch) -> Option<Instant> {
    let limits = &app.config.http;
    let time: Duration = match watch.phase {
        Phase::Idle if watch.first => limits.first_byte_timeout,
        Phase::Idle => limits.keep_alive,
        Phase::Head => limits.header_timeout,
        Phase::Handling => return None,
        Phase::Answering => app.config.limits.write_progress,
    };
    Some(watch.since + time)
}

/// What is left to say when hyper has ended.
fn ended(watch: &Watch, broken: bool) -> Done {
    let code = match watch.automatic {
        Some(431) => Code::HeadersTooLarge,
        Some(414) => Code::UriTooLong,
        Some(_) => Code::BadRequest,
        // Not even HTTP/1.
        None if broken && watch.phase == Phase::Head => Code::BadRequest,
        None => return Done::Ended,
    };
    let sentence = match code {
        Code::HeadersTooLarge => "the request has too many or too large headers",
        Code::UriTooLong => "the request's target is too long",
        _ => "this is not an HTTP/1.1 request",
    };
    Done::Refused(Refusal::new(code, sentence))
}

fn too_long(watch: &Watch) -> Refusal {
    if watch.line_seen {
        Refusal::new(
            Code::HeadersTooLarge,
            "the request's head is over the limit",
        )
    } else {
        Refusal::new(
            Code::UriTooLong,
            "the request's first line is over the limit",
        )
    }
}

fn join(first: Bytes, second: Bytes) -> Bytes {
    if second.is_empty() {
        return first;
    }
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.put(first);
    both.put(second);
    both.freeze()
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
