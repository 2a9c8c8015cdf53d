//! How many connections there are, in all and of one address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Descriptors that are kept for everything but connections.
const SPARE: u64 = 64;

/// Counts connections. Holds one entry per address that has one: bounded by the
/// number of connections itself.
#[derive(Debug)]
pub(crate) struct Counts {
    total: usize,
    per_address: usize,
    state: Mutex<State>,
    /// The last one went.
    empty: Notify,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    over: usize,
    by_address: HashMap<IpAddr, usize, foldhash::fast::RandomState>,
}

/// The place of one connection; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Counts>,
    /// None: exempt from the count per address.
    group: Option<IpAddr>,
    /// It was over a limit.
    over: bool,
}

/// Which limit a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Total,
    Address,
}

impl Counts {
    pub(crate) fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_address,
            state: Mutex::default(),
            empty: Notify::new(),
        })
    }

    /// Takes a place, and says which limit it is over: the caller decides what
    /// becomes of such a connection.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> (Slot, Option<Over>) {
        let group = group(address);
        let mut state = self.state.lock();
        state.total += 1;
        let of_group = group.map_or(0, |group| {
            let count = state.by_address.entry(group).or_insert(0);
            *count += 1;
            *count
        });
        let over = if state.total > self.total {
            Some(Over::Total)
        } else if of_group > self.per_address {
            Some(Over::Address)
        } else {
            None
        };
        state.over += usize::from(over.is_some());
        drop(state);
        let slot = Slot {
            counts: self.clone(),
            group,
            over: over.is_some(),
        };
        (slot, over)
    }

    /// Connections now that are over a limit: taken in to be told so.
    pub(crate) fn told_now(&self) -> usize {
        self.state.lock().over
    }

    /// Is ready when there is no connection.
    pub(crate) async fn none_left(&self) {
        loop {
            let emptied = self.empty.notified();
            let mut emptied = std::pin::pin!(emptied);
            // Heard from here on, so that the last one cannot go unnoticed.
            emptied.as_mut().enable();
            if self.total() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Connections now.
    pub(crate) fn total(&self) -> usize {
        self.state.lock().total
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.counts.state.lock();
        state.total -= 1;
        state.over -= usize::from(self.over);
        if state.total == 0 {
            self.counts.empty.notify_waiters();
        }
        let Some(group) = self.group else {
            return;
        };
        if let Some(count) = state.by_address.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&group);
            }
        }
    }
}

/// Which addresses count as one: an IPv4 address (mapped ones too), or a /64.
/// Loopback is exempt.
fn group(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
        v4 => Some(v4),
    }
}

/// Raises the descriptor limit from soft to hard, and gives the number of
/// connections that fit, at most `wanted`.
pub(crate) fn fit_descriptors(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    match current {
        None => wanted,
        Some(descriptors) => {
            let fits = descriptors.saturating_sub(SPARE).max(1);
            wanted.min(usize::try_from(fits).unwrap_or(usize::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn r3_the_limit_is_reached_and_one_past_it_is_over() {
        let counts = Counts::new(100, 2);
        let address = IpAddr::from([10, 0, 0, 1]);
        let first = counts.take(address);
        let second = counts.take(address);
        let third = counts.take(address);
        assert_eq!(
            (first.1, second.1, third.1),
            (None, None, Some(Over::Address))
        );
        drop((first, third));
        assert_eq!(counts.take(address).1, None);
        drop(second);
        assert_eq!(counts.total(), 0);
        assert!(counts.state.lock().by_address.is_empty());
    }

    #[test]
    fn the_total_counts_every_address() {
        let counts = Counts::new(1, 10);
        let one = counts.take(IpAddr::from([127, 0, 0, 1]));
        let two = counts.take(IpAddr::from([10, 0, 0, 1]));
        assert_eq!((one.1, two.1), (None, Some(Over::Total)));
    }

    #[test]
    fn r2_a_64_counts_as_one_and_a_mapped_address_as_ipv4() {
        let group_of = |text: &str| group(text.parse().unwrap());
        assert_eq!(group_of("2001:db8::1"), group_of("2001:db8::ffff:1"));
        assert_ne!(group_of("2001:db8::1"), group_of("2001:db8:0:1::1"));
        assert_eq!(group_of("::ffff:1.2.3.4"), group_of("1.2.3.4"));
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(group_of(loopback), None, "{loopback}");
        }
    }

    #[test]
    fn connections_fit_the_descriptor_limit() {
        assert_eq!(fit_descriptors(1), 1);
        assert!(fit_descriptors(usize::MAX) > 1);
    }
}
