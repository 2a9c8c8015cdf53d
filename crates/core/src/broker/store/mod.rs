//! The log behind the brokers of this process: one order, a log per channel,
//! what each channel has lost, and which idempotency keys were used.
//!
//! Pure and synchronous: no lock and no clock; what time it is and which rules
//! hold is an argument ([`Moment`]). What it promises:
//!
//! - A message is stored once, however many channels it goes to.
//! - Every log is bounded by its namespace's rules (messages, bytes, age); all
//!   logs and records together by `log_bytes`, at which the oldest of all goes
//!   first; a message that alone is larger than a bound is delivered and not
//!   kept.
//! - Records are bounded by `channel_records`: past it the least recently
//!   appended one without listener is forgotten. Records with listeners stay;
//!   the limits on subscriptions bound them.
//! - Whatever is removed raises a `lost_through` that no reader of the channel
//!   can miss: a read names every channel that lost something after its cursor.
//!   Every message still held is newer than what its channel has lost.
//! - An append does a bounded amount of work beside what earlier appends have
//!   paid for: each message is removed once, and two further records are looked
//!   at for messages that grew too old.

mod bounds;
mod chain;
mod idempotency;
mod read;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

pub(crate) use idempotency::Keyed;

use self::chain::Item;
use self::idempotency::Table;
use self::records::{Record, Records};
use super::{AppendError, Appended, Top};
use crate::clock::Instant;
use crate::cursor::{Epoch, GapReason, Lineage, MessageId, Seq};
use crate::key::{Key, Namespace};
use crate::limits::Limits;
use crate::message::{Message, Stored};
use crate::mutant;
use crate::namespace::{History, Namespaces};

/// Namespaces without history that have a `lost_through` of their own; the ones
/// past it share one.
const OFF_NAMESPACES: usize = 1_024;

/// Bytes that a message counts for against `log_bytes` beside its own
/// [`Stored::cost`]: its place in the order of all, what its allocations waste.
const MESSAGE_COST: usize = 96;

/// Records looked at for old messages with each append.
const SWEEP: usize = 2;

/// When something happens and under which rules.
pub(crate) struct Moment {
    /// Never before that of an earlier call; if it is, the earlier one holds.
    pub(crate) now: Instant,
    /// Milliseconds since 1970.
    pub(crate) ts: u64,
    /// The rules in force.
    pub(crate) namespaces: Arc<Namespaces>,
}

/// A message on its way in.
pub(crate) struct Incoming {
    pub(crate) message: Message,
    pub(crate) volatile: bool,
    pub(crate) keyed: Option<Keyed>,
}

/// What came of it.
pub(crate) struct Outcome {
    /// What the publisher is told.
    pub(crate) answer: Result<Appended, AppendError>,
    /// What the feed brings, if anything.
    pub(crate) fed: Option<Ordered>,
}

/// A message that has its place in the order.
pub(crate) enum Ordered {
    Stored(Arc<Stored>),
    Volatile(Arc<Message>, u64),
}

/// What was removed, to be dropped outside the broker's lock.
#[derive(Default)]
pub(crate) struct Trash {
    messages: Vec<Arc<Stored>>,
    records: Vec<Record>,
}

/// What was removed, for a test's oracle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Removal {
    /// A channel lost its messages through this one.
    Trimmed(Key, Seq),
    /// A channel's record, whose newest message was this one.
    Evicted(Key, Seq),
}

/// How much a store holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Bytes of messages and records, as `log_bytes` counts them.
    pub bytes: usize,
    /// Messages held in at least one log.
    pub messages: usize,
    /// Channel records.
    pub records: usize,
    /// Idempotency keys remembered; bounded by their number alone.
    pub idempotency_keys: usize,
}

/// A message that is in `logs` logs.
struct Live {
    stored: Arc<Stored>,
    logs: usize,
}

/// The store. One owner, one lock around it.
pub(crate) struct Store {
    log_bytes: usize,
    channel_records: usize,
    lineage: Lineage,
    top: Seq,
    now: Instant,
    records: Records,
    /// Every message that is held, by seq: the oldest of all comes first.
    live: BTreeMap<Seq, Live>,
    bytes: usize,
    /// The whole partition's.
    lost: Seq,
    off: HashMap<Namespace, Seq, foldhash::quality::FixedState>,
    off_rest: Seq,
    keys: Table,
    trash: Trash,
    removals: Option<Vec<Removal>>,
}

impl Store {
    /// An empty store under `epoch`, the caller's randomness. `seed` keeps
    /// strangers from choosing names that collide.
    pub(crate) fn new(limits: &Limits, epoch: Epoch, seed: u64) -> Self {
        Self {
            log_bytes: limits.log_bytes,
            channel_records: limits.channel_records,
            lineage: Lineage::fresh(epoch),
            top: Seq(0),
            now: Instant::ZERO,
            records: Records::new(seed),
            live: BTreeMap::new(),
            bytes: 0,
            lost: Seq(0),
            off: HashMap::with_hasher(foldhash::quality::FixedState::with_seed(seed)),
            off_rest: Seq(0),
            keys: Table::new(limits, seed),
            trash: Trash::default(),
            removals: None,
        }
    }

    /// Keeps account of every removal from now on, for [`Self::take_removals`].
    pub(crate) fn note_removals(&mut self) {
        self.removals = Some(Vec::new());
    }

