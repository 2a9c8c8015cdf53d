//! One bucket of tokens, as one number (GCRA, the generic cell rate algorithm of
//! ATM): the time at which everything taken so far has been paid for.

use std::time::Duration;

/// What `units` cost at `rate` a second, in nanoseconds.
pub(super) fn price(rate: u64, units: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    units.saturating_mul(SECOND).div_ceil(rate.max(1))
}

/// Takes from the bucket that is paid for until `due`, and gives until when it is
/// then. It may be ahead of `now` by less than `burst` for anything to be taken;
/// what is taken may lead beyond that, so that one thing larger than the bucket
/// passes, and is waited for afterwards. All in nanoseconds.
///
/// # Errors
/// How long to wait until something can be taken.
pub(super) fn take(due: u64, now: u64, price: u64, burst: u64) -> Result<u64, Duration> {
    let ahead = due.saturating_sub(now);
    if ahead >= burst {
        return Err(Duration::from_nanos((ahead - burst).saturating_add(1)));
    }
    Ok(due.max(now).saturating_add(price))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_full_bucket_gives_rate_times_burst_at_once_and_then_the_rate() {
        let (mut due, now) = (0, 5 * SECOND);
        let each = price(10, 1);
        for n in 0..20 {
            due = take(due, now, each, 2 * SECOND).unwrap_or_else(|_| panic!("{n}"));
        }
        let wait = take(due, now, each, 2 * SECOND).err();
        assert_eq!(wait, Some(Duration::from_nanos(1)));
        // That nanosecond is enough for one, and then a tenth of a second for each.
        let due = take(due, now + 1, each, 2 * SECOND).unwrap_or_default();
        let wait = take(due, now + 1, each, 2 * SECOND).err();
        assert_eq!(wait, Some(Duration::from_millis(100)));
        assert!(take(due, now + 1 + SECOND / 10, each, 2 * SECOND).is_ok());
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_once_and_is_waited_for() {
        let large = price(1000, 50_000);
        let due = take(0, SECOND, large, SECOND).unwrap_or_default();
        assert_eq!(due, 51 * SECOND);
        let wait = take(due, SECOND, 1, SECOND).err();
        assert_eq!(wait, Some(Duration::from_nanos(49 * SECOND + 1)));
    }

    #[test]
    fn no_number_overflows() {
        assert_eq!(price(1, u64::MAX), u64::MAX);
        assert_eq!(take(u64::MAX - 1, u64::MAX - 1, 5, 1), Ok(u64::MAX));
        assert!(take(u64::MAX, 0, 1, 0).is_err());
    }
}
