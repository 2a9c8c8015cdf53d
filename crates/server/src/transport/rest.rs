//! A socket between two polls, or between two messages that it publishes: it
//! waits for its next request here, and goes back to hyper with anything but one
//! more plain poll or message.
//!
//! Such a client sends nearly the same head again and again. It is read here
//! and judged by the code that judges every request; what is spared is hyper's
//! machinery, built anew for each poll, and its cost for each message. Whatever
//! is not a whole plain request goes to hyper with its bytes in front, which then
//! answers, counts times and refuses as ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::depart::Judged;
use super::park::AfterPoll;
use super::stream::{Stream, with_scratch};
use crate::app::{App, Peer};
use crate::shutdown::Stage;

/// A connection whose poll was answered.
pub(super) struct Resting {
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    /// Always with a way back.
    after: Box<AfterPoll>,
}

/// What comes after a rest.
pub(super) enum Next {
    /// The socket is closed: it was idle for too long.
    Idle,
    /// One more poll or message, with what was read behind it.
    Judged(Judged, Bytes),
    /// Anything else, with what was read.
    Http(Bytes),
}

/// Ends a rest in time. Made when first needed and kept over all the polls of a
/// connection: while requests come, the timer is not touched.
pub(super) struct Alarm {
    /// When the connection has been idle for too long. The timer may be set to
    /// an earlier time, and is set anew then.
    until: Instant,
    sleep: Pin<Box<Sleep>>,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Alarm {
    fn new(app: &App, until: Instant) -> Self {
        Self {
            until,
            sleep: Box::pin(tokio::time::sleep_until(until)),
            stopping: Box::pin(app.reached(Stage::Draining)),
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.until <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.until);
        }
        Poll::Pending
    }
}

impl Resting {
    /// Rests from now on.
    pub(super) fn new(
        app: Arc<App>,
        peer: Arc<Peer>,
        stream: Stream,
        mut after: Box<AfterPoll>,
    ) -> Self {
        if let Some(alarm) = &mut after.alarm {
            alarm.until = Instant::now() + app.config.http.keep_alive;
        }
        Self {
            app,
            peer,
            stream,
            after,
        }
    }

    /// Ready when there is something to go on with.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let read = if self.after.kept.is_empty() {
            let read = with_scratch(|buffer| {
                let read = self.stream.poll_read(cx, buffer);
                read.map_ok(|count| Bytes::copy_from_slice(&buffer[..count]))
            });
            match read {
                Poll::Ready(Ok(read)) => read,
                // hyper will meet the same error.
                Poll::Ready(Err(_)) => Bytes::new(),
                Poll::Pending => return self.poll_alarm(cx),
            }
        } else {
            std::mem::take(&mut self.after.kept).into()
        };
        if self.app.is_stopping() {
            return Poll::Ready(Next::Http(read));
        }
        let next = self
            .after
            .back
            .and_then(|back| (back.next)(&self.app, &self.peer, &read));
        Poll::Ready(match next {
            Some((judged, len)) => Next::Judged(judged, read.slice(len..)),
            None => {
                if read.starts_with(b"POST") {
                    self.peer.comes_in_pieces();
                }
                Next::Http(read)
            }
        })
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let app = &self.app;
        let alarm = self
            .after
            .alarm
            .get_or_insert_with(|| Alarm::new(app, Instant::now() + app.config.http.keep_alive));
        if alarm.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Next::Http(Bytes::new()));
        }
        let idle = alarm.poll_idle(cx);
        idle.map(|()| {
            self.stream.say_goodbye();
            Next::Idle
        })
    }

    /// What it was made of.
    pub(super) fn into_parts(self) -> (Arc<App>, Arc<Peer>, Stream, Box<AfterPoll>) {
        (self.app, self.peer, self.stream, self.after)
    }
}
