//! The socket as hyper sees it, with an eye on what hyper is doing.
//!
//! hyper owns the stream while it serves. The gate sits between and notes, in a
//! state that the connection's task can look at: whether a head is being read
//! and since when, whether everything written has been flushed, and whether the
//! request's handler wants the socket for itself. Two things it does on its own:
//! it stops reading a head at its limit, and it catches the bare answers that
//! hyper gives to broken heads, so that the task can send proper ones.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::engineio;
use super::pour::Pouring;
use super::wait::Waiting;
use crate::transport::{Departure, Stream, Unproven, with_scratch};

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing: between two requests, or before the first.
    Idle,
    /// A head has begun and is not whole.
    Head,
    /// A handler is at work.
    Handling,
    /// An answer is being written.
    Answering,
}

/// What the gate notes.
pub(super) struct Watch {
    pub(super) phase: Phase,
    /// When the phase began; while answering, when the peer last took bytes.
    pub(super) since: Instant,
    /// No request has been served yet.
    pub(super) first: bool,
    /// Bytes of the head so far.
    pub(super) head_bytes: usize,
    /// The head's first line is whole.
    pub(super) line_seen: bool,
    /// hyper has written and not yet flushed.
    unflushed: bool,
    /// The status that hyper would have answered a broken head with.
    pub(super) automatic: Option<u16>,
    exit: Option<Exit>,
}

/// How a handler takes the socket from hyper.
pub(super) enum Exit {
    /// To go on with it.
    Departs(Box<Departure>),
    /// To hear on it who it is.
    Unproven(Box<Unproven>),
    /// To write these bytes and close it.
    Says(Bytes),
    /// To write these bytes, the answer, and wait for the next request.
    Rests(Vec<u8>),
    /// To go on with it in an Engine.IO session.
    Engine(Box<engineio::Exit>),
    /// To pour out what an application's route answers.
    Pours(Box<Pouring>),
    /// To wait for what an application's route answers.
    Waits(Box<Waiting>),
}

/// The state that hyper's service, the gate and the connection's task share.
pub(super) struct Hatch(Mutex<Watch>);

impl Hatch {
    /// `first`: no request was served yet. `begun`: when the first byte came of
    /// a head that was begun elsewhere.
    pub(super) fn new(first: bool, begun: Option<Instant>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Watch {
            phase: begun.map_or(Phase::Idle, |_| Phase::Head),
            since: begun.unwrap_or_else(Instant::now),
            first,
            head_bytes: 0,
            line_seen: false,
            unflushed: false,
            automatic: None,
            exit: None,
        })))
    }

    pub(super) fn watch(&self) -> parking_lot::MutexGuard<'_, Watch> {
        self.0.lock()
    }

    /// A whole head has come; gives the time that it took. One that came behind
    /// another request took none.
    pub(super) fn handling(&self) -> Duration {
        let mut watch = self.0.lock();
        let took = match watch.phase {
            Phase::Head => watch.since.elapsed(),
            _ => Duration::ZERO,
        };
        watch.enter(Phase::Handling);
        watch.first = false;
        took
    }

    /// The handler has its answer.
    pub(super) fn answering(&self) {
        self.0.lock().enter(Phase::Answering);
    }

    /// The handler wants the socket itself.
    pub(super) fn leave(&self, exit: Exit) {
        self.0.lock().exit = Some(exit);
    }
}

impl Watch {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        self.head_bytes = 0;
        self.line_seen = false;
    }

    /// The exit asked for, once nothing of an earlier answer is left unwritten.
    pub(super) fn take_exit(&mut self) -> Option<Exit> {
        if self.unflushed {
            return None;
        }
        self.exit.take()
    }

    fn note_read(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Idle {
            self.enter(Phase::Head);
        }
        if self.phase == Phase::Head {
            self.head_bytes += bytes.len();
            self.line_seen |= bytes.contains(&b'\n');
        }
    }

    /// True where hyper writes without having been given an answer: the head
    /// was broken.
    fn is_automatic(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Head)
    }
}

/// The stream, as hyper reads and writes it.
pub(super) struct Gate {
    stream: Stream,
    /// Read before hyper had the stream.
    before: Bytes,
    /// Bytes that a head may have.
    head_limit: usize,
    hatch: Arc<Hatch>,
}

impl Gate {
    pub(super) fn new(stream: Stream, before: Bytes, head_limit: usize, hatch: Arc<Hatch>) -> Self {
        Self {
            stream,
            before,
            head_limit,
            hatch,
        }
    }

    /// The stream, and what was read of it before hyper and not yet taken.
    pub(super) fn into_parts(self) -> (Stream, Bytes) {
        (self.stream, self.before)
    }
}

impl Read for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let room = {
            let watch = this.hatch.watch();
            match watch.phase {
                Phase::Idle | Phase::Head => this.head_limit.saturating_sub(watch.head_bytes),
                _ => usize::MAX,
            }
        };
        let room = room.min(cursor.remaining());
        if room == 0 {
            // A head at its limit and not whole: the task sees it after this poll.
            return Poll::Pending;
        }
        if !this.before.is_empty() {
            let part = this.before.split_to(room.min(this.before.len()));
            this.hatch.watch().note_read(&part);
            cursor.put_slice(&part);
            return Poll::Ready(Ok(()));
        }
        with_scratch(|buffer| {
            let room = room.min(buffer.len());
            let count = ready!(this.stream.poll_read(cx, &mut buffer[..room]))?;
            if count > 0 {
                this.hatch.watch().note_read(&buffer[..count]);
            }
            cursor.put_slice(&buffer[..count]);
            Poll::Ready(Ok(()))
        })
    }
}

impl Gate {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        {
            let mut watch = self.hatch.watch();
            if watch.is_automatic() {
                let first = slices.iter().find(|slice| !slice.is_empty());
                let status = first.and_then(|slice| status(slice));
                watch.automatic = watch.automatic.or(status);
                return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
            }
            watch.unflushed = true;
        }
        let taken = ready!(self.stream.poll_write(cx, slices))?;
        self.hatch.watch().since = Instant::now();
        Poll::Ready(Ok(taken))
    }
}

/// The status of a response's first line.
fn status(line: &[u8]) -> Option<u16> {
    let mut rest = line
        .strip_prefix(b"HTTP/1.1 ")
        .or(line.strip_prefix(b"HTTP/1.0 "))?;
    let mut status = 0;
    for _ in 0..3 {
        let digit = rest.first().filter(|b| b.is_ascii_digit())?;
        status = status * 10 + u16::from(digit - b'0');
        rest.advance(1);
    }
    Some(status)
}

impl Write for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when its own buffer is empty: everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.stream.poll_flush(cx))?;
        let mut watch = this.hatch.watch();
        if watch.phase == Phase::Answering && watch.unflushed {
            watch.enter(Phase::Idle);
        }
        watch.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// The task closes the stream itself, after it has lingered.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_automatic_answer_is_read() {
        assert_eq!(
            status(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
            Some(431)
        );
        assert_eq!(status(b"HTTP/1.0 400 "), Some(400));
        assert_eq!(status(b"HTTP/1.1 4"), None);
        assert_eq!(status(b"hello"), None);
    }
}
