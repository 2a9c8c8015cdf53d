//! A message on its way to subscribers, with the bytes it was encoded to.

use std::sync::Arc;

use crate::sync::Mutex;
use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;

use super::encode::{Delivery, Encoder, FormId};
use crate::credit::Credit;
use crate::cursor::{Cursor, Seq};
use crate::message::{Message, Stored};

/// What a publication carries.
enum Content {
    Stored(Arc<Stored>),
    /// With its time, and the place of the last message before it in the order of
    /// the feed. Whoever hears it live has popped all up to there, in any shard,
    /// while a shard's own position may be older: it counts only what its own
    /// subscribers were to hear, and a client's cursor must not go back.
    Volatile(Arc<Message>, u64, Cursor),
}

/// What one form made of it, for one target; none where the encoder failed.
type Encoded = (FormId, u8, Option<Bytes>);

/// A message while queues hold it: encoded once per form, and paid for until
/// the slowest shard has passed it.
pub(super) struct Publication {
    content: Content,
    _credit: Option<Credit>,
    forms: Mutex<SmallVec<[Encoded; 2]>>,
}

impl Publication {
    pub(super) fn stored(stored: Arc<Stored>, credit: Option<Credit>) -> Self {
        Self {
            content: Content::Stored(stored),
            _credit: credit,
            forms: Mutex::default(),
        }
    }

    pub(super) fn volatile(
        message: Arc<Message>,
        ts: u64,
        after: Cursor,
        credit: Option<Credit>,
    ) -> Self {
        Self {
            content: Content::Volatile(message, ts, after),
            _credit: credit,
            forms: Mutex::default(),
        }
    }

    /// Its place; none where it is volatile.
    pub(super) fn seq(&self) -> Option<Seq> {
        match &self.content {
            Content::Stored(stored) => Some(stored.seq()),
            Content::Volatile(..) => None,
        }
    }

    /// Up to where everything has been popped with it: its own place, or the one
    /// before it.
    pub(super) fn place(&self) -> Seq {
        match &self.content {
            Content::Stored(stored) => stored.seq(),
            Content::Volatile(_, _, after) => after.seq(),
        }
    }

    pub(super) fn message(&self) -> &Message {
        match &self.content {
            Content::Stored(stored) => &stored.message,
            Content::Volatile(message, ..) => message,
        }
    }

    /// The finished unit for those who hold target `target`; none where the
    /// encoder failed on it.
    pub(super) fn encoded(
        &self,
        form: FormId,
        target: usize,
        encoder: &dyn Encoder,
    ) -> Option<Bytes> {
        let mut forms = self.forms.lock();
        let known = forms
            .iter()
            .find(|(f, t, _)| *f == form && usize::from(*t) == target);
        if let Some((_, _, unit)) = known {
            return unit.clone();
        }
        let (id, ts, cursor) = match &self.content {
            Content::Stored(stored) => (Some(stored.id), stored.ts, stored.id.cursor()),
            Content::Volatile(_, ts, after) => (None, *ts, *after),
        };
        let message = self.message();
        let unit = message.targets.get(target).and_then(|channel| {
            let delivery = Delivery {
                id,
                ts,
                cursor,
                channel,
                message,
            };
            encode(encoder, delivery)
        });
        forms.push((form, target as u8, unit.clone()));
        unit
    }
}

/// Runs the encoder; a panic in it costs this message's readers, not the shard.
fn encode(encoder: &dyn Encoder, delivery: Delivery<'_>) -> Option<Bytes> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| encoder.message(delivery))).ok()
}

type CacheKey = (Seq, FormId, u8);

/// What catch-up encoded lately: in a reconnect storm thousands want the same.
pub(super) struct EncodeCache {
    units: HashMap<CacheKey, Bytes, foldhash::fast::RandomState>,
    order: VecDeque<CacheKey>,
    bytes: usize,
}

impl EncodeCache {
    /// Bytes kept per shard.
    const LIMIT: usize = 1024 * 1024;

    pub(super) fn new() -> Self {
        Self {
            units: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The finished unit of a stored message; none where the encoder failed.
    pub(super) fn encoded(
        &mut self,
        stored: &Stored,
        form: FormId,
        target: usize,
        encoder: &dyn Encoder,
    ) -> Option<Bytes> {
        let key = (stored.seq(), form, target as u8);
        if let Some(unit) = self.units.get(&key) {
            return Some(unit.clone());
        }
        let delivery = Delivery {
            id: Some(stored.id),
            ts: stored.ts,
            cursor: stored.id.cursor(),
            channel: stored.message.targets.get(target)?,
            message: &stored.message,
        };
        let unit = encode(encoder, delivery)?;
        self.bytes += unit.len();
        self.units.insert(key, unit.clone());
        self.order.push_back(key);
        while self.bytes > Self::LIMIT {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(unit) = self.units.remove(&oldest) {
                self.bytes -= unit.len();
            }
        }
        Some(unit)
    }

    /// Forgets all: after a cut a seq may name another message.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}
