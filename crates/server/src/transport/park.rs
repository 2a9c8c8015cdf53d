//! Connections that say nothing while they listen: event streams and parked
//! polls. They are read only to notice that the peer is gone.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{End, Subscriber};
use tokio::time::Sleep;

use super::depart::{Departure, Purpose, attach, refuse};
use super::port::Port;
use super::stream::{Stream, linger, with_scratch};
use crate::app::{App, Peer};

/// Bytes that a peer may send on an event stream, where nothing is expected.
const IGNORED: usize = 64 * 1024;

/// Serves an event stream or a parked poll until it ends.
pub(super) async fn run(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: Vec<u8>,
    departure: Departure,
) {
    let purpose = departure.purpose;
    let back = departure.back;
    let dress = departure.dress.clone();
    let clock = app.clock.clone();
    let port = Port::new(stream, clock, app.config.debug.force_pull);
    let Some((port, subscriber)) = attach(&app, port, departure).await else {
        return;
    };
    let mut parked = Parked {
        ignored: 0,
        // Behind a poll the next request may stand; behind an event stream,
        // nothing that matters.
        kept: match purpose {
            Purpose::Poll { .. } => Some(read),
            _ => None,
        },
        keep: app.config.http.header_bytes,
        closing: None,
        app: app.clone(),
        port,
        subscriber,
    };
    let end = poll_fn(|cx| parked.poll(cx)).await;
    let Parked {
        port,
        subscriber,
        kept,
        ..
    } = parked;
    drop(subscriber);
    match (purpose, end) {
        (_, End::Gone) => {}
        (Purpose::Poll { close: false, .. }, End::Answered) => {
            let rest = kept.unwrap_or_default().into();
            back(app, peer, port.into_stream(), rest);
        }
        (Purpose::Poll { .. }, end) if !port.has_written() => {
            refuse(&app, port, &unanswered(end), &dress).await;
        }
        _ => linger(port.into_stream(), app.config.ws.close_wait).await,
    }
}

/// What a poll is told that ended without an answer.
fn unanswered(end: End) -> Refusal {
    match end {
        End::Refused(refusal) => refusal,
        End::Shutdown => Refusal::new(Code::Unavailable, "the server shuts down; ask again"),
        _ => Refusal::new(Code::Internal, "the poll could not be answered; ask again"),
    }
}

struct Parked {
    app: Arc<App>,
    port: Port,
    subscriber: Subscriber,
    /// Bytes of the next request, for polls.
    kept: Option<Vec<u8>>,
    /// At most so many.
    keep: usize,
    /// Bytes thrown away.
    ignored: usize,
    /// Runs once the subscriber is gone and its last bytes are not yet out.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Parked {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.port.poll_out(cx, &self.subscriber) {
            Poll::Ready(Ok(end)) => return Poll::Ready(end),
            Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
            Poll::Pending => {}
        }
        if poll_closing(&mut self.closing, cx, &self.port, &self.app).is_ready() {
            return Poll::Ready(End::Gone);
        }
        loop {
            if self
                .kept
                .as_ref()
                .is_some_and(|kept| kept.len() >= self.keep)
            {
                return Poll::Pending; // The next request can wait.
            }
            let read = with_scratch(|buffer| {
                let read = self.port.poll_in(cx, buffer);
                if let (Poll::Ready(Ok(count)), Some(kept)) = (&read, &mut self.kept) {
                    kept.extend_from_slice(&buffer[..*count]);
                }
                read
            });
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(End::Gone),
                Poll::Ready(Ok(count)) if self.kept.is_none() => {
                    self.ignored += count;
                    if self.ignored > IGNORED {
                        return Poll::Ready(End::Gone);
                    }
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
    }
}

/// Bounds the time in which a connection whose subscriber is gone may still
/// take its last bytes.
pub(super) fn poll_closing(
    closing: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
    port: &Port,
    app: &App,
) -> Poll<()> {
    if closing.is_none() && port.is_ending(cx) {
        let time = app
            .config
            .listen
            .shutdown_grace
            .max(app.config.ws.close_wait);
        *closing = Some(Box::pin(tokio::time::sleep(time)));
    }
    match closing {
        Some(sleep) => sleep.as_mut().poll(cx),
        None => Poll::Pending,
    }
}
