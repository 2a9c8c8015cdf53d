//! The socket as hyper sees it under HTTP/2, with an eye on what comes and goes:
//! since when a frame is under way, since when the peer takes nothing, and
//! whether it sends more frames than it has use for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::sniff::PREFACE;
use super::frames::{ACK, DATA, END_STREAM, HEADERS, Head, Track};
use crate::transport::{Stream, with_scratch};

/// Frames of the budget that come back in a second.
const PER_SECOND: u64 = 100;

/// Frames that one of ours gives leave for: a reader may open the window of the
/// stream and of the connection for every DATA frame that it gets.
const PER_OURS: u64 = 3;

/// A connection's bytes and what was seen of them.
pub(super) struct Line {
    stream: Stream,
    /// Read before hyper had the stream.
    before: Bytes,
    /// Of the preface, which is no frame: bytes still to come.
    preface: usize,
    inbound: Track,
    outbound: Track,
    /// When the frame or header block began that is under way.
    begun: Option<Instant>,
    /// Since when the peer takes nothing that waits for it.
    stalled: Option<Instant>,
    budget: Budget,
    /// The newest stream that the peer has opened.
    last_stream: u32,
}

/// Frames that carry neither a request nor data, counted against time and
/// against what we send.
struct Budget {
    most: u64,
    left: u64,
    refilled: Instant,
    spent: bool,
}

impl Budget {
    fn spend(&mut self) {
        if self.left == 0 {
            let now = Instant::now();
            let ms = now.duration_since(self.refilled).as_millis();
            let back = u64::try_from(ms)
                .unwrap_or(u64::MAX)
                .saturating_mul(PER_SECOND)
                / 1000;
            if back > 0 {
                self.earn(back);
                self.refilled = now;
            }
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.spent = true,
        }
    }

    fn earn(&mut self, frames: u64) {
        self.left = self.left.saturating_add(frames).min(self.most);
    }
}

/// Whether a frame of the peer's counts against its budget.
fn is_overhead(head: Head) -> bool {
    match head.kind {
        HEADERS => false,
        DATA => head.len == 0 && head.flags & END_STREAM == 0,
        _ => true,
    }
}

impl Line {
    /// A line on `stream`; `before` has been read of it since `begun`.
    /// `overhead` is the most that the budget holds.
    pub(super) fn new(
        stream: Stream,
        before: Bytes,
        begun: Instant,
        overhead: usize,
    ) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            stream,
            before,
            preface: PREFACE.len(),
            inbound: Track::default(),
            outbound: Track::default(),
            // The peer's SETTINGS belong to its preface (RFC 9113, 3.4).
            begun: Some(begun),
            stalled: None,
            budget: Budget {
                most: overhead as u64,
                left: overhead as u64,
                refilled: begun,
                spent: false,
            },
            last_stream: 0,
        }))
    }

    /// When the frame or header block began that is under way, and whether it
    /// is one of DATA.
    pub(super) fn begun(&self) -> Option<(Instant, bool)> {
        self.begun.map(|begun| (begun, self.inbound.in_data()))
    }

    /// Since when bytes wait that the peer does not take.
    pub(super) fn stalled(&self) -> Option<Instant> {
        self.stalled
    }

    /// The peer sent more frames than it may.
    pub(super) fn is_flooded(&self) -> bool {
        self.budget.spent
    }

    /// The newest stream that the peer has opened; none where a frame of ours is
    /// half written, and nothing can be said any more.
    pub(super) fn last_stream(&self) -> Option<u32> {
        self.outbound.is_between().then_some(self.last_stream)
    }

    /// The stream itself, once hyper is done with it.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    fn note_read(&mut self, mut bytes: &[u8]) {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes.advance(skipped);
        let ended = self.inbound.ended();
        let (budget, last) = (&mut self.budget, &mut self.last_stream);
        self.inbound.push(bytes, |head| {
            if is_overhead(head) {
                budget.spend();
            }
            if head.kind == HEADERS {
                *last = head.stream.max(*last);
            }
        });
        if self.preface > 0 || (self.inbound.ended() == 0 && self.begun.is_some()) {
            return;
        }
        if self.inbound.is_between() {
            self.begun = None;
        } else if self.begun.is_none() || self.inbound.ended() != ended {
            self.begun = Some(Instant::now());
        }
    }

    fn note_written(&mut self, slices: &[io::IoSlice<'_>], mut taken: usize) {
        self.stalled = None;
        let budget = &mut self.budget;
        for slice in slices {
            let count = taken.min(slice.len());
            taken -= count;
            self.outbound.push(&slice[..count], |head| {
                let is_reply = head.kind > HEADERS && head.flags & ACK != 0;
                if !is_reply {
                    budget.earn(PER_OURS);
                }
            });
        }
    }
}

/// hyper's hold on the line.
pub(super) struct Held(pub(super) Arc<Mutex<Line>>);

impl Read for Held {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let line = &mut *self.0.lock();
        if line.is_flooded() {
            // The task sees it after this poll.
            return Poll::Pending;
        }
        if !line.before.is_empty() {
            let part = line
                .before
                .split_to(cursor.remaining().min(line.before.len()));
            line.note_read(&part);
            cursor.put_slice(&part);
            return Poll::Ready(Ok(()));
        }
        with_scratch(|buffer| {
            let room = cursor.remaining().min(buffer.len());
            let count = ready!(line.stream.poll_read(cx, &mut buffer[..room]))?;
            line.note_read(&buffer[..count]);
            cursor.put_slice(&buffer[..count]);
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Held {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let line = &mut *self.0.lock();
        let Poll::Ready(taken) = line.stream.poll_write(cx, slices) else {
            line.stalled.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        let taken = taken?;
        line.note_written(slices, taken);
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().stream.poll_flush(cx)
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
    fn requests_and_data_cost_nothing_and_everything_else_does() {
        let head = |kind, len, flags| Head {
            len,
            kind,
            flags,
            stream: 1,
        };
        assert!(!is_overhead(head(HEADERS, 10, 0)));
        assert!(!is_overhead(head(DATA, 1, 0)));
        assert!(!is_overhead(head(DATA, 0, END_STREAM)));
        assert!(is_overhead(head(DATA, 0, 0)));
        for kind in [2, 3, 4, 6, 8, 0x77] {
            assert!(is_overhead(head(kind, 8, 0)), "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_spent_by_frames_and_comes_back_with_time_and_with_ours() {
        let mut budget = Budget {
            most: 10,
            left: 10,
            refilled: Instant::now(),
            spent: false,
        };
        (0..10).for_each(|_| budget.spend());
        assert!(!budget.spent);
        budget.earn(2);
        (0..2).for_each(|_| budget.spend());
        tokio::time::advance(std::time::Duration::from_secs(3600)).await;
        (0..10).for_each(|_| budget.spend());
        assert!(!budget.spent, "an hour fills it");
        budget.spend();
        assert!(budget.spent);
    }
}
