//! The far end of a connection, and the fake writers that lead to it: a socket
//! with a small buffer that the shard writes to, and a bounded outbox that a
//! task of the connection's own would pull from.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::hub::{End, Flushed, Outbox, Writer, hand_over, write_all};
use parking_lot::Mutex;

use crate::exec::Time;
use crate::rng::Rng;

/// What stands between the shard and the client.
pub struct Pipe {
    /// Bytes on their way to the client.
    wire: VecDeque<u8>,
    /// Whole units that the connection's task has not taken yet (pull mode).
    handed: VecDeque<Bytes>,
    /// Bytes (socket) or units (pull) that fit.
    room: usize,
    /// The last flush found no room: post `writable` once there is some.
    pub blocked: bool,
    /// Every further write fails.
    pub reset: bool,
    /// The next flush panics.
    pub poison: bool,
    /// Why it ended, once it has.
    pub ended: Option<End>,
    /// When something was last heard from the client.
    pub heard: Instant,
    /// The most bytes that an outbox ever held at a flush, and its largest unit.
    pub peak: usize,
    pub largest: usize,
    pub blocks: u64,
    pub partial: u64,
    rng: Rng,
}

/// A shared hold on it.
pub type Shared = Arc<Mutex<Pipe>>;

/// A panic that a run makes on purpose; its message is kept off the screen.
pub const DELIBERATE: &str = "a writer that panics on purpose";

pub fn pipe(room: usize, time: &Time, rng: Rng) -> Shared {
    Arc::new(Mutex::new(Pipe {
        wire: VecDeque::new(),
        handed: VecDeque::new(),
        room,
        blocked: false,
        reset: false,
        poison: false,
        ended: None,
        heard: time.now(),
        peak: 0,
        largest: 0,
        blocks: 0,
        partial: 0,
        rng,
    }))
}

impl Pipe {
    /// The client reads up to `most` bytes.
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        while self.wire.len() < most {
            let Some(unit) = self.handed.pop_front() else {
                break;
            };
            self.wire.extend(unit);
        }
        let most = most.min(self.wire.len());
        self.wire.drain(..most).collect()
    }

    /// Nothing is left to read.
    pub fn is_dry(&self) -> bool {
        self.wire.is_empty() && self.handed.is_empty()
    }

    /// True once, where the shard waits to hear that there is room again.
    pub fn take_writable(&mut self) -> bool {
        let room = self.wire.len() < self.room && self.handed.len() < self.room;
        let woken = self.blocked && room;
        self.blocked &= !woken;
        woken
    }

    fn note(&mut self, outbox: &Outbox) {
        assert!(!std::mem::take(&mut self.poison), "{DELIBERATE}");
        self.peak = self.peak.max(outbox.bytes());
    }
}

/// Shard-writes mode.
pub struct Socket(pub Shared);

/// Pull mode.
pub struct Pull(pub Shared);

impl Writer for Socket {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        let mut pipe = self.0.lock();
        pipe.note(outbox);
        let flushed = write_all(outbox, |slices| {
            if pipe.reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let free = pipe.room.saturating_sub(pipe.wire.len());
            if free == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if pipe.rng.percent(5) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            // A socket may take less than it has room for.
            let take = if pipe.rng.percent(30) {
                pipe.rng.between(1, free)
            } else {
                free
            };
            let mut taken = 0;
            for slice in slices {
                let part = slice.len().min(take - taken);
                pipe.wire.extend(&slice[..part]);
                taken += part;
            }
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            pipe.partial += u64::from(taken < offered);
            Ok(taken)
        });
        pipe.blocked = flushed == Flushed::Blocked;
        pipe.blocks += u64::from(pipe.blocked);
        flushed
    }

    fn last_heard(&self) -> Instant {
        self.0.lock().heard
    }

    fn ended(self: Box<Self>, end: End) {
        self.0.lock().ended = Some(end);
    }
}

impl Writer for Pull {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        let mut pipe = self.0.lock();
        pipe.note(outbox);
        if pipe.reset {
            return Flushed::Gone;
        }
        let room = pipe.room;
        let shared = std::cell::RefCell::new(&mut *pipe);
        let flushed = hand_over(
            outbox,
            || shared.borrow().handed.len() < room,
            |unit| {
                let mut pipe = shared.borrow_mut();
                pipe.largest = pipe.largest.max(unit.len());
                pipe.handed.push_back(unit);
            },
        );
        pipe.blocked = flushed == Flushed::Blocked;
        pipe.blocks += u64::from(pipe.blocked);
        flushed
    }

    fn last_heard(&self) -> Instant {
        self.0.lock().heard
    }

    fn ended(self: Box<Self>, end: End) {
        self.0.lock().ended = Some(end);
    }
}
