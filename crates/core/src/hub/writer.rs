//! How bytes leave: one trait, two modes.
//!
//! In *shard-writes* mode (plain TCP) the shard itself writes to the socket,
//! and nobody else does: one vectored write per turn and connection. In *pull*
//! mode (TLS, HTTP/2, anything that is a stream of a task's own) the shard
//! hands finished units to a bounded outbox and wakes the task.

use std::io::IoSlice;
use std::net::IpAddr;

use bytes::Bytes;

use super::encode::End;
use super::outbox::Outbox;
use crate::clock::Instant;

/// What came of a flush.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    /// Everything was taken.
    All,
    /// The peer takes no more now. The connection's side posts
    /// `Subscriber::writable` when it does.
    Blocked,
    /// The peer is gone.
    Gone,
}

/// What a connection's own side knows of it, for operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// The transport's name; more may come to be.
    pub transport: &'static str,
    /// The address that it is for.
    pub address: Option<IpAddr>,
    /// Bytes handed over that have not left.
    pub pending: usize,
}

/// The shard's hold on one connection.
pub trait Writer: Send {
    /// Hands over as much of `outbox` as the peer takes now.
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed;

    /// Forgets what was handed over and has not left, where there is such: whose it
    /// was may not hear it any more. False where a part of a unit has left, so that
    /// nothing behind it could be understood.
    fn withhold(&mut self) -> bool {
        true
    }

    /// When something was last heard from the peer.
    fn last_heard(&self) -> Instant;

    /// What is known of the connection.
    fn about(&self) -> About {
        About::default()
    }

    /// The last call: the subscriber is gone from the shard. Everything that
    /// could be written has been, `end`'s own words included.
    fn ended(self: Box<Self>, end: End);
}

/// Writes an outbox to anything that takes vectored writes.
///
/// `write` is called until the outbox is empty or it returns an error;
/// `WouldBlock` is [`Flushed::Blocked`], a partial write is tried again (the
/// next call tells), `Ok(0)` and any other error is [`Flushed::Gone`].
pub fn write_all(
    outbox: &mut Outbox,
    mut write: impl FnMut(&[IoSlice<'_>]) -> std::io::Result<usize>,
) -> Flushed {
    const BATCH: usize = 64;
    while !outbox.is_empty() {
        let result = match outbox.single() {
            Some(unit) => write(&[IoSlice::new(unit)]),
            None => {
                let mut slices = [IoSlice::new(&[]); BATCH];
                let count = outbox.slices(&mut slices);
                write(&slices[..count])
            }
        };
        match result {
            Ok(0) => return Flushed::Gone,
            Ok(taken) => outbox.advance(taken),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Flushed::Blocked;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Flushed::Gone,
        }
    }
    Flushed::All
}

/// Moves whole units out of an outbox while `accept` takes them.
pub fn hand_over(
    outbox: &mut Outbox,
    mut has_room: impl FnMut() -> bool,
    mut accept: impl FnMut(Bytes),
) -> Flushed {
    while !outbox.is_empty() {
        if !has_room() {
            return Flushed::Blocked;
        }
        if let Some(unit) = outbox.pop() {
            accept(unit);
        }
    }
    Flushed::All
}
