//! Who listens to what on this node, and how they hear it.
//!
//! Two locks, never one inside the other: the broker's, which orders and
//! stores, and the hub's *feed lock*, which guards handing one step of the
//! broker's feed to the shard queues. A subscriber begins under the feed lock
//! too: the hub notes what is applied, sets the shard's interest and queues the
//! subscribe in the order of the publications.
//!
//! A [`Shard`] owns a part of the subscribers and all writing to them. It is a
//! plain struct; whoever drives it (a task, a simulation) calls
//! [`Shard::turn`].

mod attach;
mod encode;
mod feed;
mod handle;
mod history;
mod look;
mod membership;
mod outbox;
mod publication;
mod publish;
mod queue;
mod ring;
mod runtime;
mod shard;
mod stats;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::sync::{Mutex, RwLock};

pub use attach::{Attach, Heartbeat, Kind, Start};
pub use encode::{Delivery, Encoder, End, FormId, Gap, GapForm, Ready};
pub use handle::{ShardId, Subscriber};
pub use history::History;
pub use look::{Channel, Filter, Page, Place, Present, Within};
pub use outbox::Outbox;
pub use publish::Draft;
pub use queue::Whom;
pub use runtime::{Runtime, Task};
pub use shard::{Shard, Turn};
pub use stats::Stats;
pub use writer::{About, Flushed, Writer, hand_over, write_all};

use crate::broker::{Broker, Fed, Feed, FeedEvent};
use crate::clock::Clock;
use crate::credit::Credits;
use crate::cursor::{Lineage, Seq};
use crate::error::{Code, Refusal};
use crate::limits::{Limits, MAX_KEYS};
use crate::mutant;
use crate::policy::Verb;
use feed::{FeedState, Taking};
use publication::Publication;
use queue::{Entry, Queue};
use ring::Ring;
use stats::ShardStats;

/// How a hub is made.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Every bound.
    pub limits: Limits,
    /// How many shards; one per core that serves. At least 1.
    pub shards: usize,
    /// Jitter is drawn from it.
    pub seed: u64,
}

/// The broker's feed and the waker of the task that drives it.
struct Source {
    feed: Box<dyn Feed>,
    waker: Option<Waker>,
}

/// The hub of one node.
pub struct Hub {
    limits: Limits,
    seed: u64,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    runtime: Arc<dyn Runtime>,
    encoders: Vec<Arc<dyn Encoder>>,
    credits: Arc<Credits>,
    /// Held while the broker's feed is asked and while its answer is handed on,
    /// so that two drivers cannot overtake each other. Neither the broker's lock
    /// nor the feed lock is held while the other is taken.
    source: Mutex<Source>,
    feed: Mutex<FeedState>,
    ring: RwLock<Ring>,
    queues: Vec<Arc<Queue>>,
    shard_stats: Vec<Arc<ShardStats>>,
    next_id: AtomicU64,
}

impl Hub {
    /// A hub and its shards. The caller drives every shard, and
    /// [`Hub::poll_feed`] from one task.
    pub fn new(
        config: HubConfig,
        broker: Arc<dyn Broker>,
        clock: Arc<dyn Clock>,
        runtime: Arc<dyn Runtime>,
        encoders: Vec<Arc<dyn Encoder>>,
    ) -> (Arc<Self>, Vec<Shard>) {
        let shards = config.shards.max(1);
        let start = broker.start();
        let source = Source {
            feed: broker.follow(start.seq),
            waker: None,
        };
        let hub = Arc::new(Self {
            ring: RwLock::new(Ring::new(config.limits.ring_bytes, start.seq)),
            credits: Credits::new(config.limits.publish_credit),
            feed: Mutex::new(FeedState::new(start.seq, start.lineage)),
            source: Mutex::new(source),
            queues: (0..shards).map(|_| Arc::default()).collect(),
            shard_stats: (0..shards).map(|_| Arc::default()).collect(),
            next_id: AtomicU64::new(1),
            limits: config.limits,
            seed: config.seed,
            broker,
            clock,
            runtime,
            encoders,
        });
        let shards = (0..shards)
            .map(|index| Shard::new(hub.clone(), index))
            .collect();
        (hub, shards)
    }

