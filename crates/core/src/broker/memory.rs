//! The default broker: everything in this process, gone with it.
//!
//! Ordering, keeping and feeding are one step under one lock; futures are
//! ready at once. Nothing is encoded, woken or dropped inside the lock, and a
//! reader walks the logs outside it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::store::{Incoming, Keyed, Moment, Ordered, Store, Usage};
use super::{
    Append, AppendError, Appended, Broker, BrokerFuture, Fed, Feed, FeedEvent, ReadReply,
    ReadRequest, Tail, Top, Unavailable,
};
use crate::clock::Clock;
use crate::credit::Credit;
use crate::cursor::{Epoch, Seq};
use crate::key::Key;
use crate::limits::Limits;
use crate::message::Keys;
use crate::policy::Door;

/// Messages of one batch of the feed.
const BATCH_MESSAGES: usize = 256;
/// Bytes of one batch of the feed, but at least one message.
const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes that wait for one follower. Publishers' credit keeps the queue far
/// below; at the limit the follower is sent back to the logs, and told
/// [`FeedEvent::Lost`] for what they no longer hold.
const FEED_BYTES: usize = 128 * 1024 * 1024;

/// Keeps messages in this process's memory, within the bounds of the
/// namespaces' rules and of [`Limits`].
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

struct Shared {
    door: Arc<Door>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    store: Store,
    followers: BTreeMap<u64, Follower>,
    next_follower: u64,
}

struct Follower {
    /// The last seq that was handed out, or told lost.
    given: Seq,
    /// What is taken from the logs before the queue's turn comes: (given, this].
    replay: Seq,
    queue: VecDeque<Fed>,
    bytes: usize,
    waker: Option<Waker>,
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
        let follower = Follower {
            given: from.min(top),
            replay: top,
            queue: VecDeque::new(),
            bytes: 0,
            waker: None,
        };
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

/// Bytes that a step of the feed counts for.
pub(super) fn fed_cost(fed: &Fed) -> usize {
    match fed {
        Fed::Stored(stored, _) => stored.cost(),
        Fed::Volatile(message, ..) => message.cost(),
    }
}

impl Follower {
    fn push(&mut self, fed: Fed, top: Seq, after: &mut After) {
        self.bytes += fed_cost(&fed);
        self.queue.push_back(fed);
        if self.bytes > FEED_BYTES {
            after.queues.push(std::mem::take(&mut self.queue));
            self.bytes = 0;
            self.replay = top;
        }
    }

