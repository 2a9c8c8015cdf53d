//! What a client receives: heads, frames, streams, answers.

use std::borrow::Cow;

use memchr::memmem;

use super::client::{Client, Phase, Stage};
use super::engine::{CARRY, Engine};
use super::walk::Frame;
use crate::adapter::{Kind, Transport};
use crate::error::{Error, Result};
use crate::http;

/// Most that is kept of a client's opening.
const MAX_OPENING: usize = 1 << 20;
/// How often a poll's step of opening is repeated.
const MAX_TRIES: u32 = 100;
/// Longest body of an answer on HTTP/2.
const MAX_ANSWER: usize = 64 << 20;
/// Polls answered with an error, in all, before a run is given up.
const MAX_FAILED: u64 = 10_000;

impl Engine {
    /// Bytes of HTTP/1.1, or of a stream's body, stand between these places;
    /// what is in front of them is not needed any more.
    pub(super) fn received(
        &mut self,
        id: usize,
        bytes: &mut [u8],
        from: usize,
        to: usize,
    ) -> Result<()> {
        let client = (id / 2) as u32;
        if !id.is_multiple_of(2) || self.setup.transport.kind == Kind::Poll {
            return self.answers(id, &bytes[from..to], false);
        }
        let opening = self.clients[client as usize].phase == Phase::Opening;
        let Some(conn) = &mut self.conns[id] else {
            return Ok(());
        };
        if opening {
            conn.inbox.extend_from_slice(&bytes[from..to]);
            return self.opening(client);
        }
        let begin = from - conn.inbox.len();
        bytes[begin..from].copy_from_slice(&conn.inbox);
        self.frames(client, &bytes[from..to])?;
        self.scan(client, &bytes[begin..to]);
        Ok(())
    }

    /// The head of an answer came on HTTP/2.
    pub(super) fn answered(&mut self, id: usize, status: u16) -> Result<()> {
        let Some(conn) = &mut self.conns[id] else {
            return Ok(());
        };
        conn.status = status;
        conn.inbox.clear();
        if self.is_stream(id) && status == 200 {
            if let Some(conn) = &mut self.conns[id] {
                conn.stage = Stage::Open;
            }
            return self.opening((id / 2) as u32);
        }
        Ok(())
    }

    /// A piece of an answer's body came on HTTP/2.
    pub(super) fn more(
        &mut self,
        id: usize,
        bytes: &mut [u8],
        from: usize,
        to: usize,
    ) -> Result<()> {
        let streams = self.is_stream(id);
        match &mut self.conns[id] {
            Some(conn) if streams && conn.stage == Stage::Open => {
                self.received(id, bytes, from, to)
            }
            Some(conn) if conn.inbox.len() + to - from <= MAX_ANSWER => {
                conn.inbox.extend_from_slice(&bytes[from..to]);
                Ok(())
            }
            Some(_) => Err(Error::new("an answer is over 64 MiB")),
            None => Ok(()),
        }
    }

    /// An answer is whole on HTTP/2.
    pub(super) fn whole(&mut self, id: usize) -> Result<()> {
        let (client, streams) = ((id / 2) as u32, self.is_stream(id));
        let Some(conn) = &mut self.conns[id] else {
            return Ok(());
        };
        let mut body = std::mem::take(&mut conn.inbox);
        if streams {
            return match conn.stage {
                Stage::Open => self.lost(id),
                _ => Err(refusal(conn.status, &body)),
            };
        }
        let answer = http::Answer {
            status: conn.status,
            head: b"",
            body: Cow::Borrowed(&body),
            len: body.len(),
            close: false,
        };
        match id.is_multiple_of(2) {
            true => self.polled(client, &answer)?,
            false => self.posted(client, &answer)?,
        }
        body.clear();
        if let Some(conn) = &mut self.conns[id] {
            conn.inbox = body;
        }
        match id.is_multiple_of(2) {
            true => self.send_poll(client),
            false => self.pump_posts(client),
        }
    }

    fn is_stream(&self, id: usize) -> bool {
        id.is_multiple_of(2) && self.setup.transport.kind != Kind::Poll
    }

