//! Answers that come later.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

use crate::broker::BrokerFuture;

/// The broker's end of an answer.
pub(super) struct Ticket<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

struct Answer<T>(Arc<Mutex<Slot<T>>>);

impl<T: Send + 'static> Ticket<T> {
    /// Both ends.
    pub(super) fn new() -> (Self, BrokerFuture<T>) {
        let slot = Arc::new(Mutex::new(Slot {
            answer: None,
            waker: None,
        }));
        (Self(slot.clone()), Box::pin(Answer(slot)))
    }

    /// Gives the answer; the waker is for the caller to wake, outside its lock.
    #[must_use]
    pub(super) fn answer(self, answer: T) -> Option<Waker> {
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
