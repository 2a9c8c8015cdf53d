//! The real clocks, the real runtime, the real randomness.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fanwire_core::clock::Clock;
use fanwire_core::hub::Runtime;
use fanwire_core::key::SocketId;

/// Monotonic time since the process's server was made, and the wall clock.
#[derive(Debug)]
pub(crate) struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// A time of this clock as the runtime's timers want it.
    pub(crate) fn deadline(&self, at: fanwire_core::clock::Instant) -> tokio::time::Instant {
        // A deadline too far away to be written is as good as a day.
        let far = Duration::from_secs(86_400);
        let at = self.origin.checked_add(at);
        at.unwrap_or_else(|| Instant::now() + far).into()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> fanwire_core::clock::Instant {
        self.origin.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }
}

/// Tokio, as core sees it.
#[derive(Debug)]
pub(crate) struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// Sixty-four bits that nobody can guess.
///
/// # Errors
/// Where the system has no randomness to give.
pub(crate) fn random() -> std::io::Result<u64> {
    getrandom::u64().map_err(std::io::Error::other)
}

/// As many as a key of a MAC has.
///
/// # Errors
/// As [`random`].
pub(crate) fn secret() -> std::io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
    Ok(secret)
}

/// Bytes of one connection id.
const ID: usize = 12;

thread_local! {
    /// Random bytes not yet given out, taken from the back: the system is asked
    /// once for 64 ids. Each byte is used once and then forgotten.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Twelve random bytes that were given to nobody else.
fn id_bytes() -> Option<[u8; ID]> {
    SPARE.with_borrow_mut(|spare| {
        if spare.is_empty() {
            spare.resize(64 * ID, 0);
            if getrandom::fill(spare).is_err() {
                spare.clear();
            }
        }
        let start = spare.len().checked_sub(ID)?;
        let bytes = spare[start..].try_into().ok();
        spare.truncate(start);
        bytes
    })
}

/// The public id of a new connection: 96 random bits in 16 characters. Where
/// the system's randomness fails a count keeps ids apart: they are public and
/// unlock nothing.
pub(crate) fn connection_id() -> SocketId {
    use base64::Engine as _;
    let bytes = id_bytes().unwrap_or_else(|| {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut bytes = [0; ID];
        bytes[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        bytes
    });
    let mut text = [0; ID / 3 * 4];
    let text = match base64::engine::general_purpose::URL_SAFE_NO_PAD.encode_slice(bytes, &mut text)
    {
        Ok(len) => std::str::from_utf8(&text[..len]).unwrap_or_default(),
        Err(_) => "", // Four characters hold three bytes.
    };
    SocketId::new(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn connection_ids_are_short_and_differ() {
        let (one, two) = (connection_id(), connection_id());
        assert_eq!(one.as_str().len(), 16);
        assert_ne!(one, two);
    }

    #[test]
    fn ids_differ_over_many_batches_of_randomness_and_over_threads() {
        let ids = || (0..1000).map(|_| connection_id()).collect::<Vec<_>>();
        let other = std::thread::spawn(ids);
        let mut all = ids();
        all.extend(other.join().unwrap());
        let different: std::collections::HashSet<_> = all.iter().map(|id| id.as_str()).collect();
        assert_eq!(different.len(), 2000);
    }

    #[test]
    fn a_deadline_beyond_all_time_is_still_a_deadline() {
        let clock = SystemClock::new();
        assert!(clock.deadline(Duration::MAX) > tokio::time::Instant::now());
    }
}
