//! A broker that misbehaves, within the contract, as a seed says.
//!
//! It keeps messages as the one in memory does, but orders, acknowledges and
//! feeds independently, and answers late, stale or not at all. It does nothing
//! by itself: what is pending moves when [`ChaosBroker::step`] is called, so
//! that a simulation decides when, and the same seed and calls give the same
//! run. It remembers all that ever happened ([`ChaosBroker::history`]): a
//! double for tests, not a store to serve from.

mod asks;
mod faults;
mod follow;
mod follower;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

use self::asks::Ask;
pub use self::faults::{ChaosCounts, Faults};
use self::follower::Pending;
use self::state::{State, Waiting};
use super::memory::prepare;
use super::store::{Moment, Trash, Usage};
use super::{
    Append, AppendError, Appended, Broker, BrokerFuture, Feed, FeedEvent, Held, ReadReply,
    ReadRequest, Tail, Top, Unavailable,
};
use crate::clock::Clock;
use crate::credit::Credit;
use crate::cursor::{Epoch, Seq};
use crate::key::Key;
use crate::limits::Limits;
use crate::message::{Keys, Message, Stored};
use crate::policy::Door;
use crate::ticket::Ticket;

/// Something that truly happened, whatever anybody was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChaosEvent {
    /// A message was ordered, and kept as far as the rules say.
    Appended(Arc<Stored>),
    /// A volatile message took its place.
    Volatile(Arc<Message>),
    /// Everything at `first` or after is gone; the next message has it.
    Cut {
        /// The epoch that began.
        epoch: Epoch,
        /// Its first seq.
        first: Seq,
    },
    /// Everything up to `through` is gone from every log.
    Lost {
        /// The last one.
        through: Seq,
    },
    /// A channel's log no longer has this message, nor any before it.
    Trimmed {
        /// Which channel.
        channel: Key,
        /// The newest one removed.
        through: Seq,
    },
    /// A channel's record was forgotten. Some other channels, of the same
    /// bucket, may be told a loss through its newest message too.
    Evicted {
        /// Which channel.
        channel: Key,
        /// The newest message that it had.
        through: Seq,
    },
}

/// The broker. One lock around everything; nothing is woken or dropped inside.
pub struct ChaosBroker {
    shared: Arc<Shared>,
}

struct Shared {
    door: Arc<Door>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct ChaosFeed {
    shared: Arc<Shared>,
    id: u64,
}

/// What a step under the lock leaves to do outside it.
#[derive(Default)]
struct After {
    wake: Vec<Waker>,
    credits: Vec<Credit>,
    pending: Vec<Pending>,
    trash: Vec<Trash>,
}

impl ChaosBroker {
    /// An empty one; all but `faults` as [`super::MemoryBroker::new`] has it.
    /// `seed` also drives the faults.
    pub fn new(
        limits: &Limits,
        door: Arc<Door>,
        clock: Arc<dyn Clock>,
        epoch: Epoch,
        seed: u64,
        faults: Faults,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                door,
                clock,
                state: Mutex::new(State::new(limits, epoch, seed, faults)),
            }),
        }
    }

    /// Does some of what is pending: orders, feeds, acknowledges, answers; and
    /// lets the faults strike that need no occasion.
    pub fn step(&self) {
        self.shared.with(State::step);
    }

    /// Faults end here. Everything pending is done, and from now on everything
    /// is done at once.
    pub fn settle(&self) {
        self.shared.with(State::settle);
    }

    /// Other faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.state.lock().faults = faults;
    }

    /// Takes the newest `k` messages back, acknowledged ones too, and opens an
    /// epoch. 0: an epoch opens and nothing is lost.
    pub fn cut(&self, k: u64) {
        self.shared.with(|state, _, after| state.cut(k, after));
    }

    /// Loses the next `k` messages that the slowest feed has yet to bring, and
    /// with them all before; 0: only what has been brought. At most through the
    /// top; nothing where that is 0.
    pub fn lose(&self, k: u64) {
        self.shared.with(|state, _, after| state.lose(k, after));
    }

    /// How often each fault has happened.
    pub fn counts(&self) -> ChaosCounts {
        self.shared.state.lock().counts
    }

    /// All that ever happened, in order.
    pub fn history(&self) -> Vec<ChaosEvent> {
        self.shared.state.lock().history.clone()
    }

    /// [`Self::history`] without its first `from` events.
    pub fn history_from(&self, from: usize) -> Vec<ChaosEvent> {
        let state = self.shared.state.lock();
        state.history.get(from..).unwrap_or_default().to_vec()
    }

    /// True where nothing waits: no append, no acknowledgement, no answer, and
    /// every feed has brought everything.
    pub fn is_quiet(&self) -> bool {
        self.shared.state.lock().is_quiet()
    }

    /// How much is held.
    pub fn usage(&self) -> Usage {
        self.shared.state.lock().store.usage()
    }
}

