//! Publishers pay before the lock: byte credits, returned when the slowest
//! shard has passed the message.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

/// A node's bytes of credit. A message that is larger than all of it passes
/// alone, when nothing else is out.
pub struct Credits {
    state: Mutex<State>,
}

struct State {
    total: usize,
    out: usize,
    waiting: VecDeque<Waker>,
}

/// Bytes taken from [`Credits`]; returned on drop.
pub struct Credit {
    credits: Arc<Credits>,
    bytes: usize,
}

/// Waits for credit.
pub struct TakeCredit {
    credits: Arc<Credits>,
    bytes: usize,
}

impl Credits {
    /// `total` bytes.
    pub fn new(total: usize) -> Arc<Self> {
        let state = State {
            total,
            out: 0,
            waiting: VecDeque::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Takes `bytes` at once, or nothing.
    pub fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Credit> {
        let mut state = self.state.lock();
        if state.out > 0 && state.out.saturating_add(bytes) > state.total {
            return None;
        }
        state.out = state.out.saturating_add(bytes);
        drop(state);
        Some(Credit {
            credits: self.clone(),
            bytes,
        })
    }

    /// Waits until `bytes` are to be had. The caller bounds the wait.
    pub fn take(self: &Arc<Self>, bytes: usize) -> TakeCredit {
        TakeCredit {
            credits: self.clone(),
            bytes,
        }
    }

    /// Bytes out now.
    pub fn out(&self) -> usize {
        self.state.lock().out
    }
}

impl Future for TakeCredit {
    type Output = Credit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Credit> {
        if let Some(credit) = self.credits.try_take(self.bytes) {
            return Poll::Ready(credit);
        }
        self.credits
            .state
            .lock()
            .waiting
            .push_back(cx.waker().clone());
        // Credit may have come back between the two looks.
        match self.credits.try_take(self.bytes) {
            Some(credit) => Poll::Ready(credit),
            None => Poll::Pending,
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        let woken = {
            let mut state = self.credits.state.lock();
            state.out = state.out.saturating_sub(self.bytes);
            std::mem::take(&mut state.waiting)
        };
        // All are woken: who is first in line is decided by the taking, and a
        // waiter that gave up cannot swallow the wake of another.
        woken.into_iter().for_each(Waker::wake);
    }
}

impl std::fmt::Debug for Credit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credit({})", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn credit_is_bounded_and_comes_back_on_drop() {
        let credits = Credits::new(100);
        let first = credits.try_take(60).unwrap();
        assert!(credits.try_take(41).is_none());
        let second = credits.try_take(40).unwrap();
        drop(first);
        assert_eq!(credits.out(), 40);
        drop(second);
        assert_eq!(credits.out(), 0);
    }

    #[test]
    fn a_message_larger_than_all_credit_passes_alone() {
        let credits = Credits::new(100);
        let one = credits.try_take(1).unwrap();
        assert!(credits.try_take(1_000).is_none());
        drop(one);
        assert!(credits.try_take(1_000).is_some());
    }

    #[test]
    fn a_waiter_is_served_when_credit_returns() {
        let credits = Credits::new(10);
        let held = credits.try_take(10).unwrap();
        let mut waiting = credits.take(5);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut waiting).poll(&mut cx).is_pending());
        drop(held);
        assert!(Pin::new(&mut waiting).poll(&mut cx).is_ready());
    }
}