    /// A stream that is being opened: the head, then each step, then ready.
    fn opening(&mut self, client: u32) -> Result<()> {
        let id = 2 * client as usize;
        let Some(conn) = &mut self.conns[id] else {
            return Ok(());
        };
        if conn.stage == Stage::Head {
            let Some(len) = http::head_len(&conn.inbox)? else {
                return Ok(());
            };
            let wanted = if self.setup.transport.kind == Kind::Ws {
                101
            } else {
                200
            };
            let status = http::status(&conn.inbox[..len])?;
            if status != wanted {
                return Err(refusal(status, &conn.inbox[len..]));
            }
            capture(
                &self.setup.transport,
                &conn.inbox[..len],
                &mut self.clients[id / 2],
            );
            conn.inbox.drain(..len);
            conn.stage = Stage::Open;
        }
        let mut inbox = std::mem::take(&mut conn.inbox);
        if inbox.len() > MAX_OPENING {
            return Err(Error::new(
                "the server sent 1 MiB before the client was subscribed",
            ));
        }
        let mut used = 0;
        loop {
            let one = &self.clients[id / 2];
            let step = self.setup.transport.open.get(one.step);
            let wait = match step {
                Some(step) => step.wait.as_deref(),
                None => self.setup.transport.ready.as_deref(),
            };
            let end = match wait {
                None => used,
                Some(text) => match memmem::find(&inbox[used..], text.as_bytes()) {
                    Some(at) => used + at + text.len(),
                    None => break,
                },
            };
            // A capture may begin before the text that was waited for.
            capture(
                &self.setup.transport,
                &inbox[..end],
                &mut self.clients[id / 2],
            );
            used = end;
            if step.is_none() {
                self.frames(client, &inbox)?;
                inbox.drain(..used);
                self.client_ready(client);
                self.scan(client, &inbox);
                return Ok(());
            }
            self.send_step(client)?;
            self.clients[id / 2].step += 1;
        }
        // Frames are walked once, when the client is ready: an opening that is
        // over in seconds needs no pong.
        if let Some(conn) = &mut self.conns[id] {
            conn.inbox = inbox;
        }
        Ok(())
    }

    /// Sends what the present step of a WebSocket's opening says.
    fn send_step(&mut self, client: u32) -> Result<()> {
        let step = self.clients[client as usize].step;
        let template = self
            .setup
            .transport
            .open
            .get(step)
            .and_then(|step| step.send.clone());
        let Some(template) = template else {
            return Ok(());
        };
        let mut text = Vec::new();
        let one = &self.clients[client as usize];
        let channel = &self.channels[self.setup.clients[client as usize].0];
        let value = |name: &str| match name {
            "channel" => Some(&channel[..]),
            name => one.get(name),
        };
        if !template.render(value, &mut text) {
            return Err(Error::new(
                "a step of `open` uses a variable that has no value",
            ));
        }
        self.send_text(client, &text)
    }

