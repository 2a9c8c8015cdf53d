//! An answer that comes later: one end gives it, the other waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

/// The end that gives the answer. Dropped without one, the other waits on.
pub(crate) struct Ticket<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

struct Answer<T>(Arc<Mutex<Slot<T>>>);

impl<T: Send + 'static> Ticket<T> {
    /// Both ends.
    pub(crate) fn new() -> (Self, Pin<Box<dyn Future<Output = T> + Send>>) {
        let slot = Arc::new(Mutex::new(Slot {
            answer: None,
            waker: None,
        }));
        (Self(slot.clone()), Box::pin(Answer(slot)))
    }

    /// Gives the answer; the waker is for the caller to wake, outside its lock.
    #[must_use]
    pub(crate) fn answer(self, answer: T) -> Option<Waker> {
        let mut slot = self.0.lock();
        slot.answer = Some(answer);
        slot.waker.take()
    }
}

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let waker = cx.waker().clone();
        let mut slot = self.0.lock();
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                let old = slot.waker.replace(waker);
                drop(slot);
                drop(old);
                Poll::Pending
            }
        }
    }
}