    /// Drives the feed: hands everything that is ready to the shards, and keeps
    /// the waker of `cx` for what comes later. For one task, in a loop.
    pub fn poll_feed(&self, cx: &mut Context<'_>) {
        let mut source = self.source.lock();
        source.waker = Some(cx.waker().clone());
        while let Poll::Ready(event) = source.feed.poll_next(cx) {
            self.hand_on(event);
        }
    }

    /// Drives the feed from a publisher's side, which spares a wake-up; leaves
    /// it to whoever is at it already.
    fn pump(&self) {
        /// A publisher hands on so many steps before it goes back to its own work.
        const STEPS: usize = 16;
        let Some(mut source) = self.source.try_lock() else {
            return;
        };
        let Some(waker) = source.waker.clone() else {
            return;
        };
        let mut cx = Context::from_waker(&waker);
        for _ in 0..STEPS {
            match source.feed.poll_next(&mut cx) {
                Poll::Ready(event) => self.hand_on(event),
                Poll::Pending => return,
            }
        }
        drop(source);
        waker.wake();
    }

    fn hand_on(&self, event: FeedEvent) {
        match event {
            FeedEvent::Batch(batch) => self.hand_on_batch(batch),
            FeedEvent::Cut { epoch, first } => {
                self.ring.write().cut(first);
                let mut wakers = Vec::new();
                {
                    let mut feed = self.feed.lock();
                    Arc::make_mut(&mut feed.lineage).open(epoch, first);
                    feed.applied = feed.applied.min(first.prev());
                    if !mutant::active("cut-untold") {
                        self.queue_all(|| Entry::Cut { epoch, first }, &mut wakers);
                    }
                }
                wakers.into_iter().for_each(Waker::wake);
            }
            FeedEvent::Lost { through } => {
                self.ring.write().lose(through);
                let mut wakers;
                {
                    let mut feed = self.feed.lock();
                    feed.applied = feed.applied.max(through);
                    wakers = feed.take_reached();
                    self.queue_all(|| Entry::Lost { through }, &mut wakers);
                }
                wakers.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn hand_on_batch(&self, batch: Vec<Fed>) {
        // The ring first: a shard reads there only up to what it has popped.
        {
            let mut ring = self.ring.write();
            for fed in &batch {
                if let Fed::Stored(stored, _) = fed {
                    ring.push(stored.clone());
                }
            }
        }
        // Whoever hands on holds the source's lock, so this does not change meanwhile.
        let mut after = {
            let feed = self.feed.lock();
            feed.lineage.cursor(feed.applied)
        };
        let publications: Vec<Arc<Publication>> = batch
            .into_iter()
            .map(|fed| match fed {
                Fed::Stored(stored, credit) => {
                    after = stored.id.cursor();
                    Publication::stored(stored, credit)
                }
                Fed::Volatile(message, ts, credit) => {
                    Publication::volatile(message, ts, after, credit)
                }
            })
            .map(Arc::new)
            .collect();
        let shards = self.queues.len();
        let mut for_shard: Vec<Vec<Entry>> = (0..shards).map(|_| Vec::new()).collect();
        let mut marks = vec![false; shards];
        let mut wakers;
        {
            let mut feed = self.feed.lock();
            for publication in &publications {
                marks.fill(false);
                feed.interested(&publication.message().targets, &mut marks);
                for (entries, _) in for_shard.iter_mut().zip(&marks).filter(|(_, mark)| **mark) {
                    entries.push(Entry::Publication(publication.clone()));
                }
                if let Some(seq) = publication.seq() {
                    feed.applied = seq;
                }
            }
            wakers = feed.take_reached();
            for (queue, entries) in self.queues.iter().zip(for_shard) {
                if !entries.is_empty() {
                    wakers.extend(queue.push(entries));
                }
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Queues one entry for every shard. Called under the feed lock.
    fn queue_all(&self, entry: impl Fn() -> Entry, wakers: &mut Vec<Waker>) {
        for queue in &self.queues {
            wakers.extend(queue.push([entry()]));
        }
    }

    /// Attaches a subscriber and returns at once: O(1) under the feed lock.
    ///
    /// # Errors
    /// Where the permit is not for what `start` asks (hearing what was needs
    /// [`Verb::Read`]), for more than [`MAX_KEYS`] keys, and once the hub shuts
    /// down; polls are still answered then, at once.
    pub fn attach(self: &Arc<Self>, mut attach: Attach) -> Result<Subscriber, Refusal> {
        let fits = match attach.permit.verb() {
            Verb::Read => true,
            Verb::Subscribe => attach.start == Start::Latest,
            Verb::Publish => false,
        };
        if !fits {
            return Err(Refusal::new(
                Code::Forbidden,
                "the permit is for something else",
            ));
        }
        if attach.permit.keys().len() > MAX_KEYS {
            return Err(membership::too_many());
        }
        let id = self.next_id.fetch_add(1, Relaxed);
        let shard = attach.shard.map_or(id, |ShardId(shard)| shard as u64);
        let shard = (shard % self.queues.len() as u64) as usize;
        let conn = attach.conn.clone();
        let keys = attach.permit.keys().clone();
        for key in &keys {
            self.broker.listening(key, true);
        }
        let waker = {
            let mut feed = self.feed.lock();
            let taken = match (feed.taking, &mut attach.kind) {
                (Taking::All, _) => true,
                (Taking::Polls, Kind::Once { deadline, .. }) => {
                    *deadline = Duration::ZERO;
                    true
                }
                (Taking::Polls, Kind::Stream) | (Taking::Nobody, _) => false,
            };
            if !taken {
                drop(feed);
                keys.iter()
                    .for_each(|key| self.broker.listening(key, false));
                return Err(Refusal::new(
                    Code::Unavailable,
                    "the server is shutting down",
                ));
            }
            let at = feed.applied;
            if !mutant::active("skip-handover") {
                for key in &keys {
                    feed.listen(key, shard, self.queues.len());
                }
            }
            self.queues[shard].push([Entry::Subscribe {
                id,
                attach: Box::new(attach),
                at,
            }])
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(Subscriber {
            hub: self.clone(),
            shard,
            id,
            conn,
        })
    }

    /// The newest seq handed to this node's interested shard queues.
    pub fn applied(&self) -> Seq {
        self.feed.lock().applied
    }

    /// The lineage as the feed told it.
    pub fn lineage(&self) -> Arc<Lineage> {
        self.feed.lock().lineage.clone()
    }

    /// Asks every live permit again, after the door's rules were replaced; who
    /// no longer may is let go with [`End::Refused`].
    pub fn recheck(&self) {
        self.tell_all(|| Entry::Recheck);
    }

    /// Lets all subscribers of somebody go, at once and without their unsent bytes;
    /// who comes back is let in as ever.
    pub fn dismiss(&self, whom: Whom, end: End) {
        let told = Arc::new((whom, end));
        self.tell_all(|| Entry::Dismiss(told.clone()));
    }

    /// Lets everyone go and takes no new streams. All are told (`$drain`); polls
    /// are answered at once; streams go on and end one after the other, evenly
    /// over `window`, each with [`End::Shutdown`]. Zero: all at once. Called
    /// again, the new window counts for who is left.
    pub fn shutdown(&self, window: Duration) {
        let mut wakers = Vec::new();
        {
            let mut feed = self.feed.lock();
            if feed.taking == Taking::All {
                feed.taking = Taking::Polls;
            }
            self.queue_all(|| Entry::Drain(window), &mut wakers);
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes nobody any more and forgets what is queued: for a hub whose shards
    /// are no longer driven, so that nobody waits for them.
    pub fn close(&self) {
        let mut forgotten = Vec::new();
        {
            let mut feed = self.feed.lock();
            feed.taking = Taking::Nobody;
            forgotten.extend(self.queues.iter().map(|queue| queue.clear()));
        }
        // Dropped outside the lock: writers hear of it.
        drop(forgotten);
    }

    fn tell_all(&self, entry: impl Fn() -> Entry) {
        for queue in &self.queues {
            queue.send(entry());
        }
    }

    /// The figures of this node, now.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats {
            credit_out: self.credits.out(),
            ..Stats::default()
        };
        self.shard_stats
            .iter()
            .for_each(|shard| shard.add_to(&mut sum));
        sum.queued = self.queues.iter().map(|queue| queue.len()).sum();
        sum
    }

    /// Keys that anyone on this node listens to.
    pub fn keys(&self) -> usize {
        self.feed.lock().keys()
    }
}
