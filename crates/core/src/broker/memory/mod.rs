//! The default broker: everything in this process, gone with it.
//!
//! Ordering, keeping and feeding are one step under one lock; futures are
//! ready at once. Nothing is encoded, woken or dropped inside the lock, and a
//! reader walks the logs outside it.

mod follower;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

use self::follower::Follower;
use super::store::{Incoming, Keyed, Moment, Ordered, Store, Usage};
use super::{
    Append, AppendError, Appended, Broker, BrokerFuture, Fed, Feed, FeedEvent, Held, ReadReply,
    ReadRequest, Tail, Top, Unavailable,
};
use crate::clock::Clock;
use crate::credit::Credit;
use crate::cursor::{Epoch, Seq};
use crate::key::Key;
use crate::limits::Limits;
use crate::message::Keys;
use crate::policy::Door;

/// Keeps messages in this process's memory, within the bounds of the
/// namespaces' rules and of [`Limits`].
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

struct Shared {
    door: Arc<Door>,
    clock: Arc<dyn Clock>,
    /// Bytes that publishers may have under way.
    credit: usize,
    state: Mutex<State>,
}

struct State {
    store: Store,
    followers: BTreeMap<u64, Follower>,
    next_follower: u64,
}

struct MemoryFeed {
    shared: Arc<Shared>,
    id: u64,
}

/// What a step under the lock leaves to do outside it.
#[derive(Default)]
struct After {
    wake: Vec<Waker>,
    credits: Vec<Credit>,
    queues: Vec<VecDeque<Fed>>,
}

impl MemoryBroker {
    /// An empty one. Of `limits` it takes `log_bytes`, `channel_records` and
    /// the idempotency bounds; how much of each channel is kept, `door`'s
    /// namespaces say, also once they are replaced. `epoch` is random, a new
    /// one for each life of the process, so that cursors of an earlier one are
    /// known for what they are; `seed` is random too, and keeps strangers from
    /// choosing channel names that collide.
    pub fn new(
        limits: &Limits,
        door: Arc<Door>,
        clock: Arc<dyn Clock>,
        epoch: Epoch,
        seed: u64,
    ) -> Self {
        let state = State {
            store: Store::new(limits, epoch, seed),
            followers: BTreeMap::new(),
            next_follower: 0,
        };
        Self {
            shared: Arc::new(Shared {
                door,
                clock,
                credit: limits.publish_credit,
                state: Mutex::new(state),
            }),
        }
    }

    /// How much is held.
    pub fn usage(&self) -> Usage {
        self.shared.state.lock().store.usage()
    }
}

impl Shared {
    fn moment(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            ts: self.clock.wall_ms(),
            namespaces: self.door.namespaces(),
        }
    }
}

impl Broker for MemoryBroker {
    fn append(&self, batch: Vec<Append>) -> Vec<BrokerFuture<Result<Appended, AppendError>>> {
        let moment = self.shared.moment();
        let batch: Vec<_> = batch.into_iter().map(prepare).collect();
        let mut after = After::default();
        let mut state = self.shared.state.lock();
        let answers: Vec<_> = batch
            .into_iter()
            .map(|(incoming, credit)| {
                let outcome = state.store.append(&moment, incoming);
                state.feed(outcome.fed, credit, &mut after);
                outcome.answer
            })
            .collect();
        let trash = state.store.take_trash();
        drop(state);
        after.wake.drain(..).for_each(Waker::wake);
        drop((after, trash));
        answers
            .into_iter()
            .map(|answer| Box::pin(std::future::ready(answer)) as BrokerFuture<_>)
            .collect()
    }

    /// Where `from` is behind the top, first gives what the logs still hold
    /// after it, and [`FeedEvent::Lost`] for what they do not.
    fn follow(&self, from: Seq) -> Box<dyn Feed> {
        let mut state = self.shared.state.lock();
        let top = state.store.top_seq();
        let id = state.next_follower;
        state.next_follower += 1;
        let follower = Follower::new(from.min(top), top, self.shared.credit);
        state.followers.insert(id, follower);
        drop(state);
        Box::new(MemoryFeed {
            shared: self.shared.clone(),
            id,
        })
    }

