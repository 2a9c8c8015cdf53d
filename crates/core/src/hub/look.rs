//! What operators see of who is here and what is listened to: one page at a time.
//!
//! Nothing is ever copied as a whole, and no lock is held for longer than a few
//! names take. Subscribers are asked of their shards, a stretch of slots at a
//! time, each in its turn among publications; names are taken from an ordered set
//! under the feed lock, a few at a time. What is there all the while is listed
//! exactly once; what comes or goes meanwhile may be.

use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::Hub;
use super::queue::Entry;
use crate::broker::Held;
use crate::error::{Code, Refusal};
use crate::key::{Key, Name, Namespace, SocketId};
use crate::message::Keys;
use crate::policy::Subject;
use crate::ticket::Ticket;

/// Keys that are shown of one subscriber.
pub(super) const KEYS_SHOWN: usize = 16;

/// Slots that a shard looks through at once.
pub(super) const SLOTS_PER_LOOK: usize = 1024;

/// Stretches of slots that one page may take.
const LOOKS_PER_PAGE: usize = 64;

/// Names taken while the feed lock is held once, and channels that a broker is
/// asked for at once.
const NAMES_PER_LOOK: usize = 64;

/// Which subscribers are meant. Everything that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// The one that `$ready` named so.
    pub conn: Option<SocketId>,
    /// Those of a user: `sub` of a token, of whichever issuer.
    pub user: Option<Arc<str>>,
    /// Those that listen to this.
    pub channel: Option<Key>,
    /// Those that listen to anything in this namespace.
    pub namespace: Option<Namespace>,
    /// Those by this transport.
    pub transport: Option<Arc<str>>,
}

/// Which channels are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Within {
    /// All.
    Everywhere,
    /// Those of one namespace whose name begins so.
    Namespace(Namespace, Arc<str>),
}

/// A place between subscribers; the default is before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Which shard.
    pub shard: u32,
    /// Its next slot.
    pub slot: u32,
}

/// Some of what there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T, P> {
    /// In the order of places. There may be fewer than asked for, and none, and
    /// more behind them all the same.
    pub rows: Vec<T>,
    /// Where the next page begins; none behind the last.
    pub next: Option<P>,
}

/// A subscriber that is here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Present {
    /// Its public id.
    pub conn: SocketId,
    /// Who it is.
    pub subject: Subject,
    /// The name of its transport.
    pub transport: &'static str,
    /// The address that it is for.
    pub address: Option<IpAddr>,
    /// How long it has been here.
    pub age: Duration,
    /// What it listens to: the first 16, itself left out.
    pub keys: Keys,
    /// All of them.
    pub key_count: usize,
    /// Bytes that wait for it to read.
    pub pending: usize,
    /// It catches up.
    pub behind: bool,
}

/// A channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Which.
    pub key: Key,
    /// Who listens to it on this node.
    pub subscribers: usize,
    /// What is held of it.
    pub held: Held,
}

/// A question to a shard.
pub(super) struct Look {
    pub(super) filter: Arc<Filter>,
    /// The first slot.
    pub(super) from: usize,
    /// At most so many subscribers.
    pub(super) most: usize,
    pub(super) reply: Ticket<Seen>,
}

/// Its answer.
pub(super) struct Seen {
    pub(super) rows: Vec<Present>,
    /// The first slot that was not looked at; none where that was the last.
    pub(super) next: Option<usize>,
}

impl Filter {
    /// Whether a subscriber is meant, as far as the hub knows it.
    pub(super) fn takes(&self, conn: &SocketId, subject: &Subject, keys: &[Key]) -> bool {
        let user = |id: &Arc<str>| subject.user().is_some_and(|user| user.id == *id);
        self.conn.as_ref().is_none_or(|only| only == conn)
            && self.user.as_ref().is_none_or(user)
            && self.channel.as_ref().is_none_or(|key| keys.contains(key))
            && self
                .namespace
                .as_ref()
                .is_none_or(|only| keys.iter().any(|key| key.namespace() == only))
    }
}

impl Hub {
    /// The next subscribers from `from` on, at most `most` (at least 1), out of at
    /// most 65,536 that are looked at; within `time`.
    ///
    /// # Errors
    /// `unavailable` where a shard does not answer in time.
    pub async fn present(
        &self,
        filter: Filter,
        from: Place,
        most: usize,
        time: Duration,
    ) -> Result<Page<Present, Place>, Refusal> {
        let page = self.within(time, self.leaf_through(Arc::new(filter), from, most));
        page.await.ok_or_else(too_late)
    }

    async fn leaf_through(
        &self,
        filter: Arc<Filter>,
        mut place: Place,
        most: usize,
    ) -> Page<Present, Place> {
        let mut rows = Vec::new();
        for _ in 0..LOOKS_PER_PAGE {
            let Some(queue) = self.queues.get(place.shard as usize) else {
                return Page { rows, next: None };
            };
            let (reply, answer) = Ticket::new();
            queue.send(Entry::Look(Box::new(Look {
                filter: filter.clone(),
                from: place.slot as usize,
                most: most.max(1) - rows.len(),
                reply,
            })));
            let mut seen = answer.await;
            rows.append(&mut seen.rows);
            place = match seen.next.and_then(|slot| u32::try_from(slot).ok()) {
                Some(slot) => Place { slot, ..place },
                None => Place {
                    shard: place.shard + 1,
                    slot: 0,
                },
            };
            if rows.len() >= most {
                break;
            }
        }
        let more = (place.shard as usize) < self.queues.len();
        Page {
            rows,
            next: more.then_some(place),
        }
    }