impl Shared {
    /// Does something under the lock and the rest outside it.
    fn with<T>(&self, work: impl FnOnce(&mut State, &Moment, &mut After) -> T) -> T {
        let moment = Moment {
            now: self.clock.now(),
            ts: self.clock.wall_ms(),
            namespaces: self.door.namespaces(),
        };
        let mut after = After::default();
        let mut state = self.state.lock();
        let result = work(&mut state, &moment, &mut after);
        after.trash.push(state.store.take_trash());
        drop(state);
        after.wake.drain(..).for_each(Waker::wake);
        drop(after);
        result
    }
}

impl Broker for ChaosBroker {
    fn append(&self, batch: Vec<Append>) -> Vec<BrokerFuture<Result<Appended, AppendError>>> {
        let mut futures = Vec::with_capacity(batch.len());
        let waiting: Vec<_> = batch
            .into_iter()
            .map(|append| {
                let (incoming, credit) = prepare(append);
                let (ticket, future) = Ticket::new();
                futures.push(future);
                Waiting {
                    incoming,
                    credit,
                    ticket: Some(ticket),
                }
            })
            .collect();
        self.shared
            .with(|state, moment, after| state.append(waiting, moment, after));
        futures
    }

    /// Brings everything after `from` that was ever ordered and not cut or
    /// lost, also what the logs no longer hold; and every cut since the last
    /// [`Broker::start`].
    fn follow(&self, from: Seq) -> Box<dyn Feed> {
        let id = self
            .shared
            .with(|state, _, after| state.follow(from, after));
        Box::new(ChaosFeed {
            shared: self.shared.clone(),
            id,
        })
    }

    fn read(&self, request: ReadRequest) -> BrokerFuture<Result<ReadReply, Unavailable>> {
        let (ticket, future) = Ticket::new();
        let ask = Ask::Read(request, ticket);
        self.shared
            .with(|state, moment, after| state.ask(ask, moment, after));
        future
    }

    fn tail(&self, channels: Keys, n: usize) -> BrokerFuture<Result<Tail, Unavailable>> {
        let (ticket, future) = Ticket::new();
        let ask = Ask::Tail(channels, n, ticket);
        self.shared
            .with(|state, moment, after| state.ask(ask, moment, after));
        future
    }

    fn top(&self) -> BrokerFuture<Result<Top, Unavailable>> {
        let (ticket, future) = Ticket::new();
        self.shared
            .with(|state, moment, after| state.ask(Ask::Top(ticket), moment, after));
        future
    }

    fn start(&self) -> Top {
        self.shared.with(|state, _, _| state.start())
    }

    fn held(&self, channels: Vec<Key>) -> BrokerFuture<Result<Vec<Held>, Unavailable>> {
        let held = self.shared.with(|state, moment, _| {
            let held = state.store.held_of(moment, &channels);
            state.note_removals();
            held
        });
        Box::pin(std::future::ready(Ok(held)))
    }

    fn listening(&self, channel: &Key, on: bool) {
        self.shared.with(|state, _, _| state.listening(channel, on));
    }
}

impl Feed for ChaosFeed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<FeedEvent> {
        let waker = cx.waker().clone();
        let mut state = self.shared.state.lock();
        let Some(follower) = state.followers.get_mut(&self.id) else {
            drop(state);
            return Poll::Pending;
        };
        let event = follower.brought.pop_front();
        let spare = match &event {
            Some(_) => Some(waker),
            None => follower.waker.replace(waker),
        };
        drop(state);
        drop(spare);
        event.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for ChaosFeed {
    fn drop(&mut self) {
        let gone = self.shared.state.lock().followers.remove(&self.id);
        drop(gone);
    }
}
