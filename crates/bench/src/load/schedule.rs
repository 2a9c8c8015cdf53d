//! What is due when: an open loop, which does not wait for a slow server.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Senders, each at a steady pace of its own.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    due: BinaryHeap<Reverse<(u64, u32, u64)>>,
}

impl Schedule {
    /// `client` sends at `first` and every `interval` nanoseconds after.
    pub(crate) fn add(&mut self, client: u32, first: u64, interval: u64) {
        self.due.push(Reverse((first, client, interval.max(1))));
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> u64 {
        self.due.peek().map_or(u64::MAX, |Reverse((at, ..))| *at)
    }

    /// The sender that is due, and when it was.
    pub(crate) fn due(&mut self, now: u64) -> Option<(u32, u64)> {
        if self.next() > now {
            return None;
        }
        let Reverse((at, client, interval)) = self.due.pop()?;
        self.due.push(Reverse((at + interval, client, interval)));
        Some((client, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_keeps_its_time_however_late_it_is_asked() {
        let mut schedule = Schedule::default();
        schedule.add(1, 5, 10);
        schedule.add(2, 7, 100);
        let mut sent = Vec::new();
        while let Some(due) = schedule.due(30) {
            sent.push(due);
        }
        assert_eq!(sent, [(1, 5), (2, 7), (1, 15), (1, 25)]);
        assert_eq!(schedule.next(), 35);
    }
}
