//! A message that was read without hyper, on its way: published, answered.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Sleep;

use super::depart::Said;
use super::park::AfterPoll;
use super::rest::Resting;
use super::stream::{Stream, linger};
use crate::app::{App, Peer};

/// The connection meanwhile. It is not read: the next request can wait.
pub(super) struct Publishing {
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    after: Box<AfterPoll>,
    future: Pin<Box<dyn Future<Output = Said> + Send>>,
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
        future: Pin<Box<dyn Future<Output = Said> + Send>>,
    ) -> Self {
        Self {
            app,
            peer,
            stream,
            after,
            future,
            answer: None,
            taken: 0,
            patience: None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            none => {
                let said = ready!(self.future.as_mut().poll(cx));
                none.insert(said)
            }
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
