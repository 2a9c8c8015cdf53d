//! A value that is replaced while it is in use.

use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// How often a value may be replaced before the server has to be started anew.
const MOST: usize = 1024;

/// The newest of several values. It is read as if it were one: without a lock, and
/// for as long as this lives, because those before it stay (settings are a few
/// KiB, and change when somebody decides so).
pub(crate) struct Live<T> {
    newest: AtomicUsize,
    /// The first is always there.
    first: T,
    later: Box<[OnceLock<Box<T>>]>,
    writing: Mutex<()>,
}

impl<T> Live<T> {
    pub(crate) fn new(first: T) -> Self {
        Self {
            newest: AtomicUsize::new(0),
            first,
            later: (0..MOST).map(|_| OnceLock::new()).collect(),
            writing: Mutex::new(()),
        }
    }

    /// Puts `value` in force for everyone who looks from now on. False where it
    /// was replaced too often; then nothing changes.
    pub(crate) fn replace(&self, value: T) -> bool {
        let _one = self.writing.lock();
        let at = self.newest.load(Ordering::Relaxed);
        let Some(place) = self.later.get(at) else {
            return false;
        };
        let set = place.set(Box::new(value)).is_ok();
        self.newest.store(at + 1, Ordering::Release);
        set
    }

    /// Whether it can be replaced once more.
    pub(crate) fn has_room(&self) -> bool {
        self.newest.load(Ordering::Relaxed) < self.later.len()
    }
}

impl<T> Deref for Live<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let newest = self.newest.load(Ordering::Acquire);
        let later = newest
            .checked_sub(1)
            .and_then(|at| self.later.get(at)?.get());
        later.map_or(&self.first, |value| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_seen_and_earlier_ones_stay_valid() {
        let live = Live::new(1);
        let before = &*live;
        assert!(live.replace(2));
        assert_eq!((*before, *live), (1, 2));
    }

    #[test]
    fn it_is_replaced_a_bounded_number_of_times() {
        let live = Live::new(0);
        for n in 1..=MOST {
            assert!(live.has_room() && live.replace(n), "{n}");
        }
        assert!(!live.has_room() && !live.replace(0));
        assert_eq!(*live, MOST);
    }
}
