//! hyper's timers, on tokio's clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// A timer this much too late was not held up by load: the process stood still.
const LATE: Duration = Duration::from_secs(1);

/// The runtime that everything here runs on.
pub(super) struct Tokio;

/// A sleep that begins anew where the process stood still when it was due
/// (stopped and continued): what the peer sent meanwhile has not been read yet,
/// and hyper looks at its timers first.
struct Slept {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// The whole of it.
    time: Duration,
}

impl Slept {
    fn until(deadline: Instant) -> Self {
        let now = tokio::time::Instant::now().into_std();
        Self {
            sleep: Box::pin(tokio::time::sleep_until(deadline.into())),
            time: deadline.saturating_duration_since(now),
        }
    }
}

impl Timer for Tokio {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Slept {
            sleep: Box::pin(tokio::time::sleep(duration)),
            time: duration,
        })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Slept::until(deadline))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Slept>() {
            Some(slept) => {
                let slept = slept.get_mut();
                slept.time = deadline.saturating_duration_since(self.now());
                slept.sleep.as_mut().reset(deadline.into());
            }
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

impl Future for Slept {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.sleep.as_mut().poll(cx));
        let now = tokio::time::Instant::now();
        let time = self.time;
        if now.saturating_duration_since(self.sleep.deadline()) < LATE || time.is_zero() {
            return Poll::Ready(());
        }
        self.sleep.as_mut().reset(now + time);
        self.sleep.as_mut().poll(cx)
    }
}

impl Sleep for Slept {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[tokio::test(start_paused = true)]
    async fn p7_a_timer_that_fell_due_in_a_stop_begins_anew_and_another_does_not() {
        let second = Duration::from_secs(1);
        let mut cx = Context::from_waker(Waker::noop());
        let mut sleep = Tokio.sleep(20 * second);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        tokio::time::advance(60 * second).await;
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        tokio::time::advance(19 * second).await;
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        tokio::time::advance(second).await;
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
        Tokio.reset(&mut sleep, Tokio.now() + 5 * second);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        tokio::time::advance(5 * second).await;
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
    }
}
