//! Connections: making them, reading and writing them, and their end.

use rustix::io::Errno;
use rustix::net::sockopt;

use super::client::{Conn, Phase, Stage};
use super::engine::{CARRY, Engine};
use super::http2::Event;
use super::link::Link;
use crate::adapter::Kind;
use crate::error::{Error, Result};
use crate::net::{self, Connect, Ready};

/// A receive buffer that fills soon and still takes a reader's pace (the kernel
/// doubles it).
const SMALL_BUFFER: usize = 32 << 10;

impl Engine {
    fn is_http2(&self) -> bool {
        self.setup.transport.carrier.is_http2()
    }

    /// What TCP connection carries it.
    pub(super) fn link_of(&self, id: usize) -> usize {
        match self.is_http2() {
            true => id / (2 * self.setup.streams),
            false => id,
        }
    }

    /// All that a TCP connection carries.
    fn carried(&self, link: usize) -> std::ops::Range<usize> {
        match self.is_http2() {
            true => {
                let many = 2 * self.setup.streams;
                link * many..((link + 1) * many).min(self.conns.len())
            }
            false => link..link + 1,
        }
    }

    /// A socket can go on.
    pub(super) fn serve(&mut self, event: Ready) -> Result<()> {
        let id = event.token as usize;
        let Some(link) = &mut self.links[id] else {
            return Ok(());
        };
        if link.connecting {
            if !event.write {
                return Ok(());
            }
            if let Err(error) = sockopt::socket_error(&link.fd)? {
                return Err(Error::from(error).doing("connecting"));
            }
            link.connecting = false;
            return self.begin(id);
        }
        if event.write {
            if link.out.flush(&link.fd).is_err() {
                return self.link_lost(id);
            }
            self.update_interest(id)?;
        }
        if event.read && self.links[id].as_ref().is_some_and(|link| link.interest.0) {
            self.read(id)?;
        }
        Ok(())
    }

    /// TCP is there: TLS begins, or the first requests go out.
    fn begin(&mut self, link: usize) -> Result<()> {
        match self.links[link]
            .as_ref()
            .is_some_and(|link| link.tls.is_some())
        {
            true => self.put(link, b"")?,
            false => self.link_ready(link)?,
        }
        self.update_interest(link)
    }

    fn link_ready(&mut self, id: usize) -> Result<()> {
        let websocket = self.setup.transport.kind == Kind::Ws;
        let Some(link) = &mut self.links[id] else {
            return Ok(());
        };
        if let Some(http2) = &mut link.http2
            && !http2.out.is_empty()
        {
            let preface = std::mem::take(&mut http2.out);
            self.put(id, &preface)?;
            // A WebSocket has to wait for the server's settings.
            if websocket {
                return Ok(());
            }
        }
        self.go(id)
    }

    /// What waited for the connection goes on.
    fn go(&mut self, id: usize) -> Result<()> {
        let Some(link) = self.links[id].as_mut().filter(|link| !link.ready) else {
            return Ok(());
        };
        link.ready = true;
        for conn in self.carried(id) {
            let waits = |conn: &Conn| conn.stage == Stage::Connecting;
            if self.conns[conn].as_ref().is_some_and(waits) {
                self.connected(conn)?;
            }
        }
        Ok(())
    }

    pub(super) fn connect(&mut self, id: usize) -> Result<()> {
        let at = self.link_of(id);
        self.conns[id] = Some(Conn::new());
        let there = self.links[at].as_ref().filter(|_| self.is_http2());
        match there.map(|link| link.ready) {
            Some(true) => return self.connected(id),
            Some(false) => return Ok(()),
            None => {}
        }
        let how = Connect {
            index: self.connects,
            receive_buffer: (self.small_buffers && id.is_multiple_of(2)).then_some(SMALL_BUFFER),
        };
        self.connects += 1;
        let fd = net::connect(self.setup.addr, how)?;
        self.poller.add(&fd, at as u64, true, true)?;
        let tls = self.tls.as_ref().map(net::Tls::session).transpose()?;
        self.links[at] = Some(Link::new(fd, tls, self.is_http2()));
        Ok(())
    }

    /// The connection is made: the first request goes out.
    fn connected(&mut self, id: usize) -> Result<()> {
        if let Some(conn) = &mut self.conns[id] {
            conn.stage = Stage::Head;
        }
        let client = (id / 2) as u32;
        if !id.is_multiple_of(2) {
            self.pump_posts(client)
        } else if self.setup.transport.kind == Kind::Poll {
            self.send_poll(client)
        } else {
            self.send_stream_request(client)
        }
    }

    /// Watches for what the connection needs now.
    pub(super) fn update_interest(&mut self, id: usize) -> Result<()> {
        let mut streams = self.carried(id).step_by(2);
        let stalled = id.is_multiple_of(2) || self.is_http2();
        let stalled = stalled && streams.all(|conn| self.clients[conn / 2].stalled);
        if let Some(link) = self.links[id].as_mut().filter(|link| !link.connecting) {
            let wants = (!stalled, !link.out.is_empty());
            if wants != link.interest {
                link.interest = wants;
                self.poller.modify(&link.fd, id as u64, wants.0, wants.1)?;
            }
        }
        Ok(())
    }

