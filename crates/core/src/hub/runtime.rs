//! What the hub needs of the runtime that it lives in.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future that stands on its own.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs side tasks (reads that a broker does not answer at once) and sleeps.
/// The server gives tokio, a simulation its own scheduler.
pub trait Runtime: Send + Sync + 'static {
    /// Runs `task` to its end.
    fn spawn(&self, task: Task);
    /// Is ready after `time`.
    fn sleep(&self, time: Duration) -> Task;
}
