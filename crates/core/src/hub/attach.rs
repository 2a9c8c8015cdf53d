//! How a subscriber begins.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::encode::FormId;
use super::handle::ShardId;
use super::writer::Writer;
use crate::cursor::{Cursor, CursorText};
use crate::key::SocketId;
use crate::policy::Permit;

/// Where a stream starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Now.
    Latest,
    /// At the oldest message held.
    Earliest,
    /// With the last N of each channel.
    Rewind(usize),
    /// With the newest N of the union: history without a cursor.
    Newest(usize),
    /// After what the client says. Never refused: where it cannot be, `$gap`.
    After(CursorText),
}

/// What kind of listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Goes on until it ends.
    Stream,
    /// Ends with the first thing to tell, or at `deadline` after attach with an
    /// empty answer: a long poll; with a deadline of zero, history.
    Once {
        /// How long it may wait.
        deadline: Duration,
        /// At most so many messages in the answer.
        limit: usize,
    },
}

/// How a connection shows that it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// After so long without other traffic the form's keep-alive is written.
    pub interval: Duration,
    /// Nothing heard nor written for `interval` + this: closed. None: the form
    /// has no answer to wait for (SSE), the kernel's time-out decides.
    pub timeout: Option<Duration>,
}

/// A request to listen. What it may hear, the permit says: its verb is
/// `Subscribe` for [`Start::Latest`], else `Read`. Without keys it hears nothing
/// but replies of its own and signs of life.
pub struct Attach {
    /// The right to do so; its keys are the channels, in the order of the URL.
    pub permit: Permit,
    /// Where it starts.
    pub start: Start,
    /// For a resume ([`Start::After`]), per key of the permit: it was joined there,
    /// so its messages up to that place are not owed, and losses among them are no
    /// gap. One of an unknown epoch, or none for a key: all after the start is owed.
    /// A node that lags behind such a place may give what stands between.
    pub since: SmallVec<[Cursor; 1]>,
    /// In which form.
    pub form: FormId,
    /// Goes out before everything else: a response head. Empty: nothing.
    pub preface: Bytes,
    /// Stream or one answer.
    pub kind: Kind,
    /// The connection's public id.
    pub conn: SocketId,
    /// Where the bytes go.
    pub writer: Box<dyn Writer>,
    /// How long at most messages wait behind the opening for what the connection's own
    /// side says first, up to [`Subscriber::greeted`](super::Subscriber::greeted). Until
    /// then it is behind: nothing is gathered for it, what is volatile is not for it,
    /// and it waits no longer than the node's recent messages reach back to where it
    /// began. Replies wait for the opening. Zero: nothing waits. For streams alone.
    pub greeting: Duration,
    /// Signs of life; none for polls.
    pub heartbeat: Option<Heartbeat>,
    /// In which shard: that of another subscriber, whose writer shares this one's
    /// connection. None: in any.
    pub shard: Option<ShardId>,
}
