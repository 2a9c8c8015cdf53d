//! What a time-out is worth when the node itself stood still: stopped and
//! continued, or without a core for that long.
//!
//! Timers run before what peers sent meanwhile is read, so nobody is judged by
//! them at once: a span that began before counts anew from then on. What fell
//! due meanwhile is spread over a quarter of its interval, so that those who
//! waited together do not go on together.

use std::time::Duration;

use super::super::queue::SubId;
use super::opening::jitter;
use crate::clock::Instant;

/// A turn this much later than it was asked for is no longer load. Far below
/// any sensible time-out, far above what a busy node takes for a turn.
const LATE: Duration = Duration::from_secs(1);

/// When the shard last went on after it had stood still.
#[derive(Clone, Copy, Default)]
pub(super) struct Late {
    /// When the next turn is wanted at the latest; none where nothing is due.
    wanted: Option<Instant>,
    since: Instant,
}

impl Late {
    /// A turn begins.
    pub(super) fn begin(&mut self, now: Instant) {
        if self
            .wanted
            .is_some_and(|wanted| now.saturating_sub(wanted) >= LATE)
        {
            self.since = now;
        }
    }

    /// A turn has ended, the next one is wanted by then.
    pub(super) fn rest(&mut self, wanted: Option<Instant>) {
        self.wanted = wanted;
    }

    /// True in the very turn that came late.
    pub(super) fn is_now(self, now: Instant) -> bool {
        self.since == now && now > Instant::ZERO
    }

    /// The end of a time-out that began at `from`.
    pub(super) fn after(self, from: Instant, time: Duration, id: SubId) -> Instant {
        if from >= self.since {
            return from + time;
        }
        self.since + time + spread(id, time)
    }

    /// When to do what was due at `due`, something that comes every `interval`.
    pub(super) fn due(self, due: Instant, interval: Duration, id: SubId) -> Instant {
        if due >= self.since {
            return due;
        }
        self.since + spread(id, interval)
    }
}

/// Up to a quarter of `time`, always the same for the same subscriber.
fn spread(id: SubId, time: Duration) -> Duration {
    let quarter = (time / 4).as_millis() as u64;
    Duration::from_millis(jitter(0, id) % quarter.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn stopped() -> Late {
        let mut late = Late::default();
        late.begin(5 * SECOND);
        late.rest(Some(6 * SECOND));
        late.begin(100 * SECOND);
        late
    }

    #[test]
    fn p7_who_was_asked_before_a_stop_has_a_time_out_more_after_it() {
        let late = stopped();
        for id in 0..1_000 {
            let end = late.after(4 * SECOND, 20 * SECOND, id);
            assert!(end >= 120 * SECOND && end < 125 * SECOND);
        }
        assert_eq!(late.after(101 * SECOND, 20 * SECOND, 1), 121 * SECOND);
    }

    #[test]
    fn p7_what_fell_due_in_a_stop_is_spread_evenly_and_what_did_not_is_not_moved() {
        let late = stopped();
        let mut quarters = [0; 4];
        for id in 0..1_000 {
            let due = late.due(7 * SECOND, 20 * SECOND, id) - 100 * SECOND;
            quarters[(due.as_millis() * 4 / 5_000) as usize] += 1;
        }
        assert!(
            quarters.iter().all(|count| (150..350).contains(count)),
            "{quarters:?}"
        );
        assert_eq!(late.due(101 * SECOND, 20 * SECOND, 1), 101 * SECOND);
    }

    #[test]
    fn p7_a_turn_in_time_or_woken_early_and_a_busy_one_are_no_stop() {
        let mut late = Late::default();
        for (wanted, now) in [(None, 90), (Some(200), 100), (Some(101), 101)] {
            late.rest(wanted.map(|wanted| wanted * SECOND));
            late.begin(now * SECOND);
        }
        late.rest(Some(102 * SECOND));
        late.begin(102 * SECOND + SECOND / 2);
        assert_eq!(late.after(SECOND, SECOND, 1), 2 * SECOND);
    }
}