    /// The next step from the logs.
    fn replayed(&mut self, store: &Store) -> Option<FeedEvent> {
        if self.given >= self.replay {
            return None;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for stored in store.held(self.given, self.replay) {
            bytes += stored.cost();
            let full = batch.len() == BATCH_MESSAGES || bytes > BATCH_BYTES;
            if stored.seq() != self.given.next() || (full && !batch.is_empty()) {
                break;
            }
            self.given = stored.seq();
            batch.push(Fed::Stored(stored.clone(), None));
        }
        if !batch.is_empty() {
            return Some(FeedEvent::Batch(batch));
        }
        let next = store.held(self.given, self.replay).next();
        let through = next.map_or(self.replay, |stored| stored.seq().prev());
        self.given = through;
        Some(FeedEvent::Lost { through })
    }

    /// The next step from the queue.
    fn queued(&mut self) -> Option<FeedEvent> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(fed) = self.queue.front() {
            let cost = fed_cost(fed);
            let full = batch.len() == BATCH_MESSAGES || bytes + cost > BATCH_BYTES;
            if full && !batch.is_empty() {
                break;
            }
            bytes += cost;
            if let Fed::Stored(stored, _) = fed {
                self.given = stored.seq();
            }
            batch.extend(self.queue.pop_front());
        }
        self.bytes -= bytes;
        if self.queue.is_empty() {
            // A burst's capacity is given back.
            self.queue.shrink_to(BATCH_MESSAGES);
        }
        (!batch.is_empty()).then_some(FeedEvent::Batch(batch))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::broker::contract::contract;
    use crate::broker::testing::{Rig, Setup, TestClock, after, message, seqs};

    fn make(setup: Setup) -> Rig {
        let clock = Arc::new(TestClock::default());
        let door = Door::new(setup.namespaces);
        let broker = MemoryBroker::new(&setup.limits, door.clone(), clock.clone(), Epoch(7), 99);
        Rig {
            broker: Arc::new(broker),
            clock,
            door,
            step: Box::new(|| ()),
        }
    }

    contract!(make);

    /// Wakes a thread that waits, once for any number of wakes.
    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    #[test]
    fn four_publishers_and_one_follower_lose_nothing_and_no_wake() {
        const EACH: u64 = 5_000;
        let rig = make(Setup::default());
        let mut feed = rig.broker.follow(Seq(0));
        let publishers: Vec<_> = (0..4)
            .map(|n| {
                let broker = rig.broker.clone();
                std::thread::spawn(move || {
                    let channel = n.to_string();
                    let mut mine = Vec::new();
                    for k in 0..EACH {
                        let append = message(&[&channel], &k.to_string());
                        let mut future = broker.append(vec![append]).pop().unwrap();
                        let Poll::Ready(Ok(Appended::Kept { id, .. })) =
                            crate::broker::testing::poll(&mut future)
                        else {
                            panic!("not kept")
                        };
                        mine.push(id.seq);
                    }
                    assert!(mine.is_sorted(), "one publisher stays in order");
                })
            })
            .collect();
        // Parks whenever the feed is dry: a lost wake would leave it parked, and
        // the test would never end.
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut cx = Context::from_waker(&waker);
        let mut got = 0;
        let mut bodies = std::collections::HashMap::new();
        while got < 4 * EACH {
            match feed.poll_next(&mut cx) {
                Poll::Pending => std::thread::park(),
                Poll::Ready(FeedEvent::Batch(batch)) => {
                    for fed in batch {
                        let Fed::Stored(stored, _) = fed else {
                            panic!("not stored")
                        };
                        got += 1;
                        assert_eq!(stored.seq(), Seq(got));
                        let next = bodies.entry(stored.message.targets[0].clone()).or_insert(0);
                        assert_eq!(
                            stored.message.body,
                            crate::message::Body::Text(next.to_string().into())
                        );
                        *next += 1;
                    }
                }
                Poll::Ready(other) => panic!("{other:?}"),
            }
        }
        publishers.into_iter().for_each(|one| one.join().unwrap());
        assert!(feed.poll_next(&mut cx).is_pending());
    }

    #[test]
    fn readers_beside_publishers_see_no_torn_log() {
        let rig = make(Setup {
            namespaces: crate::namespace::Namespaces::all(crate::broker::testing::history(
                100,
                usize::MAX,
                600,
            )),
            ..Setup::default()
        });
        let broker = rig.broker.clone();
        let publisher = std::thread::spawn(move || {
            for n in 0..20_000u64 {
                let targets: &[&str] = [&["a"][..], &["b"], &["a", "b"]][(n % 3) as usize];
                drop(broker.append(vec![message(targets, "x")]));
            }
        });
        let mut cursor = 0;
        while cursor < 20_000 {
            let reply = rig.read(after(&["a", "b"], cursor));
            let got = seqs(&reply);
            // Every seq is in a or b: what comes after the loss is all there.
            let lost = reply
                .lost
                .iter()
                .map(|loss| loss.lost_through.0)
                .max()
                .unwrap_or(0);
            let first = cursor.max(lost) + 1;
            let from_first: Vec<u64> = got.into_iter().filter(|seq| *seq >= first).collect();
            assert_eq!(
                from_first,
                (first..=reply.complete_through.0).collect::<Vec<_>>()
            );
            assert!(reply.complete_through.0 >= cursor);
            cursor = reply.complete_through.0;
        }
        publisher.join().unwrap();
    }

    #[test]
    fn a_follower_past_its_bytes_goes_back_to_the_logs() {
        let rig = make(Setup::default());
        let mut feed = rig.broker.follow(Seq(0));
        let body = "x".repeat(1024 * 1024 - 1024);
        // The queue holds 128 of them; each channel keeps the last one.
        for n in 0..140 {
            rig.put(message(&[["a", "b"][n % 2]], &body));
        }
        let events = rig.drain(&mut *feed);
        assert!(
            matches!(events[0], FeedEvent::Lost { through: Seq(1..) }),
            "{:?}",
            events[0]
        );
        let FeedEvent::Lost { through } = events[0] else {
            panic!()
        };
        let given = crate::broker::testing::fed_seqs(&events);
        assert_eq!(given, (through.0 + 1..=140).collect::<Vec<_>>());
        assert!(given.len() < 20, "{}", given.len());
    }

    #[test]
    fn every_follower_hears_everything_and_a_dropped_one_nothing() {
        let rig = make(Setup::default());
        let mut one = rig.broker.follow(Seq(0));
        let two = rig.broker.follow(Seq(0));
        rig.put(message(&["a"], "1"));
        drop(two);
        rig.put(message(&["a"], "2"));
        let mut three = rig.broker.follow(Seq(0));
        for feed in [&mut one, &mut three] {
            let events = rig.drain(&mut **feed);
            assert_eq!(crate::broker::testing::fed_seqs(&events), [1, 2]);
        }
    }
}