    fn read(&self, request: ReadRequest) -> BrokerFuture<Result<ReadReply, Unavailable>> {
        let moment = self.shared.moment();
        let mut state = self.shared.state.lock();
        let snapshot = state.store.snapshot(&moment, &request);
        let trash = state.store.take_trash();
        drop(state);
        drop(trash);
        Box::pin(std::future::ready(Ok(snapshot.read(&request))))
    }

    fn tail(&self, channels: Keys, n: usize) -> BrokerFuture<Result<Tail, Unavailable>> {
        let moment = self.shared.moment();
        let mut state = self.shared.state.lock();
        let snapshot = state.store.tail_snapshot(&moment, &channels, n);
        let trash = state.store.take_trash();
        drop(state);
        drop(trash);
        Box::pin(std::future::ready(Ok(snapshot.tail(n))))
    }

    fn held(&self, channels: Vec<Key>) -> BrokerFuture<Result<Vec<Held>, Unavailable>> {
        let moment = self.shared.moment();
        let mut state = self.shared.state.lock();
        let held = state.store.held_of(&moment, &channels);
        let trash = state.store.take_trash();
        drop(state);
        drop(trash);
        Box::pin(std::future::ready(Ok(held)))
    }

    fn top(&self) -> BrokerFuture<Result<Top, Unavailable>> {
        Box::pin(std::future::ready(Ok(self.start())))
    }

    fn start(&self) -> Top {
        self.shared.state.lock().store.top()
    }

    fn listening(&self, channel: &Key, on: bool) {
        let mut state = self.shared.state.lock();
        state.store.listening(channel, on);
        let trash = state.store.take_trash();
        drop(state);
        drop(trash);
    }
}

/// Splits what was published from what was paid, and makes the fingerprint,
/// outside the lock.
pub(super) fn prepare(append: Append) -> (Incoming, Option<Credit>) {
    let idempotency = append.idempotency.as_ref();
    let keyed = idempotency.map(|idempotency| Keyed::new(idempotency, &append.message));
    let incoming = Incoming {
        message: append.message,
        volatile: append.volatile,
        keyed,
    };
    (incoming, append.credit)
}

impl State {
    /// Queues one message for every follower; the credit goes with the first.
    fn feed(&mut self, ordered: Option<Ordered>, credit: Option<Credit>, after: &mut After) {
        let Some(ordered) = ordered else {
            after.credits.extend(credit);
            return;
        };
        let mut credit = credit;
        let top = self.store.top_seq();
        for follower in self.followers.values_mut() {
            follower.push(ordered.fed(credit.take()), top, after);
            after.wake.extend(follower.waker.take());
        }
        after.credits.extend(credit);
    }
}

impl Ordered {
    /// As a step of the feed.
    pub(super) fn fed(&self, credit: Option<Credit>) -> Fed {
        match self {
            Self::Stored(stored) => Fed::Stored(stored.clone(), credit),
            Self::Volatile(message, ts) => Fed::Volatile(message.clone(), *ts, credit),
        }
    }
}

impl Feed for MemoryFeed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<FeedEvent> {
        // Wakers are the task's code: none is cloned or dropped inside the lock.
        let waker = cx.waker().clone();
        let mut guard = self.shared.state.lock();
        let state = &mut *guard;
        let Some(follower) = state.followers.get_mut(&self.id) else {
            drop(guard);
            return Poll::Pending;
        };
        let event = follower
            .replayed(&state.store)
            .or_else(|| follower.queued());
        let spare = match &event {
            Some(_) => Some(waker),
            None => follower.waker.replace(waker),
        };
        drop(guard);
        drop(spare);
        event.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for MemoryFeed {
    fn drop(&mut self) {
        let gone = self.shared.state.lock().followers.remove(&self.id);
        drop(gone);
    }
}
