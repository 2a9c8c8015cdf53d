//! Waiting for events, with one generous bound that fails with a sentence.

use std::future::Future;
use std::time::Duration;

/// How long anything may take before a test fails. Nothing is measured with it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`; panics with `what` where nothing comes of it.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {} s in vain: {what}", PATIENCE.as_secs()),
    }
}

/// Asks `probe` again and again until it gives something. For what can only be
/// looked at (counters, memory), not waited for.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(value) = probe() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
