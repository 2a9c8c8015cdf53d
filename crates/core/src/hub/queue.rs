//! A shard's inbox: publications, subscribes and commands in one order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::sync::Mutex;
use bytes::Bytes;

use super::attach::Attach;
use super::encode::End;
use super::look::Look;
use super::publication::Publication;
use crate::broker::{ReadReply, Tail, Top, Unavailable};
use crate::cursor::{Cursor, Epoch, Seq};
use crate::key::SocketId;
use crate::message::Keys;
use crate::policy::{Permit, Subject};

/// A subscriber's number: never used twice, so a late command for one that is
/// gone meets nobody.
pub(super) type SubId = u64;

/// Makes a reply for a cursor.
pub(super) type Emit = Box<dyn FnOnce(Cursor) -> Bytes + Send>;

/// What a shard is told, in order.
pub(super) enum Entry {
    /// A message, live.
    Publication(Arc<Publication>),
    /// A new subscriber; `at` is what this node had applied in that instant.
    Subscribe {
        id: SubId,
        attach: Box<Attach>,
        at: Seq,
    },
    /// A subscriber joins further keys; `at` is what this node had applied in that
    /// instant.
    Join {
        id: SubId,
        permit: Box<Permit>,
        at: Seq,
    },
    /// A new epoch; what was given at `first` or after is not kept.
    Cut { epoch: Epoch, first: Seq },
    /// This node missed messages up to there.
    Lost { through: Seq },
    /// Let these go.
    Dismiss(Arc<(Whom, End)>),
    /// Say who is here.
    Look(Box<Look>),
    /// Ask every permit again.
    Recheck,
    /// Tell everyone, answer polls, and let streams go one after the other over
    /// this time.
    Drain(Duration),
    /// For one subscriber.
    Command(SubId, Command),
}

/// Whose subscribers are let go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    /// Those of a user.
    User {
        /// `iss` of the token; none is a token without one.
        issuer: Option<Arc<str>>,
        /// `sub`.
        id: Arc<str>,
    },
    /// Those of the API key of this name.
    Key(Arc<str>),
    /// The one that `$ready` named so.
    Connection(SocketId),
}

impl Whom {
    /// Whether a subscriber is meant.
    pub(super) fn is(&self, subject: &Subject, conn: &SocketId) -> bool {
        match (self, subject) {
            (Self::User { issuer, id }, Subject::User(user)) => {
                *id == user.id && *issuer == user.issuer
            }
            (Self::Key(name), Subject::Key(of)) => name == of,
            (Self::Connection(one), _) => one == conn,
            (Self::User { .. } | Self::Key(_), _) => false,
        }
    }
}

/// What one subscriber's side says.
pub(super) enum Command {
    /// The peer takes bytes again.
    Writable,
    /// A reply of the connection's own.
    Send(Bytes),
    /// A reply that says how far the subscriber has been served.
    Emit(Emit),
    /// What was to come before the first message is sent.
    Greeted,
    /// It gives up these keys.
    Leave(Keys),
    /// An answer to a ping; only the latest is kept.
    Pong(Bytes),
    /// It goes on by another permit, to the same keys.
    Renew(Box<Permit>),
    /// Let it go.
    End(End),
    /// The broker's top, for a cursor that this node alone cannot judge; the
    /// number is the shard's generation when it was asked for.
    Top(u64, Result<Top, Unavailable>),
    /// Where the tail of these keys begins.
    Tail(u64, Keys, Result<Tail, Unavailable>),
    /// A chunk read; the number is the shard's generation when it was asked for.
    Read(u64, Result<ReadReply, Unavailable>),
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    waker: Option<Waker>,
}

/// The inbox. Its lock is held for a push or a swap only.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

impl Queue {
    /// Adds entries; the waker to call, once all locks are released.
    #[must_use]
    pub(super) fn push(&self, entries: impl IntoIterator<Item = Entry>) -> Option<Waker> {
        let mut state = self.state.lock();
        state.entries.extend(entries);
        state.waker.take()
    }

    /// Adds one entry and wakes. Not to be called under a lock.
    pub(super) fn send(&self, entry: Entry) {
        if let Some(waker) = self.push([entry]) {
            waker.wake();
        }
    }

    /// Swaps everything queued into `inbox`, which is empty.
    pub(super) fn take(&self, inbox: &mut VecDeque<Entry>) {
        std::mem::swap(&mut self.state.lock().entries, inbox);
    }

    /// Leaves a waker for the next push; true where something is queued.
    pub(super) fn register(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if !state
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            state.waker = Some(waker.clone());
        }
        !state.entries.is_empty()
    }

    /// Takes what is queued away, to be dropped.
    pub(super) fn clear(&self) -> VecDeque<Entry> {
        std::mem::take(&mut self.state.lock().entries)
    }

    /// Entries waiting.
    pub(super) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }
}
