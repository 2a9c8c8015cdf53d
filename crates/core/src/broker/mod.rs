//! Where messages are ordered and kept.
//!
//! A broker partition has one order. [`Broker::append`] assigns the next seq
//! and stores the message as strongly as the broker promises;
//! [`Broker::follow`] then delivers it in seq order, and it is the only way by
//! which publications, local or remote, reach the hub; the acknowledgement may
//! come before or after that. [`Broker::read`] gives what was, and says what
//! it can no longer give.
//!
//! Everything is asynchronous from the start, so that a broker behind a
//! network is no rewrite. No method blocks.

mod chaos;
#[cfg(test)]
mod contract;
mod memory;
mod store;
#[cfg(test)]
mod testing;

pub use chaos::{ChaosBroker, ChaosCounts, ChaosEvent, Faults};
pub use memory::MemoryBroker;
pub use store::Usage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::credit::Credit;
use crate::cursor::{Epoch, GapReason, Lineage, MessageId, Seq};
use crate::key::Key;
use crate::message::{Keys, Message, Stored};

/// A future that a broker gives out.
pub type BrokerFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One message on its way in.
#[derive(Debug)]
pub struct Append {
    /// What was published.
    pub message: Message,
    /// Takes a place in the order of delivery, but no seq and no id; not kept.
    pub volatile: bool,
    /// Delivered at most once under this key.
    pub idempotency: Option<Idempotency>,
    /// What the publisher paid; goes along to the feed, and is returned when
    /// the slowest shard has passed the message. Dropped by brokers that feed
    /// from elsewhere.
    pub credit: Option<Credit>,
}

/// Who said under which key that a message is the same one. The scope is
/// (publisher, the targets' namespace, key); a fingerprint over targets,
/// except, event, key, kind and body decides whether it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idempotency {
    /// [`crate::policy::Subject::publisher`].
    pub publisher: Arc<str>,
    /// 1–255 bytes.
    pub key: Arc<str>,
}

/// What became of an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// Kept under this id.
    Kept {
        /// Its name, equal on every node.
        id: MessageId,
        /// True where an earlier append under the same idempotency key is meant.
        duplicate: bool,
    },
    /// Volatile: delivered to whoever is there, no id.
    Volatile,
}

/// Why an append has no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendError {
    /// The idempotency key was used for something else.
    Mismatch,
    /// Too many idempotency keys; no earlier one is forgotten for a new one.
    KeysFull,
    /// Not kept, and certain of it.
    Unavailable,
    /// May or may not have been kept. A retry under the same idempotency key
    /// is decided by the broker's table.
    OutcomeUnknown,
}

/// The broker cannot be reached now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable;

/// What to read: the union of some channels, after a seq, up to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    /// Which channels' logs.
    pub channels: Keys,
    /// Messages after this.
    pub after: Seq,
    /// And not beyond this.
    pub upto: Seq,
    /// At most so many.
    pub max_messages: usize,
    /// And so many bytes by [`Message::cost`], but at least one message.
    pub max_bytes: usize,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadReply {
    /// The union in seq order, each message once.
    pub messages: Vec<Arc<Stored>>,
    /// Nothing up to here is missing but what `lost` names: where the read ran
    /// dry, `upto` or the store's top, whichever is less; else the last seq
    /// returned.
    pub complete_through: Seq,
    /// The channels whose `lost_through` is beyond `after`.
    pub lost: Vec<Loss>,
}

/// A channel that no longer has everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Which.
    pub channel: Key,
    /// The newest message ever removed from it.
    pub lost_through: Seq,
    /// Why.
    pub reason: GapReason,
}

/// Where the last messages of some channels begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    /// For each channel, in the order asked: the seq just before its own Nth
    /// last message held; with fewer than N held, just before the oldest held
    /// but never below its `lost_through`; with none held, its `lost_through`.
    pub floors: Vec<Seq>,
    /// The seq just before the Nth last message of the union held (just before
    /// its oldest where it holds fewer); `None` where nothing is held.
    pub union: Option<Seq>,
}

/// What is held of one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Messages.
    pub messages: usize,
    /// Their bytes, as history counts them.
    pub bytes: usize,
    /// The newest of them.
    pub last: Option<MessageId>,
}

/// What the broker, not this node, knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Top {
    /// The newest committed seq.
    pub seq: Seq,
    /// All epochs.
    pub lineage: Lineage,
}

/// One step of the feed.
#[derive(Debug)]
pub enum FeedEvent {
    /// Committed messages, contiguous in seq with all that came before.
    Batch(Vec<Fed>),
    /// A new epoch: what this feed gave at `first` or after is not kept, and
    /// the next message has seq `first`.
    Cut {
        /// The epoch that begins.
        epoch: Epoch,
        /// Its first seq.
        first: Seq,
    },
    /// Messages up to `through` will never come by this feed nor by a read.
    Lost {
        /// The last one lost.
        through: Seq,
    },
}

/// One message of a batch.
#[derive(Debug)]
pub enum Fed {
    /// A message with a seq.
    Stored(Arc<Stored>, Option<Credit>),
    /// A volatile message, in its place between the others; with its `ts`.
    Volatile(Arc<Message>, u64, Option<Credit>),
}

/// The feed of one node: contiguous and committed.
pub trait Feed: Send {
    /// The next step; keeps the waker of the last call where there is none.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<FeedEvent>;
}

/// Orders and keeps messages. See the module's page for the contract.
pub trait Broker: Send + Sync + 'static {
    /// Appends in order; one future for each. Pipelined: the messages of one
    /// sequential caller keep their order, whether or not the futures are
    /// polled. Dropping a future does not take the append back.
    fn append(&self, batch: Vec<Append>) -> Vec<BrokerFuture<Result<Appended, AppendError>>>;

    /// The whole feed of the partition after `from`.
    fn follow(&self, from: Seq) -> Box<dyn Feed>;

    /// Reads what was kept.
    fn read(&self, request: ReadRequest) -> BrokerFuture<Result<ReadReply, Unavailable>>;

    /// Finds where the last `n` messages begin (`usize::MAX`: everything held).
    fn tail(&self, channels: Keys, n: usize) -> BrokerFuture<Result<Tail, Unavailable>>;

    /// How much is held of each of `channels`, in their order. For operators, who
    /// ask for a few at a time.
    fn held(&self, channels: Vec<Key>) -> BrokerFuture<Result<Vec<Held>, Unavailable>>;

    /// The authoritative top and lineage.
    fn top(&self) -> BrokerFuture<Result<Top, Unavailable>>;

    /// What this node knows of the lineage and the newest seq at its start;
    /// the feed brings every later change.
    fn start(&self) -> Top;

    /// Tells that this node has (or no longer has) subscribers of a channel:
    /// its record is not forgotten while it has.
    fn listening(&self, channel: &Key, on: bool);
}
