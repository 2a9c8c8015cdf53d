//! The connection's side of a subscriber.

use std::sync::Arc;

use bytes::Bytes;

use super::Hub;
use super::encode::End;
use super::queue::{Command, Entry, SubId};
use crate::key::SocketId;
use crate::policy::Permit;

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

    /// Sends an answer to a ping. While the peer does not read, only the latest
    /// is kept.
    pub fn pong(&self, unit: Bytes) {
        self.command(Command::Pong(unit));
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
