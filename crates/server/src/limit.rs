//! How many connections there are, in all and of one address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Descriptors that are kept for everything but connections.
const SPARE: u64 = 64;

/// Counts connections. Holds one entry per address that has one: bounded by the
/// number of connections itself.
#[derive(Debug)]
pub(crate) struct Counts {
    total: AtomicUsize,
    per_address: AtomicUsize,
    state: Mutex<State>,
    /// The last one went.
    empty: Notify,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    /// Connections, and parts of some, that a panic has ended.
    broken: u64,
    over: usize,
    by_address: HashMap<IpAddr, usize, foldhash::fast::RandomState>,
}

/// The place of one connection; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Counts>,
    /// Its place among those of its address; none while it is not known, and
    /// where it is over the limit.
    place: Option<Place>,
    /// It was over a limit.
    over: bool,
}

/// A place among what one address has: a connection, or, where a proxy speaks
/// for that address, a request or stream. Given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Counts>,
    /// None: exempt.
    group: Option<IpAddr>,
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
            total: AtomicUsize::new(total),
            per_address: AtomicUsize::new(per_address),
            state: Mutex::default(),
            empty: Notify::new(),
        })
    }

    /// Other limits from now on. Who is in stays in.
    pub(crate) fn set(&self, total: usize, per_address: usize) {
        self.total.store(fit_descriptors(total), Relaxed);
        self.per_address.store(per_address, Relaxed);
    }

    /// Takes a place, and says which limit it is over: the caller decides what
    /// becomes of such a connection.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> (Slot, Option<Over>) {
        let (mut slot, over) = self.take_unknown();
        let over = over.or_else(|| slot.belongs_to(address));
        (slot, over)
    }

    /// The same for a connection that is not its address's own, but a proxy's.
    pub(crate) fn take_unknown(self: &Arc<Self>) -> (Slot, Option<Over>) {
        let mut state = self.state.lock();
        state.total += 1;
        let over = state.total > self.total.load(Relaxed);
        state.over += usize::from(over);
        drop(state);
        let slot = Slot {
            counts: self.clone(),
            place: None,
            over,
        };
        (slot, over.then_some(Over::Total))
    }

    /// A place for something of `address`; none where it has all it may have.
    fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let group = group(address);
        if let Some(group) = group {
            let mut state = self.state.lock();
            let count = state.by_address.get(&group).copied().unwrap_or(0);
            if count >= self.per_address.load(Relaxed) {
                return None;
            }
            state.by_address.insert(group, count + 1);
        }
        let counts = self.clone();
        Some(Place { counts, group })
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

    /// Connections so far, and streams of HTTP/2, that a panic in their task has
    /// ended.
    pub(crate) fn broken(&self) -> u64 {
        self.state.lock().broken
    }

    /// Connections now.
    pub(crate) fn total(&self) -> usize {
        self.state.lock().total
    }
}

impl Slot {
    /// The connection turns out to be of `address`; says whether that one has
    /// too many.
    pub(crate) fn belongs_to(&mut self, address: IpAddr) -> Option<Over> {
        self.place = self.counts.place(address);
        if self.place.is_some() {
            return None;
        }
        self.is_over();
        Some(Over::Address)
    }

    /// It is taken in only to be told why it is not served.
    pub(crate) fn is_over(&mut self) {
        if !self.over {
            self.over = true;
            self.counts.state.lock().over += 1;
        }
    }

    /// A panic has ended a part of the connection.
    pub(crate) fn breaks(&self) {
        self.counts.state.lock().broken += 1;
    }

    /// Whether more than `most` connections over a limit are taken in already,
    /// this one included, to be told so.
    pub(crate) fn too_many_told(&self, most: usize) -> bool {
        self.counts.state.lock().over > most
    }

    /// A place for a request that a proxy sends for `address` by this
    /// connection; none where that one has too many.
    pub(crate) fn place_of(&self, address: IpAddr) -> Option<Place> {
        self.counts.place(address)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Before the last connection is reported gone.
        self.place = None;
        let mut state = self.counts.state.lock();
        state.total -= 1;
        // Let go by its task's unwinding.
        state.broken += u64::from(std::thread::panicking());
        state.over -= usize::from(self.over);
        if state.total == 0 {
            self.counts.empty.notify_waiters();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(group) = self.group else {
            return;
        };
        let mut state = self.counts.state.lock();
        if let Some(count) = state.by_address.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&group);
            }
        }
    }
}

/// Which addresses count as one: an IPv4 address (mapped ones too), or a /64.
/// Loopback is exempt, and so is who is not known.
pub(crate) fn group(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() || address.is_unspecified() => None,
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
    fn r3_what_proxies_bring_counts_for_whom_they_speak() {
        let counts = Counts::new(100, 2);
        let address = IpAddr::from([10, 0, 0, 1]);
        let (mut proxy, over) = counts.take_unknown();
        assert_eq!(over, None);
        let (one, two) = (proxy.place_of(address), proxy.place_of(address));
        assert!(one.is_some() && two.is_some());
        assert!(proxy.place_of(address).is_none());
        assert!(proxy.place_of(IpAddr::from([10, 0, 0, 2])).is_some());
        assert!(proxy.place_of(IpAddr::from([127, 0, 0, 1])).is_some());
        drop(one);
        assert!(proxy.place_of(address).is_some());
        let direct = counts.take(address);
        assert!(direct.1.is_none() && !proxy.too_many_told(0));
        assert_eq!(proxy.belongs_to(address), Some(Over::Address));
        assert!(proxy.too_many_told(0) && !proxy.too_many_told(1));
        drop((proxy, direct, two));
        let state = counts.state.lock();
        assert_eq!((state.total, state.over, state.by_address.len()), (0, 0, 0));
    }

    #[test]
    fn r4_the_table_of_addresses_is_empty_again_after_a_million() {
        let counts = Counts::new(100, 2);
        for address in 0..1_000_000_u32 {
            let (_slot, over) = counts.take(IpAddr::from((0x0b00_0000 + address).to_be_bytes()));
            assert_eq!(over, None);
        }
        let state = counts.state.lock();
        assert!(state.by_address.is_empty() && state.by_address.capacity() < 16);
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
        // Nobody knows whose.
        assert_eq!(group_of("0.0.0.0"), None);
    }

    #[test]
    fn connections_fit_the_descriptor_limit() {
        assert_eq!(fit_descriptors(1), 1);
        assert!(fit_descriptors(usize::MAX) > 1);
    }

    #[test]
    fn x16_a_connection_that_a_panic_ends_is_counted() {
        let counts = Counts::new(10, 10);
        drop(counts.take_unknown());
        assert_eq!(counts.broken(), 0);
        let (slot, _) = counts.take_unknown();
        let task = std::panic::AssertUnwindSafe(move || {
            let _its_own = slot;
            std::panic::resume_unwind(Box::new("a task breaks"));
        });
        assert!(std::panic::catch_unwind(task).is_err());
        assert_eq!((counts.broken(), counts.total()), (1, 0));
    }
}
