//! How far an answer has gone, and since when its reader takes nothing of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use fanwire_core::hub::End;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::transport::{Link, Signal};

/// How far one stream's answer has gone. Shared by its body and its task.
#[derive(Default)]
pub(in crate::http) struct Progress(Mutex<Given>);

#[derive(Default)]
struct Given {
    /// The stream is a tunnel whose end here is gone.
    abandoned: Option<Instant>,
    /// Its task.
    waker: Option<Waker>,
    /// A task of its own looks after it, and has to be woken.
    watched: bool,
    /// Something was given to hyper, which has not asked for more since.
    since: Option<Instant>,
    link: Option<Arc<Link>>,
}

impl Progress {
    /// Bytes were given away.
    pub(super) fn gave(&self) {
        let waker = {
            let mut given = self.0.lock();
            given.since = Some(Instant::now());
            match given.watched {
                true => given.waker.take(),
                false => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// There was nothing to give: nobody is waited for.
    pub(super) fn has_nothing(&self) {
        self.0.lock().since = None;
    }

    /// The tunnel that the stream has become is no longer held here; what is left
    /// in it gets a moment.
    pub(super) fn abandon(&self) {
        let waker = {
            let mut given = self.0.lock();
            given.abandoned = Some(Instant::now());
            given.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The answer comes from a subscriber.
    pub(super) fn follows(&self, link: Arc<Link>) {
        self.0.lock().link = Some(link);
    }

    /// Ready once its reader has taken nothing for `time`: for a task of its own, which
    /// sleeps while nothing is given and looks once in such a time while something is.
    pub(in crate::http) async fn stalls(&self, time: Duration) {
        loop {
            let since = std::future::poll_fn(|cx| {
                let mut given = self.0.lock();
                given.watched = true;
                match given.since {
                    Some(since) => Poll::Ready(since),
                    None => {
                        given.waker = Some(cx.waker().clone());
                        Poll::Pending
                    }
                }
            });
            sleep_until(since.await + time).await;
            let since = self.0.lock().since;
            if since.is_some_and(|since| since.elapsed() >= time) {
                return;
            }
        }
    }
}

/// How long a reader may take nothing.
#[derive(Clone, Copy)]
pub(in crate::http) struct Times {
    /// See `limits.write_progress`.
    pub(in crate::http) progress: Duration,
    /// What a subscriber that was told to go gets for its last bytes.
    pub(in crate::http) grace: Duration,
}

/// Ends a stream whose peer takes nothing: that resets it, and lets its
/// subscriber go. Has a timer only while bytes wait.
#[derive(Default)]
pub(in crate::http) struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    /// When the subscriber was seen to be gone with bytes of it still here.
    let_go: Option<Instant>,
}

impl Patience {
    /// Ready when the time is over.
    pub(in crate::http) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        progress: &Progress,
        times: Times,
    ) -> Poll<()> {
        let (since, link) = {
            let mut given = progress.0.lock();
            match (given.abandoned, given.since) {
                (Some(since), _) => {
                    self.let_go.get_or_insert(since);
                    (since, None)
                }
                (None, Some(since)) => (since, given.link.clone()),
                (None, None) => {
                    match &mut given.waker {
                        Some(waker) => waker.clone_from(cx.waker()),
                        none => *none = Some(cx.waker().clone()),
                    }
                    return Poll::Pending;
                }
            }
        };
        // Looked at here too: nobody else does while hyper asks for nothing.
        let until = match link.map(|link| link.look(cx)) {
            // An answer may take as long as there is progress; who is told to
            // go gets a moment.
            Some(Signal::Ended(end)) if end != End::Answered => {
                *self.let_go.get_or_insert_with(Instant::now) + times.grace
            }
            None if self.let_go.is_some() => since + times.grace,
            _ => since + times.progress,
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        loop {
            if timer.deadline() > until {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            // There was progress since the timer was set.
            timer.as_mut().reset(until);
        }
    }
}
