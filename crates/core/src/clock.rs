//! Time as the caller tells it.

use std::time::Duration;

/// A monotonic instant: time since an origin that the caller chose. Never
/// jumps back; used for every age, deadline and time-out.
pub type Instant = Duration;

/// Where brokers and the hub read the time from. The server gives the real
/// clocks, a simulation its own.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time since the clock's origin.
    fn now(&self) -> Instant;
    /// Wall-clock milliseconds since 1970, for [`crate::message::Stored::ts`]
    /// only: no order and no time-out depends on it.
    fn wall_ms(&self) -> u64;
}
