//! The streams of one connection: how many are served, and since when one takes
//! nothing of its answer.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use fanwire_core::hub::End;
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::app::Peer;
use crate::transport::{Link, Signal};

thread_local! {
    /// The stream that is being polled on this thread.
    static POLLED: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// What a connection knows of its streams, and how hyper starts their tasks.
#[derive(Clone)]
pub(super) struct Streams(Arc<Shared>);

struct Shared {
    /// See `limits.write_progress`.
    progress: Duration,
    /// What a subscriber that was told to go gets for its last bytes.
    grace: Duration,
    peer: Arc<Peer>,
    state: Mutex<State>,
}

struct State {
    /// Streams being served.
    live: usize,
    /// Requests so far.
    opened: u64,
    /// When there was last one more, or one less.
    changed: Instant,
    /// The stream whose task hyper starts next.
    born: Option<Arc<Progress>>,
    /// The connection's task.
    waker: Option<Waker>,
}

/// How far one stream's answer has gone. Shared by its body and its task.
#[derive(Default)]
pub(super) struct Progress(Mutex<Given>);

#[derive(Default)]
struct Given {
    /// The stream is a tunnel whose end here is gone.
    abandoned: Option<Instant>,
    /// Its task.
    waker: Option<Waker>,
    /// Something was given to hyper, which has not asked for more since.
    since: Option<Instant>,
    link: Option<Arc<Link>>,
}

impl Progress {
    /// Bytes were given away.
    pub(super) fn gave(&self) {
        self.0.lock().since = Some(Instant::now());
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
}

/// What is known of the streams now.
pub(super) struct Now {
    pub(super) live: usize,
    pub(super) opened: u64,
    pub(super) changed: Instant,
}

impl Streams {
    pub(super) fn new(peer: Arc<Peer>, progress: Duration, grace: Duration) -> Self {
        Self(Arc::new(Shared {
            progress,
            grace,
            peer,
            state: Mutex::new(State {
                live: 0,
                opened: 0,
                changed: Instant::now(),
                born: None,
                waker: None,
            }),
        }))
    }

    /// A request has come: hyper starts its task right after.
    pub(super) fn open(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        let mut state = self.0.state.lock();
        state.opened += 1;
        state.born = Some(progress.clone());
        progress
    }

    /// Looks; the task is woken when the last stream has ended.
    pub(super) fn look(&self, cx: &Context<'_>) -> Now {
        let mut state = self.0.state.lock();
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Now {
            live: state.live,
            opened: state.opened,
            changed: state.changed,
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let progress = {
            let mut state = self.0.state.lock();
            state.live += 1;
            state.changed = Instant::now();
            // What a stream starts is the tunnel that it has become.
            let parent = POLLED.with_borrow(Clone::clone);
            parent.or_else(|| state.born.take()).unwrap_or_default()
        };
        let place = Place(self.clone());
        tokio::spawn(async move {
            let place = place;
            let shared = &place.0.0;
            let mut stream = pin!(stream);
            let mut patience = Patience::default();
            poll_fn(|cx| {
                POLLED.set(Some(progress.clone()));
                let polling = Polling;
                let polled = stream.as_mut().poll(cx);
                drop(polling);
                if polled.is_ready() {
                    return Poll::Ready(());
                }
                patience.poll(cx, &progress, shared)
            })
            .await;
        });
    }
}

/// Takes back what is said of the stream that is polled, though it panics.
struct Polling;

impl Drop for Polling {
    fn drop(&mut self) {
        POLLED.set(None);
    }
}

/// A live stream's place in the count.
struct Place(Streams);

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.peer.breaks();
        }
        let waker = {
            let mut state = self.0.0.state.lock();
            state.live -= 1;
            state.changed = Instant::now();
            state.waker.take().filter(|_| state.live == 0)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Ends a stream whose peer takes nothing: that resets it, and lets its
/// subscriber go. Has a timer only while bytes wait.
#[derive(Default)]
struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    /// When the subscriber was seen to be gone with bytes of it still here.
    let_go: Option<Instant>,
}

impl Patience {
    /// Ready when the time is over.
    fn poll(&mut self, cx: &mut Context<'_>, progress: &Progress, shared: &Shared) -> Poll<()> {
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
                *self.let_go.get_or_insert_with(Instant::now) + shared.grace
            }
            None if self.let_go.is_some() => since + shared.grace,
            _ => since + shared.progress,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::limit::Counts;

    #[tokio::test]
    async fn x16_a_stream_that_a_panic_ends_is_counted_and_the_next_is_itself() {
        let counts = Counts::new(1, 1);
        let (slot, _) = counts.take_unknown();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let peer = Arc::new(Peer::new(address, true, false, slot));
        let time = Duration::from_secs(1);
        let streams = Streams::new(peer, time, time);
        let quiet = poll_fn(|cx| match streams.look(cx).live {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        });
        drop(streams.open());
        streams.execute(async { std::panic::resume_unwind(Box::new("a stream breaks")) });
        quiet.await;
        assert_eq!(counts.broken(), 1);
        // This thread does not take the one that broke for the one being polled.
        assert!(POLLED.with_borrow(Option::is_none));
        assert_eq!(counts.total(), 1);
    }
}