    /// The channels that anyone on this node listens to, in the order of their
    /// namespaces and names, after `after`; at most `most`, within `time`.
    ///
    /// # Errors
    /// `unavailable` where the broker does not say what it holds of them.
    pub async fn channels(
        &self,
        within: &Within,
        after: Option<&Key>,
        most: usize,
        time: Duration,
    ) -> Result<Page<Channel, Key>, Refusal> {
        let (listened, more) = self.listened(within, after, most.max(1));
        let mut rows = Vec::with_capacity(listened.len());
        let all = async {
            for some in listened.chunks(NAMES_PER_LOOK) {
                rows.append(&mut self.with_held(some).await?);
            }
            Ok(())
        };
        self.within(time, all).await.ok_or_else(too_late)??;
        let next = match more {
            true => rows.last().map(|last: &Channel| last.key.clone()),
            false => None,
        };
        Ok(Page { rows, next })
    }

    /// One channel, whether or not anyone listens to it; within `time`.
    ///
    /// # Errors
    /// As [`Self::channels`].
    pub async fn channel(&self, key: Key, time: Duration) -> Result<Channel, Refusal> {
        let subscribers = self.feed.lock().subscribers(&key);
        let listened = [(key, subscribers)];
        let asked = self.within(time, self.with_held(&listened));
        let rows = asked.await.ok_or_else(too_late)??;
        rows.into_iter().next().ok_or_else(unreachable)
    }

    /// Whether streams can be opened: every shard turns and the broker answers,
    /// within `time`.
    ///
    /// # Errors
    /// `unavailable`, with what is not there.
    pub async fn is_ready(&self, time: Duration) -> Result<(), Refusal> {
        let nobody = Arc::new(Filter::default());
        let shards = async {
            for queue in &self.queues {
                let (reply, answer) = Ticket::new();
                queue.send(Entry::Look(Box::new(Look {
                    filter: nobody.clone(),
                    from: usize::MAX,
                    most: 0,
                    reply,
                })));
                answer.await;
            }
        };
        let why = |sentence: &str| Refusal::new(Code::Unavailable, sentence);
        if self.within(time, shards).await.is_none() {
            return Err(why("the server is too busy to open streams"));
        }
        match self.within(time, self.broker.top()).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) => Err(why("the broker cannot be reached")),
            None => Err(why("the broker does not answer")),
        }
    }

    /// Names and counts, and whether there are more.
    fn listened(
        &self,
        within: &Within,
        after: Option<&Key>,
        most: usize,
    ) -> (Vec<(Key, usize)>, bool) {
        let first = match within {
            Within::Everywhere => (Namespace::root(), Name::bound("")),
            Within::Namespace(namespace, prefix) => (namespace.clone(), Name::bound(prefix)),
        };
        let mut from = match after.and_then(Key::name) {
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        let mut found = Vec::new();
        loop {
            let asked = NAMES_PER_LOOK.min(most + 1 - found.len());
            let names = self.feed.lock().names_from(from.as_ref(), asked);
            let dry = names.len() < asked;
            if let Some((last, _)) = names.last() {
                from = Bound::Excluded(last.clone());
            }
            let before = names.len();
            let meant = names.into_iter().take_while(|(name, _)| within.takes(name));
            let meant: Vec<_> = meant.collect();
            let over = meant.len() < before;
            found.extend(
                meant
                    .into_iter()
                    .map(|(name, count)| (Key::of_name(name), count)),
            );
            if found.len() > most {
                found.truncate(most);
                return (found, true);
            }
            if dry || over {
                return (found, false);
            }
        }
    }

    async fn with_held(&self, listened: &[(Key, usize)]) -> Result<Vec<Channel>, Refusal> {
        let keys = listened.iter().map(|(key, _)| key.clone()).collect();
        let held = self.broker.held(keys).await.map_err(|_| unreachable())?;
        let rows = listened.iter().zip(held);
        let row = |((key, subscribers), held): (&(Key, usize), Held)| Channel {
            key: key.clone(),
            subscribers: *subscribers,
            held,
        };
        Ok(rows.map(row).collect())
    }
}

impl Within {
    fn takes(&self, (namespace, name): &(Namespace, Name)) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Namespace(only, prefix) => {
                namespace == only && name.as_str().starts_with(&**prefix)
            }
        }
    }
}

fn too_late() -> Refusal {
    let sentence = "no answer in time; ask again";
    Refusal::new(Code::Unavailable, sentence)
}

fn unreachable() -> Refusal {
    Refusal::new(Code::Unavailable, "the broker cannot be reached; ask again")
}
