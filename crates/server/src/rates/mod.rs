//! How often: messages, bytes, connects and subscribes, each per connection, user,
//! address and namespace. The one place that is asked, beside the policy door, by
//! every way of publishing and listening.
//!
//! All of it goes by the monotonic clock: setting the wall clock neither makes
//! nor takes tokens. A limit that is off costs one load; one that is on takes one
//! short lock of a few bytes, and no memory is asked for.

mod bucket;
mod table;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, Hash};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fanwire_core::clock::Instant;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::key::Namespace;
use fanwire_core::message::Keys;
use fanwire_core::policy::{Subject, User};

use crate::config::Rates as Config;
use crate::limit::group;
use table::Table;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Messages,
    Bytes,
    Connects,
    Subscribes,
}

/// Of whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whom {
    Connection,
    User,
    Address,
    Namespace,
}

const WHATS: usize = 4;
const WHOMS: usize = 4;

/// All limits. Shared by all connections; changed while they are in use.
pub(crate) struct Rates {
    /// Any limit is on.
    on: AtomicBool,
    /// Nanoseconds.
    burst: AtomicU64,
    limits: [[Limit; WHOMS]; WHATS],
    /// Nobody can choose keys that meet.
    seed: foldhash::quality::RandomState,
}

#[derive(Default)]
struct Limit {
    /// A second; 0 is off.
    rate: AtomicU64,
    /// Made when the limit is first on; a connection's buckets are its own.
    table: OnceLock<Table>,
}

/// The buckets of one connection.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    due: [AtomicU64; WHATS],
    /// The connection itself was paid for, and a stream has been opened on it:
    /// the next one is another connect.
    opened: AtomicBool,
}

/// Who pays, apart from the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// None: loopback's nobody in particular.
    user: Option<u64>,
    /// None: loopback, and backends, who are known by their keys.
    address: Option<u64>,
    /// A proxy speaks for the address: the connection is not its own.
    proxied: bool,
}

/// Everyone who pays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payer<'a> {
    /// The connection.
    pub(crate) buckets: &'a Buckets,
    /// Whose it is.
    pub(crate) account: Account,
}

/// One bucket to take from.
#[derive(Clone, Copy)]
struct Charge {
    what: What,
    whom: Whom,
    /// None: nobody to charge.
    key: Option<u64>,
    units: u64,
}