    /// What was removed since the last call, in order.
    pub(crate) fn take_removals(&mut self) -> Vec<Removal> {
        self.removals
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// What the caller drops once it has left its lock.
    #[must_use]
    pub(crate) fn take_trash(&mut self) -> Trash {
        std::mem::take(&mut self.trash)
    }

    /// The newest seq and all epochs.
    pub(crate) fn top(&self) -> Top {
        Top {
            seq: self.top,
            lineage: self.lineage.clone(),
        }
    }

    /// The newest seq.
    pub(crate) fn top_seq(&self) -> Seq {
        self.top
    }

    /// How much is held.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes,
            messages: self.live.len(),
            records: self.records.len(),
            idempotency_keys: self.keys.len(),
        }
    }

    /// Orders and keeps one message, and consults and fills the idempotency
    /// table, as one step.
    pub(crate) fn append(&mut self, moment: &Moment, incoming: Incoming) -> Outcome {
        self.now = self.now.max(moment.now);
        let late = mutant::active("late-idempotency");
        if !late && let Some(answer) = self.known(incoming.keyed.as_ref()) {
            return Outcome { answer, fed: None };
        }
        let (fed, appended) = if incoming.volatile {
            let message = Arc::new(incoming.message);
            (Ordered::Volatile(message, moment.ts), Appended::Volatile)
        } else {
            let stored = self.keep(moment, incoming.message);
            let appended = Appended::Kept {
                id: stored.id,
                duplicate: false,
            };
            (Ordered::Stored(stored), appended)
        };
        let fed = Some(fed);
        if late && let Some(answer) = self.known(incoming.keyed.as_ref()) {
            return Outcome { answer, fed };
        }
        if let Some(keyed) = incoming.keyed {
            self.keys.remember(self.now, keyed, appended);
        }
        Outcome {
            answer: Ok(appended),
            fed,
        }
    }

    /// The answer where the table already knows it.
    fn known(&mut self, keyed: Option<&Keyed>) -> Option<Result<Appended, AppendError>> {
        self.keys.check(self.now, keyed?).transpose()
    }

    fn keep(&mut self, moment: &Moment, message: Message) -> Arc<Stored> {
        let seq = self.top.next();
        let stored = Arc::new(Stored {
            id: MessageId {
                epoch: self.lineage.current(),
                seq,
            },
            ts: moment.ts,
            message,
        });
        self.top = seq;
        let mut logs = 0;
        for key in &stored.message.targets {
            if moment.history(key).is_off() {
                self.pass(key.namespace(), seq);
            } else if self.file(key, &stored) {
                logs += 1;
            }
        }
        if logs > 0 {
            self.bytes += stored.cost() + MESSAGE_COST;
            let live = Live {
                stored: stored.clone(),
                logs,
            };
            self.live.insert(seq, live);
            for key in &stored.message.targets {
                if let Some(at) = self.records.find(key) {
                    self.trim(at, moment);
                }
            }
        }
        for _ in 0..SWEEP {
            if let Some(at) = self.records.sweep() {
                self.trim(at, moment);
            }
        }
        self.enforce();
        stored
    }

    /// Puts a message into a channel's log; false where it is there already.
    fn file(&mut self, key: &Key, stored: &Arc<Stored>) -> bool {
        let at = match self.records.find(key) {
            Some(at) => at,
            None => {
                let at = self.records.insert(key);
                self.bytes += self.records.get(at).map_or(0, Record::cost);
                at
            }
        };
        let Some(record) = self.records.get_mut(at) else {
            return false;
        };
        if record.last >= stored.seq() {
            return false;
        }
        record.chain.push(Item {
            stored: stored.clone(),
            at: self.now,
        });
        self.records.appended(at, stored.seq());
        true
    }

    /// Notes that a namespace without history lets `seq` go.
    fn pass(&mut self, namespace: &Namespace, seq: Seq) {
        if let Some(lost) = self.off.get_mut(namespace) {
            *lost = seq;
        } else if self.off.len() < OFF_NAMESPACES {
            self.off.insert(namespace.clone(), seq);
        } else {
            self.off_rest = seq;
        }
    }

    /// The newest message that a channel lost, and why.
    fn lost_through(
        &self,
        key: &Key,
        record: Option<&Record>,
        history: History,
    ) -> (Seq, GapReason) {
        let own = record.map_or_else(|| self.records.forgotten(key), |record| record.lost);
        let off = self
            .off
            .get(key.namespace())
            .copied()
            .unwrap_or(self.off_rest);
        if self.lost > Seq(0) && self.lost >= own.max(off) {
            (self.lost, GapReason::Lost)
        } else if off > own || history.is_off() {
            (own.max(off), GapReason::HistoryOff)
        } else {
            (own, GapReason::Trimmed)
        }
    }

    /// Messages held, by seq, after one and through another: what a follower
    /// that comes late can still be given.
    pub(crate) fn held(&self, after: Seq, upto: Seq) -> impl Iterator<Item = &Arc<Stored>> {
        let range = if after < upto {
            self.live.range(after.next()..=upto)
        } else {
            self.live.range(..Seq(0))
        };
        range.map(|(_, live)| &live.stored)
    }
}

impl Moment {
    fn history(&self, key: &Key) -> History {
        self.namespaces.rules(key.namespace()).history
    }
}
