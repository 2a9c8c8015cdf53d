//! The loop: accept, read, broadcast, write.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use fanwire_proto::ws::{self, Opcode};
use rustix::io::Errno;

use super::channel::{self, Channel};
use super::conn::{Conn, Mode, Wish};
use crate::error::Result;
use crate::net::{self, Poller, Ready};

const LISTENER: u64 = u64::MAX;
/// Bytes read at once.
const SCRATCH: usize = 64 << 10;
/// A subscriber with this much unread is cut.
const MAX_UNREAD: usize = 64 << 20;
const SSE_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n8\r\n: open\n\n\r\n";
const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

pub(super) struct Floor {
    listener: OwnedFd,
    poller: Poller,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    names: HashMap<String, usize>,
    channels: Vec<Channel>,
    batch: bool,
    scratch: Vec<u8>,
    wire: Vec<u8>,
    /// Connections with something to flush at the end of the turn.
    dirty: Vec<usize>,
    /// Channels whose pollers get their answer at the end of the turn.
    polled: Vec<usize>,
}

impl Floor {
    pub(super) fn new(listener: OwnedFd, batch: bool) -> Result<Floor> {
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER, true, false)?;
        Ok(Floor {
            listener,
            poller,
            conns: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            channels: Vec::new(),
            batch,
            scratch: vec![0; SCRATCH],
            wire: Vec::new(),
            dirty: Vec::new(),
            polled: Vec::new(),
        })
    }

    pub(super) fn run(&mut self) -> Result<()> {
        let mut ready = Vec::new();
        loop {
            self.poller.wait(Duration::from_secs(60), &mut ready)?;
            for event in &ready {
                self.serve(*event)?;
            }
            self.end_turn();
        }
    }

    fn serve(&mut self, event: Ready) -> Result<()> {
        if event.token == LISTENER {
            return self.accept();
        }
        let id = event.token as usize;
        if event.read {
            self.read(id);
        }
        if event.write {
            self.flush(id);
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        while let Some(fd) = net::accept(&self.listener)? {
            let id = self.free.pop().unwrap_or(self.conns.len());
            self.poller.add(&fd, id as u64, true, false)?;
            if id == self.conns.len() {
                self.conns.push(None);
            }
            self.conns[id] = Some(Conn::new(fd));
        }
        Ok(())
    }

    fn read(&mut self, id: usize) {
        let Some(conn) = &mut self.conns[id] else {
            return;
        };
        match rustix::io::read(&conn.fd, &mut self.scratch[..]) {
            Ok(0) => return self.close(id),
            Ok(got) => {
                if !conn.received(&self.scratch[..got]) {
                    return self.close(id);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => return self.close(id),
        }
        while let Some(wish) = self.conns[id].as_mut().and_then(Conn::next) {
            self.grant(id, wish);
        }
    }

    fn grant(&mut self, id: usize, wish: Wish) {
        match wish {
            Wish::Ws { channel, answer } => {
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: {answer}\r\n\r\n"
                );
                self.join(id, &channel, Mode::Ws);
                self.write(id, head.as_bytes());
            }
            Wish::Sse { channel } => {
                self.join(id, &channel, Mode::Sse);
                self.write(id, SSE_HEAD);
            }
            Wish::Poll { channel, after } => self.poll(id, &channel, after),
            Wish::Publish { channel, message } => {
                self.write(id, DONE);
                let channel = self.channel(&channel);
                self.broadcast(channel, &message);
            }
            Wish::Say(message) => {
                if let Some(channel) = self.conns[id].as_ref().and_then(|conn| conn.channel) {
                    self.broadcast(channel, &message);
                }
            }
            Wish::Pong(payload) => self.write(id, &ws::frame(Opcode::Pong, &payload)),
            Wish::NotFound => self.write(id, NOT_FOUND),
            Wish::Nothing => {}
            Wish::Close => self.close(id),
        }
    }

    fn channel(&mut self, name: &str) -> usize {
        if let Some(&channel) = self.names.get(name) {
            return channel;
        }
        self.channels.push(Channel::default());
        self.names.insert(name.to_owned(), self.channels.len() - 1);
        self.channels.len() - 1
    }

    fn join(&mut self, id: usize, name: &str, mode: Mode) {
        let channel = self.channel(name);
        self.channels[channel].streams.push(id);
        if let Some(conn) = &mut self.conns[id] {
            (conn.mode, conn.channel) = (mode, Some(channel));
        }
    }

    fn poll(&mut self, id: usize, name: &str, after: Option<u64>) {
        let channel = self.channel(name);
        if let Some(conn) = &mut self.conns[id] {
            conn.channel = Some(channel);
        }
        let top = self.channels[channel].top;
        match after {
            Some(after) if after >= top => self.channels[channel].polls.push((id, after)),
            after => {
                let mut wire = std::mem::take(&mut self.wire);
                self.channels[channel].answer(after.unwrap_or(top), &mut wire);
                self.write(id, &wire);
                self.wire = wire;
            }
        }
    }

    fn broadcast(&mut self, channel: usize, message: &[u8]) {
        self.channels[channel].push(message);
        if !self.channels[channel].polls.is_empty() {
            self.polled.push(channel);
        }
        if self.channels[channel].streams.is_empty() {
            return;
        }
        let streams = std::mem::take(&mut self.channels[channel].streams);
        let (mut frame, mut event) = (Vec::new(), Vec::new());
        for &id in &streams {
            let Some(conn) = &mut self.conns[id] else {
                continue;
            };
            let wire = if conn.mode == Mode::Ws {
                &mut frame
            } else {
                &mut event
            };
            if wire.is_empty() && conn.mode == Mode::Ws {
                channel::frame(message, wire);
            } else if wire.is_empty() {
                channel::event(message, wire);
            }
            if conn.out.len() > MAX_UNREAD {
                self.dirty.push(id);
            } else if self.batch {
                if conn.out.is_empty() {
                    self.dirty.push(id);
                }
                conn.out.push(wire);
            } else if conn.out.write(&conn.fd, wire).is_err() || !conn.out.is_empty() {
                self.dirty.push(id);
            }
        }
        self.channels[channel].streams = streams;
    }

    /// Answers the polls of this turn, flushes what was gathered, and closes
    /// who reads nothing.
    fn end_turn(&mut self) {
        let mut polled = std::mem::take(&mut self.polled);
        polled.sort_unstable();
        polled.dedup();
        let mut wire = std::mem::take(&mut self.wire);
        for channel in polled.drain(..) {
            let polls = std::mem::take(&mut self.channels[channel].polls);
            let mut encoded = None;
            for (id, after) in polls {
                if encoded != Some(after) {
                    self.channels[channel].answer(after, &mut wire);
                    encoded = Some(after);
                }
                self.write(id, &wire);
            }
        }
        (self.polled, self.wire) = (polled, wire);
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.flush(id);
        }
        self.dirty = dirty;
    }

    fn write(&mut self, id: usize, bytes: &[u8]) {
        let Some(conn) = &mut self.conns[id] else {
            return;
        };
        match conn.out.write(&conn.fd, bytes) {
            Ok(()) if conn.out.is_empty() => {}
            Ok(()) => self.dirty.push(id),
            Err(_) => self.close(id),
        }
    }

    fn flush(&mut self, id: usize) {
        let Some(conn) = &mut self.conns[id] else {
            return;
        };
        if conn.out.len() > MAX_UNREAD || conn.out.flush(&conn.fd).is_err() {
            return self.close(id);
        }
        let wants = !conn.out.is_empty();
        if wants != conn.wants_write {
            conn.wants_write = wants;
            if self
                .poller
                .modify(&conn.fd, id as u64, true, wants)
                .is_err()
            {
                self.close(id);
            }
        }
    }

    fn close(&mut self, id: usize) {
        if let Some(conn) = self.conns[id].take() {
            if let Some(channel) = conn.channel {
                self.channels[channel].leave(id);
            }
            self.free.push(id);
        }
    }
}