    /// Goes over the frames of a WebSocket and answers what must be answered.
    fn frames(&mut self, client: u32, bytes: &[u8]) -> Result<()> {
        if self.setup.transport.kind != Kind::Ws {
            return Ok(());
        }
        let Some(conn) = &mut self.conns[2 * client as usize] else {
            return Ok(());
        };
        let mut frames = Vec::new();
        conn.walk.feed(bytes, &mut frames)?;
        for frame in frames {
            match frame {
                Frame::Ping(payload) => self.send_pong(client, &payload)?,
                // The end of the connection follows, and is counted then.
                Frame::Close(_) => {}
                Frame::Short(text) => {
                    let replies = &self.setup.transport.answers;
                    let reply = replies.iter().find(|reply| reply.on.as_bytes() == text);
                    if let Some(send) = reply.map(|reply| reply.send.clone()) {
                        self.send_text(client, send.as_bytes())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks for markers, and keeps what the next read goes on from.
    fn scan(&mut self, client: u32, bytes: &[u8]) {
        let now = self.now();
        self.look_for_gap(client, bytes);
        let counts = self.clients[client as usize].counts;
        let (ledger, meter) = (&mut self.ledger, &mut self.meter);
        let mut last = 0;
        let mut keep = self.scanner.scan(bytes, |mark, end| {
            last = end;
            if ledger.hears(client, mark) {
                meter.heard(mark.due, now, counts);
            }
        });
        if self.track_cursors && !self.setup.transport.captures.is_empty() {
            // The id of a message stands before its marker: one that stands
            // after the last marker belongs to a message that is not whole.
            capture(
                &self.setup.transport,
                &bytes[..last],
                &mut self.clients[client as usize],
            );
            if bytes.len() - last <= CARRY {
                keep = bytes.len() - last;
            }
        }
        if let Some(conn) = &mut self.conns[2 * client as usize] {
            conn.inbox.clear();
            conn.inbox.extend_from_slice(&bytes[bytes.len() - keep..]);
        }
    }

    /// Whether the server tells this client that it missed something: looked for
    /// where a client has reason to, as it costs.
    fn look_for_gap(&mut self, client: u32, bytes: &[u8]) {
        let one = &mut self.clients[client as usize];
        if let Some(text) = &self.setup.transport.gap
            && self.track_gaps
            && !one.told
        {
            one.told = memmem::find(bytes, text.as_bytes()).is_some();
        }
    }

    /// Answers to posts and polls, of which `bytes` came last.
    fn answers(&mut self, id: usize, bytes: &[u8], ended: bool) -> Result<()> {
        let Some(conn) = &mut self.conns[id] else {
            return Ok(());
        };
        // Mostly an answer comes in one read, and needs no copy.
        let mut kept = std::mem::take(&mut conn.inbox);
        let all = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept[..]
        };
        let mut at = 0;
        while at < all.len()
            && let Some(answer) = http::answer(&all[at..], ended)?
        {
            at += answer.len;
            let goes_on = !answer.close;
            if id.is_multiple_of(2) {
                self.polled((id / 2) as u32, &answer)?;
            } else {
                self.posted((id / 2) as u32, &answer)?;
            }
            if !goes_on {
                self.drop_conn(id);
                return self.connect(id);
            }
            if id.is_multiple_of(2) {
                self.send_poll((id / 2) as u32)?;
            } else {
                self.pump_posts((id / 2) as u32)?;
            }
        }
        let rest = all[at..].to_vec();
        if let Some(conn) = &mut self.conns[id] {
            conn.inbox = rest;
        }
        Ok(())
    }

    fn polled(&mut self, client: u32, answer: &http::Answer<'_>) -> Result<()> {
        let transport = &self.setup.transport;
        let one = &mut self.clients[client as usize];
        if answer.status >= 400 {
            if one.phase == Phase::Opening {
                return Err(refusal(answer.status, &answer.body));
            }
            self.meter.counters.failed += 1;
            if self.meter.counters.failed > MAX_FAILED {
                return Err(refusal(answer.status, &answer.body));
            }
            return Ok(());
        }
        capture(transport, answer.head, one);
        capture(transport, &answer.body, one);
        if one.phase == Phase::Opening {
            let step = transport.open.get(one.step);
            let wait = step.and_then(|step| step.wait.as_ref());
            if wait.is_none_or(|text| memmem::find(&answer.body, text.as_bytes()).is_some()) {
                one.step += 1;
            } else {
                one.tries += 1;
                if one.tries > MAX_TRIES {
                    return Err(Error::new(
                        "a poll's opening never got the answer it waits for",
                    ));
                }
            }
            return Ok(());
        }
        let now = self.now();
        self.look_for_gap(client, &answer.body);
        let counts = self.clients[client as usize].counts;
        let (ledger, meter) = (&mut self.ledger, &mut self.meter);
        self.scanner.scan(&answer.body, |mark, _| {
            if ledger.hears(client, mark) {
                meter.heard(mark.due, now, counts);
            }
        });
        // Engine.IO joins packets with a record separator.
        for part in answer.body.split(|&byte| byte == 0x1e) {
            let replies = &self.setup.transport.answers;
            if let Some(reply) = replies.iter().find(|reply| reply.on.as_bytes() == part) {
                let send = reply.send.clone();
                self.post(client, None, send.as_bytes())?;
            }
        }
        Ok(())
    }

    fn posted(&mut self, client: u32, answer: &http::Answer<'_>) -> Result<()> {
        let posted = self.clients[client as usize].posting.take();
        if answer.status >= 300 {
            self.meter.counters.refused += 1;
            match posted {
                Some(Some(seq)) => self.ledger.refused(client, seq),
                _ => return Err(refusal(answer.status, &answer.body)),
            }
            if self.meter.counters.deliveries == 0 && self.meter.counters.refused > 100 {
                return Err(refusal(answer.status, &answer.body));
            }
        }
        Ok(())
    }

    /// The server closed its side.
    pub(super) fn ended(&mut self, id: usize) -> Result<()> {
        let poll = id.is_multiple_of(2) && self.setup.transport.kind == Kind::Poll;
        if poll || !id.is_multiple_of(2) {
            let waits = self.conns[id]
                .as_ref()
                .is_some_and(|conn| !conn.inbox.is_empty());
            if waits {
                self.answers(id, &[], true)?;
                // An answer that the end made whole has already reconnected.
                if self.conns[id]
                    .as_ref()
                    .is_some_and(|conn| conn.stage == Stage::Connecting)
                {
                    return Ok(());
                }
            }
        }
        self.lost(id)
    }
}

/// Sets the variables that stand in `bytes`, each at its last place.
fn capture(transport: &Transport, bytes: &[u8], client: &mut Client) {
    for (name, capture) in &transport.captures {
        let mut before = bytes.len();
        while let Some(at) = memmem::rfind(&bytes[..before], capture.after.as_bytes()) {
            let value = &bytes[at + capture.after.len()..];
            if let Some(len) = memmem::find(value, capture.until.as_bytes()) {
                client.set(name, &value[..len]);
                break;
            }
            before = at;
        }
    }
}

fn refusal(status: u16, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
    Error::new(format_args!(
        "the server answered {status}: {}",
        text.trim()
    ))
}
