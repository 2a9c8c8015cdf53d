//! Waiting for many sockets at once.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::error::Result;

/// Sockets reported in one turn, at most.
const EVENTS: usize = 512;

/// One socket that can go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The token it was added with.
    pub(crate) token: u64,
    /// There is something to read, or the other side is gone.
    pub(crate) read: bool,
    /// There is room to write, or the connection failed.
    pub(crate) write: bool,
}

/// An epoll instance, level-triggered.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> Result<Poller> {
        Ok(Poller {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
        })
    }

    pub(crate) fn add(&self, fd: impl AsFd, token: u64, read: bool, write: bool) -> Result<()> {
        let flags = flags(read, write);
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(token),
            flags,
        )?)
    }

    pub(crate) fn modify(&self, fd: impl AsFd, token: u64, read: bool, write: bool) -> Result<()> {
        let flags = flags(read, write);
        Ok(epoll::modify(
            &self.epoll,
            fd,
            EventData::new_u64(token),
            flags,
        )?)
    }

    /// Waits until a socket is ready or the time is over, and fills `ready`.
    /// Nanoseconds count (`epoll_pwait2`): a load that is sent a millisecond
    /// late would be measured as a slow server.
    pub(crate) fn wait(&mut self, at_most: Duration, ready: &mut Vec<Ready>) -> Result<()> {
        ready.clear();
        self.events.clear();
        let timeout = Timespec {
            tv_sec: at_most.as_secs().min(3600) as i64,
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let flags = event.flags;
            let gone = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            ready.push(Ready {
                token: event.data.u64(),
                read: gone || flags.contains(EventFlags::IN),
                write: gone || flags.contains(EventFlags::OUT),
            });
        }
        Ok(())
    }
}

fn flags(read: bool, write: bool) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, read);
    flags.set(EventFlags::OUT, write);
    flags
}
