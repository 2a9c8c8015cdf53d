//! Waiting for something new: long polls of an application's own.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// Tells those who wait that there is something new. A handle: cheap to clone. It
/// keeps nothing; what there is, the application keeps.
///
/// ```
/// # async fn run() {
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// let (messages, changes) = (Arc::new(Mutex::new(Vec::<String>::new())), fanwire::Changes::new());
///
/// // POST /messages
/// messages.lock().unwrap().push("hi".into());
/// changes.tell();
///
/// // GET /messages?lastId=0: at once where there are some, else within 30 s.
/// let after = |last: usize| messages.lock().unwrap().get(last..).filter(|new| !new.is_empty()).map(<[_]>::to_vec);
/// let new = changes.wait(Duration::from_secs(30), || after(0)).await.unwrap_or_default();
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Changes(Arc<Notify>);

impl Changes {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets all who wait look again. Call it after what they look at has changed.
    pub fn tell(&self) {
        self.0.notify_waiters();
    }

    /// What `look` finds, at once or after a change; none where it finds nothing within
    /// `time`. No change between a look and the wait for the next is missed.
    pub async fn wait<T>(&self, time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let waiting = async {
            loop {
                // Registered before looking.
                let mut told = pin!(self.0.notified());
                told.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                told.await;
            }
        };
        tokio::time::timeout(time, waiting).await.ok()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_found_at_once_what_comes_in_time_and_nothing_after() {
        let (number, changes) = (Arc::new(AtomicU32::new(1)), Changes::new());
        let time = Duration::from_secs(30);
        let above = |least: u32| {
            let number = number.clone();
            move || Some(number.load(Ordering::SeqCst)).filter(|number| *number > least)
        };
        assert_eq!(changes.wait(Duration::ZERO, above(0)).await, Some(1));
        let waiting = tokio::spawn({
            let (changes, look) = (changes.clone(), above(2));
            async move { changes.wait(time, look).await }
        });
        for _ in 0..2 {
            tokio::task::yield_now().await;
            number.fetch_add(1, Ordering::SeqCst);
            changes.tell();
        }
        assert_eq!(waiting.await.ok().flatten(), Some(3));
        assert_eq!(changes.wait(time, above(3)).await, None);
    }
}
