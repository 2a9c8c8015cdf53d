//! The streams of one connection: how many are served, and one that takes nothing of
//! its answer is ended.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::stay::{Patience, Progress, Times};
use crate::app::Peer;

thread_local! {
    /// The stream that is being polled on this thread.
    static POLLED: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// What a connection knows of its streams, and how hyper starts their tasks.
#[derive(Clone)]
pub(super) struct Streams(Arc<Shared>);

struct Shared {
    times: Times,
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

/// What is known of the streams now.
pub(super) struct Now {
    pub(super) live: usize,
    pub(super) opened: u64,
    pub(super) changed: Instant,
}

impl Streams {
    pub(super) fn new(peer: Arc<Peer>, times: Times) -> Self {
        Self(Arc::new(Shared {
            times,
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
                patience.poll(cx, &progress, shared.times)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::*;
    use crate::limit::Counts;

    #[tokio::test]
    async fn x16_a_stream_that_a_panic_ends_is_counted_and_the_next_is_itself() {
        let counts = Counts::new(1, 1);
        let (slot, _) = counts.take_unknown();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let peer = Arc::new(Peer::new(address, true, false, slot));
        let time = Duration::from_secs(1);
        let times = Times {
            progress: time,
            grace: time,
        };
        let streams = Streams::new(peer, times);
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
