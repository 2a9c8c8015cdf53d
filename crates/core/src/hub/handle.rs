//! The connection's side of a subscriber.

use std::sync::Arc;

use bytes::Bytes;

use super::Hub;
use super::encode::End;
use super::queue::{Command, Entry, SubId};
use crate::cursor::Cursor;
use crate::key::SocketId;
use crate::message::Keys;
use crate::policy::Permit;

/// Which shard: for subscribers whose writers share one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardId(pub(super) usize);

/// An attached subscriber. Everything said here is a command in its shard's
/// queue; the shard alone writes. Dropping it lets the subscriber go.
pub struct Subscriber {
    pub(super) hub: Arc<Hub>,
    pub(super) shard: usize,
    pub(super) id: SubId,
    pub(super) conn: SocketId,
}

impl Subscriber {
    /// The peer takes bytes again.
    pub fn writable(&self) {
        self.command(Command::Writable);
    }

    /// Sends a reply of the connection's own (`$ack`, `$error`), a finished
    /// unit, after everything already queued. Replies count against the
    /// outbox; at twice its limit the subscriber ends with [`End::Slow`].
    pub fn send(&self, unit: Bytes) {
        self.command(Command::Send(unit));
    }

    /// Sends a reply as [`Subscriber::send`] does, made when its turn has come, of
    /// the cursor up to which the subscriber has been served before it. Where that
    /// is not decided yet, it waits for the stream's opening, and what is sent
    /// after it too. A panic in `unit` ends the subscriber with [`End::Fault`].
    /// While it waits it counts for 4 KiB.
    pub fn emit(&self, unit: Box<dyn FnOnce(Cursor) -> Bytes + Send>) {
        self.command(Command::Emit(unit));
    }

    /// All is sent that was to come before the first message: from here on messages do.
    /// See [`Attach::greeting`](super::Attach::greeting).
    pub fn greeted(&self) {
        self.command(Command::Greeted);
    }

    /// Sends an answer to a ping. While the peer does not read, only the latest
    /// is kept.
    pub fn pong(&self, unit: Bytes) {
        self.command(Command::Pong(unit));
    }

    /// Hears further keys too, everything after the cursor returned; those that it
    /// has already, as before. O(keys) under the feed lock. The permit is of the
    /// same holder and for the same verb as that of attach.
    ///
    /// Who came with a cursor ahead of this node hears them, as all else, from that
    /// cursor on. Refused by the door meanwhile, the subscriber ends.
    ///
    /// With more than [`MAX_KEYS`](crate::limits::MAX_KEYS) keys in all it ends with
    /// `too_many_channels`, so ask before. Polls join nothing.
    pub fn join(&self, permit: Permit) -> Cursor {
        self.hub.join(self.shard, self.id, permit)
    }

    /// Hears these keys no more: nothing that is published after, and nothing that
    /// was to be read for it yet. What stands in its outbox goes out.
    pub fn leave(&self, keys: Keys) {
        self.command(Command::Leave(keys));
    }

    /// Goes on by another permit, as when a token was shown that ends later. It is
    /// for the same keys, or is not taken.
    pub fn renew(&self, permit: Permit) {
        self.command(Command::Renew(Box::new(permit)));
    }

    /// Writes the last words and lets the subscriber go; the writer hears of it.
    pub fn end(&self, end: End) {
        self.command(Command::End(end));
    }

    /// The connection's public id.
    pub fn conn(&self) -> &SocketId {
        &self.conn
    }

    /// Its shard, for another subscriber beside it.
    pub fn shard(&self) -> ShardId {
        ShardId(self.shard)
    }

    fn command(&self, command: Command) {
        self.hub.queues[self.shard].send(Entry::Command(self.id, command));
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Dropped by a panic of the connection's own task: its peer is told.
        let end = match std::thread::panicking() {
            true => End::Fault,
            false => End::Gone,
        };
        self.command(Command::End(end));
    }
}
