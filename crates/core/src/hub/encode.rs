//! How the hub gets bytes: encoders, one per wire form, supplied by the server.
//!
//! A publication is encoded once per form and shared by all its subscribers;
//! so an encoder knows nothing of a single connection. What differs from one
//! connection to the next (the response head) is handed in at attach.

use std::time::Duration;

use bytes::Bytes;

use crate::cursor::{Cursor, GapReason, MessageId};
use crate::error::Refusal;
use crate::key::{Key, SocketId};
use crate::message::Message;

/// Which encoder: an index into the list that the hub was made with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FormId(pub u8);

/// One message as a form sees it.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Its name; none on volatile messages.
    pub id: Option<MessageId>,
    /// Milliseconds since 1970 at sequencing.
    pub ts: u64,
    /// Who has it has everything up to here: a stored message's own place; for a
    /// volatile one the place of the last message before it.
    pub cursor: Cursor,
    /// The first of its targets that the stream holds.
    pub channel: &'a Key,
    /// The message.
    pub message: &'a Message,
}

/// Messages of a channel may be missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Which channel.
    pub channel: Key,
    /// Why.
    pub reason: GapReason,
    /// The newest message that is gone, where it is known.
    pub lost_through: Option<Cursor>,
    /// Just past the loss: `after=` this cursor reports no gap for it again.
    pub cursor: Cursor,
    /// In mid-stream, the cursor from before the loss, which goes out as its id;
    /// none in an opening block.
    pub id: Option<Cursor>,
}

/// The opening of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ready<'a> {
    /// The stream gives everything after it.
    pub cursor: Cursor,
    /// What it listens to.
    pub channels: &'a [Key],
    /// The connection's public id.
    pub conn: &'a SocketId,
    /// A number that differs from connection to connection, to jitter with.
    pub jitter: u64,
}

/// Why a subscriber is let go. Encoders write it where their form has a place
/// for it; the connection's task is told too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// A poll was answered: the connection may be used again.
    Answered,
    /// A form without gaps met one: come back after this cursor (close 3010).
    Gap(Cursor),
    /// No write progress for the limit (close 3008).
    Slow,
    /// Nothing heard nor written within interval and time-out (close 3012).
    Silent,
    /// The door no longer lets it.
    Refused(Refusal),
    /// The server asks to come back (close 1012).
    Shutdown,
    /// A fault in serving it (close 1011).
    Fault,
    /// As the connection's own task says: a close code and a reason.
    Close(u16, String),
    /// The peer is gone; nothing more is written.
    Gone,
}

/// A gap in a form's own way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GapForm {
    /// Written in the stream.
    Unit(Bytes),
    /// The form has no place for it: the stream ends with [`End::Gap`].
    Ends,
}

/// Writes one wire form. Every unit is finished: framed, chunked, ready to send.
pub trait Encoder: Send + Sync + 'static {
    /// A message.
    fn message(&self, delivery: Delivery<'_>) -> Bytes;

    /// A `$gap`.
    fn gap(&self, gap: &Gap) -> GapForm;

    /// `$ready`; empty where the form has none.
    fn ready(&self, ready: &Ready<'_>) -> Bytes;

    /// True where replies that come before `$ready` is written wait for it. Else
    /// they go out at once, behind what came at attach.
    fn replies_wait(&self) -> bool {
        false
    }

    /// `$cursor`; none where the form has none.
    fn cursor(&self, cursor: Cursor) -> Option<Bytes>;

    /// What keeps a quiet connection alive: a comment, a ping.
    fn keep_alive(&self) -> Option<Bytes>;

    /// `$drain`: the stream ends `within` that time, for the server stops; none
    /// where the form has no place for it.
    fn drain(&self, within: Duration) -> Option<Bytes> {
        let _ = within;
        None
    }

    /// The last words: a close frame, a zero chunk; empty where there are none.
    /// `jitter` differs from connection to connection, as [`Ready::jitter`].
    fn end(&self, end: &End, jitter: u64) -> Bytes;

    /// For polls alone: the whole answer from the units gathered. `preface` is
    /// what came at attach (a response head without its length), empty where
    /// only the body is wanted.
    fn answer(&self, preface: &Bytes, units: &[Bytes], cursor: Cursor) -> Bytes {
        let _ = (preface, units, cursor);
        Bytes::new()
    }
}
