//! How much of what code sent to one client has not left yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes up to which nobody waits.
const ROOM: usize = 128 * 1024;

/// Counts the bytes of units until they are written, or dropped with their client.
#[derive(Default)]
pub(super) struct Meter {
    owed: AtomicUsize,
    freed: Notify,
}

/// A unit on its way: whoever drops it has written it, or never will.
struct Counted {
    unit: Bytes,
    meter: Arc<Meter>,
}

impl Meter {
    /// The same unit, counted.
    pub(super) fn count(self: &Arc<Self>, unit: Bytes) -> Bytes {
        self.owed.fetch_add(unit.len(), Ordering::Relaxed);
        Bytes::from_owner(Counted {
            unit,
            meter: self.clone(),
        })
    }

    /// Whether more may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.owed.load(Ordering::Relaxed) <= ROOM
    }

    /// Waits until it may.
    pub(super) async fn room(&self) {
        loop {
            // Listening before looking: nothing that is freed between is missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.unit
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.meter
            .owed
            .fetch_sub(self.unit.len(), Ordering::Relaxed);
        if self.meter.has_room() {
            self.meter.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn room_is_waited_for_until_what_was_sent_has_left() {
        let meter = Arc::new(Meter::default());
        let first = meter.count(Bytes::from(vec![1; ROOM]));
        assert!(meter.has_room());
        let second = meter.count(Bytes::from_static(b"2"));
        let part = first.slice(1..2);
        let mut room = Box::pin(meter.room());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(room.as_mut().poll(&mut cx).is_pending());
        // A part of it has not left yet.
        drop(first);
        assert!(room.as_mut().poll(&mut cx).is_pending());
        assert_eq!(&part[..], [1]);
        drop(part);
        assert_eq!(room.as_mut().poll(&mut cx), Poll::Ready(()));
        drop(second);
        assert!(meter.has_room());
    }
}
