//! What a seed makes of the world: its limits, rules and channels, and how bad
//! things get. Everything is small, so that every bound is met.

use std::collections::HashMap;
use std::time::Duration;

use fanwire_core::broker::Faults;
use fanwire_core::key::{Key, Namespace};
use fanwire_core::limits::Limits;
use fanwire_core::namespace::{Access, History, Namespaces, Rules};

use crate::events::Keeps;
use crate::rng::Rng;
use crate::tap::Trouble;

/// Over which broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    Memory,
    Chaos,
}

#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the broker that misbehaves; none over the one in memory.
    pub faults: Option<Faults>,
    pub limits: Limits,
    pub shards: usize,
    pub clients: usize,
    pub publishers: usize,
    pub steps: usize,
    /// History is removed by its namespace's rules alone.
    pub exact: bool,
    pub trouble: Trouble,
    /// Bodies have up to so many bytes.
    pub body: usize,
    rules: Vec<(&'static str, History, bool)>,
}

/// Every channel there is.
pub const CHANNELS: [&str; 12] = [
    "a", "b", "c", "d", "@all", "off:x", "off:y", "off:@all", "last:k", "last:m", "priv:p",
    "priv:q",
];

impl Plan {
    pub fn new(over: Over, rng: &mut Rng) -> Self {
        let exact = rng.percent(70);
        let mut limits = Limits {
            message: 4_096,
            ring_bytes: *rng.pick(&[0, 700, 3_000, 40_000]),
            outbox: *rng.pick(&[400, 1_500, 6_000]),
            chunk: *rng.pick(&[300, 1_000, 3_000]),
            answer: *rng.pick(&[300, 2_000, 8_000]),
            reads_per_shard: *rng.pick(&[1, 2, 8]),
            publish_credit: *rng.pick(&[700, 3_000, 100_000]),
            idempotency_keys: *rng.pick(&[8, 1_000]),
            idempotency_per_publisher: *rng.pick(&[4, 1_000]),
            write_progress: Duration::from_secs(5),
            cursor_interval: Duration::from_secs(*rng.pick(&[2, 300])),
            gap_interval: Duration::from_millis(*rng.pick(&[50, 1_000])),
            ..Limits::default()
        };
        if !exact {
            if rng.percent(60) {
                limits.channel_records = rng.between(1, 4);
            }
            if rng.percent(60) {
                limits.log_bytes = rng.between(1_500, 8_000);
            }
        }
        let faults = (over == Over::Chaos).then(|| faults(rng));
        let trouble = Trouble {
            slow: *rng.pick(&[0, 30, 80]),
            unavailable: *rng.pick(&[0, 0, 15]),
            refused: *rng.pick(&[0, 5]),
            unknown: *rng.pick(&[0, 8]),
        };
        // The other broker brings its own.
        let trouble = if faults.is_some() {
            Trouble::default()
        } else {
            trouble
        };
        let mut history = || History {
            messages: *rng.pick(&[2, 6, 20, 200]),
            bytes: *rng.pick(&[900, 5_000, 100_000]),
            ttl: Duration::from_millis(*rng.pick(&[400, 3_000, 60_000])),
        };
        let rules = vec![
            ("", history(), false),
            ("off", History::OFF, false),
            ("last", history(), true),
            ("priv", history(), false),
        ];
        Self {
            faults,
            limits,
            shards: rng.between(1, 3),
            clients: rng.between(3, 8),
            publishers: rng.between(1, 3),
            steps: rng.between(200, 1_600),
            exact,
            trouble,
            body: *rng.pick(&[8, 60, 600]),
            rules,
        }
    }

    /// The rules as core has them; `open`: the private namespace may be heard.
    pub fn namespaces(&self, open: bool) -> Namespaces {
        let mut all = Namespaces::all(Rules::open());
        for (name, history, conflate) in &self.rules {
            let mut rules = Rules {
                history: *history,
                conflate: *conflate,
                ..Rules::open()
            };
            if *name == "priv" && !open {
                rules.subscribe = Access::Nobody;
            }
            let namespace = Namespace::new(name).unwrap_or_else(|_| Namespace::root());
            all = all.with(namespace, rules);
        }
        all
    }

    /// The rules as the oracle has them.
    pub fn keeps(&self) -> HashMap<String, Keeps> {
        let keeps = |history: &History, conflate| Keeps {
            messages: history.messages,
            bytes: history.bytes,
            ttl: history.ttl.as_millis() as u64,
            conflate,
        };
        let rules = self.rules.iter();
        rules
            .map(|(name, history, conflate)| ((*name).to_owned(), keeps(history, *conflate)))
            .collect()
    }
}

/// A channel as core has it.
pub fn key(channel: &str) -> Key {
    Key::parse(channel.as_bytes()).unwrap_or_else(|why| panic!("{channel}: {why}"))
}

/// All faults, or some, or only what is slow.
fn faults(rng: &mut Rng) -> Faults {
    let mut faults = match rng.below(10) {
        0 => Faults::none(),
        1 | 2 => Faults::slow(),
        _ => Faults::all(),
    };
    if rng.percent(30) {
        (faults.cut, faults.cut_most) = (0, 0);
    }
    if rng.percent(30) {
        (faults.lose, faults.lose_most) = (0, 0);
    }
    if rng.percent(30) {
        (faults.hold_feed, faults.stall) = (0, 0);
    }
    faults
}