    /// Reads once from a connection that has something.
    fn read(&mut self, id: usize) -> Result<()> {
        let http2 = self.is_http2();
        let Some(link) = &self.links[id] else {
            return Ok(());
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = match rustix::io::read(&link.fd, &mut scratch[CARRY..]) {
            Ok(0) if http2 => self.link_lost(id),
            Ok(0) => self.ended(id),
            Ok(got) => {
                let tls = link.tls.is_some();
                self.meter.counters.down += got as u64;
                self.meter.counters.reads += 1;
                match tls {
                    true => self.open_tls(id, &scratch[CARRY..CARRY + got]),
                    false => self.arrived(id, &mut scratch, got),
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(_) => self.link_lost(id),
        };
        self.scratch = scratch;
        result
    }

    fn open_tls(&mut self, id: usize, raw: &[u8]) -> Result<()> {
        let mut plain = std::mem::take(&mut self.plain);
        let mut opened = || -> Result<usize> {
            let Some(tls) = self.links[id].as_mut().and_then(|link| link.tls.as_mut()) else {
                return Ok(0);
            };
            let before = tls.is_ready();
            let got = tls.open(raw, &mut plain[CARRY..])?;
            if !before {
                let (ready, resumed) = (tls.is_ready(), tls.is_resumed());
                self.put(id, b"")?;
                if ready {
                    self.meter.counters.handshakes += 1;
                    self.meter.counters.resumed += u64::from(resumed);
                    self.link_ready(id)?;
                }
            }
            Ok(got)
        };
        let result = match opened() {
            Ok(0) => Ok(()),
            Ok(got) => self.arrived(id, &mut plain, got),
            Err(error) => Err(error),
        };
        self.plain = plain;
        result
    }

    /// `got` bytes of HTTP stand in `bytes` from `CARRY` on.
    fn arrived(&mut self, id: usize, bytes: &mut [u8], got: usize) -> Result<()> {
        if !self.is_http2() {
            return self.received(id, bytes, CARRY, CARRY + got);
        }
        let mut at = CARRY;
        while let Some(http2) = self.links[id].as_mut().and_then(|link| link.http2.as_mut()) {
            let Some(event) = http2.next(&bytes[..CARRY + got], &mut at)? else {
                break;
            };
            match event {
                Event::Head { id, status } => self.answered(id, status)?,
                Event::Data { id, from, to } => self.more(id, bytes, from, to)?,
                Event::End { id } => self.whole(id)?,
                Event::Reset { id } => self.lost(id)?,
                Event::Settled => self.go(id)?,
            }
        }
        self.flush_frames(id)
    }

    /// Sends what HTTP/2 has to say by itself.
    fn flush_frames(&mut self, id: usize) -> Result<()> {
        let http2 = self.links[id].as_mut().and_then(|link| link.http2.as_mut());
        let Some(http2) = http2.filter(|http2| !http2.out.is_empty()) else {
            return Ok(());
        };
        let mut frames = std::mem::take(&mut http2.out);
        let done = self.put(id, &frames);
        frames.clear();
        if let Some(http2) = self.links[id].as_mut().and_then(|link| link.http2.as_mut())
            && http2.out.is_empty()
        {
            http2.out = frames;
        }
        done
    }

    /// Sends a request, as HTTP/1.1 writes it.
    pub(super) fn request(&mut self, id: usize, text: &[u8]) -> Result<()> {
        let at = self.link_of(id);
        let Some(link) = self.links[at].as_mut() else {
            return Ok(());
        };
        match &mut link.http2 {
            Some(http2) => {
                http2.request(id, text)?;
                self.flush_frames(at)
            }
            None => self.put(at, text),
        }
    }

    /// Sends on a stream that is open.
    pub(super) fn write(&mut self, id: usize, bytes: &[u8]) -> Result<()> {
        let at = self.link_of(id);
        let Some(link) = self.links[at].as_mut() else {
            return Ok(());
        };
        match &mut link.http2 {
            Some(http2) => {
                http2.data(id, bytes);
                self.flush_frames(at)
            }
            None => self.put(at, bytes),
        }
    }

    /// Bytes of HTTP on a TCP connection.
    fn put(&mut self, id: usize, bytes: &[u8]) -> Result<()> {
        let Some(link) = &mut self.links[id] else {
            return Ok(());
        };
        let Some(sent) = link.send(bytes)? else {
            return self.link_lost(id);
        };
        self.meter.counters.up += sent as u64;
        if !link.out.is_empty() {
            self.update_interest(id)?;
        }
        Ok(())
    }

    /// Ends one without a word: its TCP connection, or its stream where others
    /// share that.
    pub(super) fn drop_conn(&mut self, id: usize) {
        if self.conns[id].take().is_none() {
            return;
        }
        let at = self.link_of(id);
        if self.carried(at).all(|conn| self.conns[conn].is_none()) {
            self.links[at] = None;
        } else if let Some(http2) = self.links[at].as_mut().and_then(|link| link.http2.as_mut()) {
            // It goes out with what is sent next.
            http2.reset(id);
        }
    }

    /// A TCP connection is gone, and all that it carried.
    fn link_lost(&mut self, id: usize) -> Result<()> {
        self.links[id] = None;
        for conn in self.carried(id) {
            if self.conns[conn].is_some() {
                self.lost(conn)?;
            }
        }
        Ok(())
    }

    /// The server ended what carried a client, or it broke.
    pub(super) fn lost(&mut self, id: usize) -> Result<()> {
        self.conns[id] = None;
        if !self.is_http2() {
            self.links[id] = None;
        }
        let one = &mut self.clients[id / 2];
        if !id.is_multiple_of(2) {
            // A server may end a kept connection between two answers; what was
            // under way then has no outcome, and stays counted as sent.
            one.posting = None;
            return self.connect(id);
        }
        match one.phase {
            Phase::Opening => Err(Error::new(
                "the server closed a connection before the client was subscribed",
            )),
            Phase::Ready if self.setup.transport.kind == Kind::Poll => self.connect(id),
            _ => {
                one.phase = Phase::Off;
                self.meter.counters.closed += 1;
                Ok(())
            }
        }
    }
}
