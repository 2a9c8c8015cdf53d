//! A request that was read without hyper, on its way to its answer: a message is
//! published, a session's packets are waited for.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Sleep;

use super::depart::{Answering, Said};
use super::park::AfterPoll;
use super::rest::Resting;
use super::stream::{Stream, linger, with_scratch};
use crate::app::{App, Peer};

/// The connection meanwhile. While a message is published it is not read: the next request
/// can wait. While something is waited for it is, to see the peer go.
pub(super) struct Publishing {
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    after: Box<AfterPoll>,
    future: Answering,
    /// It may take long.
    waits: bool,
    /// Once it is known.
    answer: Option<Said>,
    /// Bytes of the answer that the peer has taken.
    taken: usize,
    /// Runs while the peer takes nothing of it.
    patience: Option<Pin<Box<Sleep>>>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Answered.
    Answered,
    /// Answered, and that was the last.
    Closes,
    /// The peer is gone, or takes nothing.
    Gone,
}

impl Publishing {
    pub(super) fn new(
        app: Arc<App>,
        peer: Arc<Peer>,
        stream: Stream,
        after: Box<AfterPoll>,
        future: Answering,
    ) -> Self {
        Self {
            app,
            peer,
            stream,
            after,
            future,
            waits: false,
            answer: None,
            taken: 0,
            patience: None,
        }
    }

    /// The same, for something that may take long.
    #[must_use]
    pub(super) fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        if self.answer.is_none() {
            match self.future.as_mut().poll(cx) {
                Poll::Ready(said) => self.answer = Some(said),
                // Dropped with the connection, what is waited for hears of it.
                Poll::Pending if self.waits => return self.poll_gone(cx),
                Poll::Pending => return Poll::Pending,
            }
        }
        let Some(answer) = &self.answer else {
            return Poll::Pending;
        };
        while self.taken < answer.words.len() {
            let rest = [IoSlice::new(&answer.words[self.taken..])];
            match self.stream.poll_write(cx, &rest) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Done::Gone),
                Poll::Ready(Ok(count)) => {
                    self.taken += count;
                    self.patience = None;
                }
                Poll::Pending => {
                    let time = self.app.config.limits.write_progress;
                    let patience = self
                        .patience
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
                    return patience.as_mut().poll(cx).map(|()| Done::Gone);
                }
            }
        }
        let closes = answer.closes;
        self.stream.poll_flush(cx).map(|flushed| match flushed {
            Err(_) => Done::Gone,
            Ok(()) if closes => Done::Closes,
            Ok(()) => Done::Answered,
        })
    }

    /// Reads what comes behind the request, until the peer is gone.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        let (stream, kept) = (&mut self.stream, &mut self.after.kept);
        // More of it can wait, though then the end is not seen.
        while kept.len() < self.app.config.http.header_bytes {
            let read = with_scratch(|buffer| {
                let read = stream.poll_read(cx, buffer);
                if let Poll::Ready(Ok(count)) = &read {
                    kept.extend_from_slice(&buffer[..*count]);
                }
                read
            });
            match ready!(read) {
                Ok(0) | Err(_) => return Poll::Ready(Done::Gone),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Rests again, where the connection goes on.
    pub(super) fn finish(self, done: Done) -> Option<Resting> {
        match done {
            Done::Answered => {
                return Some(Resting::new(self.app, self.peer, self.stream, self.after));
            }
            Done::Closes => {
                let (stream, peer) = (self.stream, self.peer);
                let wait = self.app.config.ws.close_wait;
                tokio::spawn(async move {
                    linger(stream, wait).await;
                    drop(peer);
                });
            }
            Done::Gone => {}
        }
        None
    }
}
