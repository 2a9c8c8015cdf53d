//! Which idempotency keys were used, by whom, for what, and what came of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use sha2::{Digest, Sha256};

use crate::broker::{AppendError, Appended, Idempotency};
use crate::clock::Instant;
use crate::cursor::Seq;
use crate::key::{Key, Namespace};
use crate::limits::Limits;
use crate::message::{Body, Message};

/// SHA-256 over targets, except, event, key, kind and body, each with its
/// length in front.
///
/// A cryptographic hash, because one publisher (a backend's API key) may carry
/// the words of many strangers: with a hash that can be made to collide, one of
/// them could have the message of another taken for a duplicate and dropped.
/// Keeping the messages themselves to compare would cost 64 KiB a key. It is
/// made before the broker's lock is taken, and for keyed messages alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint([u8; 32]);

/// A key in use by a message on its way in.
#[derive(Debug)]
pub(crate) struct Keyed {
    scope: Scope,
    fingerprint: Fingerprint,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Scope {
    publisher: Arc<str>,
    namespace: Namespace,
    key: Arc<str>,
}

struct Used {
    fingerprint: Fingerprint,
    outcome: Appended,
}

/// The table. At a limit a new key is refused; none is forgotten before its time.
pub(super) struct Table {
    keys: usize,
    per_publisher: usize,
    ttl: Duration,
    used: HashMap<Arc<Scope>, Used, FixedState>,
    publishers: HashMap<Arc<str>, usize, FixedState>,
    /// Each key once, by age: every one lives equally long.
    order: VecDeque<(Instant, Arc<Scope>)>,
}

impl Keyed {
    /// What the table needs to know. A message without targets has the default
    /// namespace for its scope.
    pub(crate) fn new(idempotency: &Idempotency, message: &Message) -> Self {
        let namespace = message
            .targets
            .first()
            .map_or_else(Namespace::root, |key| key.namespace().clone());
        Self {
            scope: Scope {
                publisher: idempotency.publisher.clone(),
                namespace,
                key: idempotency.key.clone(),
            },
            fingerprint: Fingerprint::of(message),
        }
    }
}

impl Fingerprint {
    fn of(message: &Message) -> Self {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for keys in [&message.targets[..], &message.except[..]] {
            field(&(keys.len() as u64).to_le_bytes());
            for key in keys {
                field(key.namespace().as_str().as_bytes());
                match key {
                    Key::Channel(_, name) => {
                        field(b"channel");
                        field(name.as_str().as_bytes());
                    }
                    Key::All(_) => field(b"all"),
                    Key::Socket(_, id) => {
                        field(b"socket");
                        field(id.as_str().as_bytes());
                    }
                }
            }
        }
        field(message.event.as_str().as_bytes());
        match &message.key {
            Some(key) => {
                field(b"key");
                field(key.as_bytes());
            }
            None => field(b""),
        }
        field(message.body.kind().as_bytes());
        match &message.body {
            Body::Json(bytes) | Body::Text(bytes) | Body::Binary(bytes) => field(bytes),
            Body::Args { json, attachments } => {
                field(json);
                field(&(attachments.len() as u64).to_le_bytes());
                attachments.iter().for_each(|bytes| field(bytes));
            }
        }
        Self(hash.finalize().into())
    }
}

impl Table {
    pub(super) fn new(limits: &Limits, seed: u64) -> Self {
        Self {
            keys: limits.idempotency_keys,
            per_publisher: limits.idempotency_per_publisher,
            ttl: limits.idempotency_ttl,
            used: HashMap::with_hasher(FixedState::with_seed(seed.rotate_left(17))),
            publishers: HashMap::with_hasher(FixedState::with_seed(seed.rotate_left(31))),
            order: VecDeque::new(),
        }
    }

    /// Keys remembered.
    pub(super) fn len(&self) -> usize {
        self.used.len()
    }

    /// Decides before anything is appended: none where the key is new and there
    /// is room for it, else what the earlier append came to, as a duplicate.
    ///
    /// # Errors
    /// [`AppendError::Mismatch`], [`AppendError::KeysFull`].
    pub(super) fn check(
        &mut self,
        now: Instant,
        keyed: &Keyed,
    ) -> Result<Option<Appended>, AppendError> {
        self.expire(now);
        if let Some(used) = self.used.get(&keyed.scope) {
            return if used.fingerprint == keyed.fingerprint {
                Ok(Some(used.outcome.as_duplicate()))
            } else {
                Err(AppendError::Mismatch)
            };
        }
        let of_publisher = self.publishers.get(&keyed.scope.publisher);
        if self.used.len() >= self.keys || of_publisher.copied().unwrap_or(0) >= self.per_publisher
        {
            return Err(AppendError::KeysFull);
        }
        Ok(None)
    }

    /// Remembers what came of a message, in the same step as its append.
    pub(super) fn remember(&mut self, now: Instant, keyed: Keyed, outcome: Appended) {
        let scope = Arc::new(keyed.scope);
        let publisher = scope.publisher.clone();
        *self.publishers.entry(publisher).or_insert(0) += 1;
        self.order.push_back((now, scope.clone()));
        let used = Used {
            fingerprint: keyed.fingerprint,
            outcome,
        };
        self.used.insert(scope, used);
    }

    /// Forgets the keys of messages at `first` or after: a retry appends again.
    pub(super) fn cut(&mut self, first: Seq) {
        let cut: Vec<_> = self
            .used
            .iter()
            .filter(
                |(_, used)| matches!(used.outcome, Appended::Kept { id, .. } if id.seq >= first),
            )
            .map(|(scope, _)| scope.clone())
            .collect();
        for scope in &cut {
            self.forget(scope);
        }
        if !cut.is_empty() {
            let used = &self.used;
            self.order.retain(|(_, scope)| used.contains_key(scope));
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((at, scope)) = self.order.front() {
            if now.saturating_sub(*at) < self.ttl {
                break;
            }
            let scope = scope.clone();
            self.order.pop_front();
            self.forget(&scope);
        }
    }

    fn forget(&mut self, scope: &Arc<Scope>) {
        if self.used.remove(scope).is_none() {
            return;
        }
        if let Some(count) = self.publishers.get_mut(&scope.publisher) {
            *count -= 1;
            if *count == 0 {
                self.publishers.remove(&scope.publisher);
            }
        }
    }
}

impl Appended {
    fn as_duplicate(self) -> Self {
        match self {
            Self::Kept { id, .. } => Self::Kept {
                id,
                duplicate: true,
            },
            Self::Volatile => Self::Volatile,
        }
    }
}
