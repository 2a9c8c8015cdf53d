//! How long to wait before the next attempt.

use std::time::Duration;

use crate::options::Backoff;

/// Longest wait that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// Over this span clients come back to a server that restarted.
const RESTART_SPREAD: Duration = Duration::from_secs(2);

/// Exponential backoff with jitter, and with what the server asked for.
#[derive(Debug)]
pub(crate) struct Schedule {
    backoff: Backoff,
    /// Attempts since the last success.
    attempts: u32,
    /// The stream's own reconnection time: holds for every attempt.
    hint: Duration,
    /// Asked for once: `Retry-After`.
    floor: Duration,
    /// The server restarts.
    spread: bool,
}

impl Schedule {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            attempts: 0,
            hint: Duration::ZERO,
            floor: Duration::ZERO,
            spread: false,
        }
    }

    /// The connection stands: the next loss begins anew.
    pub(crate) fn succeeded(&mut self) {
        self.attempts = 0;
    }

    /// `retry:` of an event stream.
    pub(crate) fn hint(&mut self, wait: Duration) {
        self.hint = wait.min(LONGEST_ASKED);
    }

    /// `Retry-After`, for the next attempt alone.
    pub(crate) fn at_least(&mut self, wait: Duration) {
        self.floor = wait.min(LONGEST_ASKED);
    }

    /// The next attempt is one of many at the same moment.
    pub(crate) fn spread(&mut self) {
        self.spread = true;
    }

    /// The wait before the next attempt. `jitter` in `0.0..1.0`; anything else
    /// is brought into that range.
    pub(crate) fn next(&mut self, jitter: f64) -> Duration {
        let jitter = if jitter.is_nan() {
            0.0
        } else {
            jitter.clamp(0.0, 1.0)
        };
        let Backoff { initial, max } = self.backoff;
        let doubled = initial.saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX));
        self.attempts = self.attempts.saturating_add(1);
        let mut span = doubled.min(max);
        if std::mem::take(&mut self.spread) {
            span = span.max(RESTART_SPREAD.min(max));
        }
        let own = span / 2 + (span / 2).mul_f64(jitter);
        let asked = self.hint.max(std::mem::take(&mut self.floor));
        own.max(asked)
    }
}