impl Rates {
    /// By configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let rates = Self {
            on: AtomicBool::new(false),
            burst: AtomicU64::new(0),
            limits: Default::default(),
            seed: foldhash::quality::RandomState::default(),
        };
        rates.set(config);
        rates
    }

    /// Puts other limits in force, for live connections too. What was taken stays
    /// taken.
    pub(crate) fn set(&self, config: &Config) {
        let rates = [
            [
                config.messages_per_connection,
                config.messages_per_user,
                config.messages_per_ip,
                config.messages_per_namespace,
            ],
            [
                config.bytes_per_connection,
                config.bytes_per_user,
                config.bytes_per_ip,
                config.bytes_per_namespace,
            ],
            [0, config.connects_per_user, config.connects_per_ip, 0],
            [
                config.subscribes_per_connection,
                config.subscribes_per_user,
                config.subscribes_per_ip,
                config.subscribes_per_namespace,
            ],
        ];
        self.burst.store(nanos(config.burst), Relaxed);
        for (limit, rate) in self.limits.iter().flatten().zip(rates.iter().flatten()) {
            limit
                .rate
                .store(u64::try_from(*rate).unwrap_or(u64::MAX), Relaxed);
        }
        let on = rates.iter().flatten().any(|rate| *rate > 0);
        self.on.store(on, Relaxed);
    }

    /// Whom requests of `subject` are charged to, which come from `client`.
    /// Loopback is exempt, as it is from the limit of connections; so are the
    /// addresses of those who show an API key.
    pub(crate) fn account(&self, subject: &Subject, client: IpAddr, proxied: bool) -> Account {
        let address = group(client).map(|group| self.key(group));
        let user = match subject {
            Subject::Anonymous(_) => address,
            Subject::Key(name) => Some(self.key(("key", &**name))),
            Subject::User(user) => Some(self.user(user)),
        };
        Account {
            user,
            address: address.filter(|_| !matches!(subject, Subject::Key(_))),
            proxied,
        }
    }

    /// The same account, where its holder turns out to be `subject`, by a token.
    pub(crate) fn becomes(&self, account: Account, subject: &Subject) -> Account {
        match subject {
            Subject::User(user) => Account {
                user: Some(self.user(user)),
                ..account
            },
            Subject::Key(_) | Subject::Anonymous(_) => account,
        }
    }

    fn user(&self, user: &User) -> u64 {
        self.key((user.issuer.as_deref(), &*user.id))
    }

    /// A connection of `address` comes.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one may come.
    pub(crate) fn connects(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        if !self.on.load(Relaxed) {
            return Ok(());
        }
        let key = group(address).map(|group| self.key(group));
        let buckets = Buckets::default();
        let charge = charge(What::Connects, Whom::Address, key, 1);
        self.pay(&buckets, now, &[charge])
    }

    /// A message of `bytes` is to be published.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which it may pass; then nothing was
    /// taken of any bucket.
    pub(crate) fn publishes(
        &self,
        payer: Payer<'_>,
        namespace: &Namespace,
        bytes: usize,
        now: Instant,
    ) -> Result<(), Refusal> {
        if !self.on.load(Relaxed) {
            return Ok(());
        }
        let Account { user, address, .. } = payer.account;
        let namespace = Some(self.key(namespace.as_str()));
        let bytes = bytes as u64;
        let charges = [
            charge(What::Messages, Whom::Connection, Some(0), 1),
            charge(What::Messages, Whom::User, user, 1),
            charge(What::Messages, Whom::Address, address, 1),
            charge(What::Messages, Whom::Namespace, namespace, 1),
            charge(What::Bytes, Whom::Connection, Some(0), bytes),
            charge(What::Bytes, Whom::User, user, bytes),
            charge(What::Bytes, Whom::Address, address, bytes),
            charge(What::Bytes, Whom::Namespace, namespace, bytes),
        ];
        self.pay(payer.buckets, now, &charges)
    }

    /// A frame comes that carries no message: it takes work as one does.
    ///
    /// # Errors
    /// As [`Rates::publishes`].
    pub(crate) fn controls(&self, payer: Payer<'_>, now: Instant) -> Result<(), Refusal> {
        if !self.on.load(Relaxed) {
            return Ok(());
        }
        let Account { user, address, .. } = payer.account;
        let charges = [
            charge(What::Messages, Whom::Connection, Some(0), 1),
            charge(What::Messages, Whom::User, user, 1),
            charge(What::Messages, Whom::Address, address, 1),
        ];
        self.pay(payer.buckets, now, &charges)
    }

    /// Somebody listens to `keys`, or reads what was; `opens`: by a WebSocket or
    /// an event stream. The first of those is what its connection was for, and
    /// was paid with it.
    ///
    /// # Errors
    /// As [`Rates::publishes`].
    pub(crate) fn listens(
        &self,
        payer: Payer<'_>,
        keys: &Keys,
        opens: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        if !self.on.load(Relaxed) {
            return Ok(());
        }
        let Account {
            user,
            address,
            proxied,
        } = payer.account;
        let channels = keys.len() as u64;
        let another = opens && (payer.buckets.opened.swap(true, Relaxed) || proxied);
        let charges = [
            charge(What::Connects, Whom::User, user.filter(|_| opens), 1),
            charge(
                What::Connects,
                Whom::Address,
                address.filter(|_| another),
                1,
            ),
            charge(What::Subscribes, Whom::Connection, Some(0), channels),
            charge(What::Subscribes, Whom::User, user, channels),
            charge(What::Subscribes, Whom::Address, address, channels),
        ];
        self.pay(payer.buckets, now, &charges)?;
        // Each namespace's channels at once, as the others: who asks for more than there
        // ever is passes when all of it is there.
        let mut spaces: Vec<(&Namespace, u64)> = Vec::new();
        for key in keys {
            match spaces
                .iter_mut()
                .find(|(space, _)| *space == key.namespace())
            {
                Some((_, channels)) => *channels += 1,
                None => spaces.push((key.namespace(), 1)),
            }
        }
        for (paid, space) in spaces.iter().enumerate() {
            if let Err(refusal) = self.pay(payer.buckets, now, &[self.listening_in(*space)]) {
                for space in &spaces[..paid] {
                    self.give_back(payer.buckets, &[self.listening_in(*space)]);
                }
                self.give_back(payer.buckets, &charges);
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn listening_in(&self, (space, channels): (&Namespace, u64)) -> Charge {
        let namespace = self.key(space.as_str());
        charge(What::Subscribes, Whom::Namespace, Some(namespace), channels)
    }

    /// Takes all of it, or nothing.
    fn pay(&self, buckets: &Buckets, now: Instant, charges: &[Charge]) -> Result<(), Refusal> {
        let (now, burst) = (nanos(now), self.burst.load(Relaxed));
        for (at, charge) in charges.iter().enumerate() {
            let Some((limit, key, price)) = self.bill(charge) else {
                continue;
            };
            let taken = match charge.whom {
                Whom::Connection => buckets.take(charge.what, now, price, burst),
                _ => {
                    let table = limit.table.get_or_init(Table::new);
                    table.take(key, now, price, burst)
                }
            };
            if let Err(wait) = taken {
                self.give_back(buckets, &charges[..at]);
                return Err(charge.refused(wait));
            }
        }
        Ok(())
    }

    fn give_back(&self, buckets: &Buckets, charges: &[Charge]) {
        for charge in charges {
            let Some((limit, key, price)) = self.bill(charge) else {
                continue;
            };
            match (charge.whom, limit.table.get()) {
                (Whom::Connection, _) => buckets.give_back(charge.what, price),
                (_, Some(table)) => table.give_back(key, price),
                (_, None) => {}
            }
        }
    }

    /// What a charge comes to; none where its limit is off or nobody is charged.
    fn bill(&self, charge: &Charge) -> Option<(&Limit, u64, u64)> {
        let limit = &self.limits[charge.what as usize][charge.whom as usize];
        let rate = limit.rate.load(Relaxed);
        let key = charge.key.filter(|_| rate > 0)?;
        Some((limit, key, bucket::price(rate, charge.units)))
    }

    /// Two of 2^63 that meet share a bucket.
    fn key(&self, of: impl Hash) -> u64 {
        self.seed.hash_one(of) | 1
    }
}

impl Buckets {
    fn take(&self, what: What, now: u64, price: u64, burst: u64) -> Result<(), Duration> {
        let bucket = &self.due[what as usize];
        let mut due = bucket.load(Relaxed);
        loop {
            let then = bucket::take(due, now, price, burst)?;
            match bucket.compare_exchange_weak(due, then, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => due = other,
            }
        }
    }

    fn give_back(&self, what: What, price: u64) {
        let bucket = &self.due[what as usize];
        // Taken just now, so it is in there.
        bucket.fetch_sub(price.min(bucket.load(Relaxed)), Relaxed);
    }
}

fn charge(what: What, whom: Whom, key: Option<u64>, units: u64) -> Charge {
    Charge {
        what,
        whom,
        key,
        units,
    }
}

impl Charge {
    fn refused(&self, wait: Duration) -> Refusal {
        let what = match self.what {
            What::Messages => "messages",
            What::Bytes => "bytes",
            What::Connects => "connects",
            What::Subscribes => "subscribes",
        };
        let whom = match self.whom {
            Whom::Connection => "on this connection",
            Whom::User => "of this user",
            Whom::Address => "from this address",
            Whom::Namespace => "in this namespace",
        };
        let ms = wait.as_millis().saturating_add(1);
        let sentence = format!("too many {what} {whom}; come back in {ms} ms");
        Refusal::new(Code::RateLimited, sentence).after(wait)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
