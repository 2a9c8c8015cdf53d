//! What a client sends: the request of its stream, its polls, its messages.

use fanwire_proto::ws::handshake::client_key;
use fanwire_proto::ws::{Opcode, masked_frame};

use super::client::{Client, Phase, Stage};
use super::engine::Engine;
use crate::adapter::Template;
use crate::error::{Error, Result};
use crate::marker::Mark;

/// Posts that one client may have waiting: what comes after is refused.
const MAX_POSTS: usize = 100_000;

/// The values of a template.
struct Values<'a> {
    channel: &'a [u8],
    host: &'a str,
    client: &'a Client,
    message: &'a [u8],
}

impl<'a> Values<'a> {
    fn get(&self, name: &str) -> Option<&'a [u8]> {
        match name {
            "channel" => Some(self.channel),
            "message" => Some(self.message),
            "host" => Some(self.host.as_bytes()),
            name => self.client.get(name),
        }
    }

    fn render(&self, template: &Template, out: &mut Vec<u8>) -> Result<()> {
        match template.render(|name| self.get(name), out) {
            true => Ok(()),
            false => Err(Error::new(format_args!(
                "the adapter uses a variable that has no value in {template:?}"
            ))),
        }
    }

    /// A request's line and headers, without the empty line at the end.
    fn head<'h>(
        &self,
        method: &[u8],
        path: &Template,
        headers: impl Iterator<Item = (&'h String, &'h Template)>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.clear();
        out.extend_from_slice(method);
        out.push(b' ');
        self.render(path, out)?;
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(self.host.as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            let before = out.len();
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            match value.render(|name| self.get(name), out) {
                true => out.extend_from_slice(b"\r\n"),
                false => out.truncate(before),
            }
        }
        Ok(())
    }
}

fn finish_with_body(body: &[u8], out: &mut Vec<u8>) {
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    out.extend_from_slice(length.as_bytes());
    out.extend_from_slice(body);
}

impl Engine {
    fn values<'a>(&'a self, client: u32, message: &'a [u8]) -> Values<'a> {
        Values {
            channel: &self.channels[self.setup.clients[client as usize].0],
            host: &self.setup.host,
            client: &self.clients[client as usize],
            message,
        }
    }

    /// A client publishes a message that is due now, or was.
    pub(crate) fn publish(&mut self, client: u32, due: u64) -> Result<()> {
        let seq = self.ledger.sends(client);
        let mut message = std::mem::take(&mut self.message);
        let mark = Mark {
            sender: client,
            seq,
            due,
        };
        mark.message(self.setup.payload, &mut message);
        let done = match self.setup.transport.publish.send.is_some() {
            true => self.say(client, &message),
            false => self.post(client, Some(seq), &message),
        };
        self.message = message;
        done
    }

    fn say(&mut self, client: u32, message: &[u8]) -> Result<()> {
        let mut text = Vec::with_capacity(message.len() + 64);
        if let Some(template) = &self.setup.transport.publish.send {
            self.values(client, message).render(template, &mut text)?;
        }
        self.send_text(client, &text)
    }

    /// One WebSocket message.
    pub(super) fn send_text(&mut self, client: u32, text: &[u8]) -> Result<()> {
        let frame = masked_frame(Opcode::Text, text, self.rng.mask());
        self.meter.counters.requests += 1;
        self.write(2 * client as usize, &frame)
    }

    pub(super) fn send_pong(&mut self, client: u32, payload: &[u8]) -> Result<()> {
        let frame = masked_frame(Opcode::Pong, payload, self.rng.mask());
        self.write(2 * client as usize, &frame)
    }

    /// A POST by the client's own connection, after those that wait. Without a
    /// number it is the protocol's, not a message.
    pub(super) fn post(&mut self, client: u32, seq: Option<u32>, message: &[u8]) -> Result<()> {
        let publish = &self.setup.transport.publish;
        let Some(path) = &publish.post else {
            return Ok(());
        };
        let values = self.values(client, message);
        let mut body = Vec::with_capacity(message.len() + 64);
        match seq {
            Some(_) => values.render(&publish.body, &mut body)?,
            None => body.extend_from_slice(message),
        }
        let mut request = Vec::with_capacity(body.len() + 256);
        values.head(b"POST", path, publish.headers.iter(), &mut request)?;
        finish_with_body(&body, &mut request);
        let posts = &mut self.clients[client as usize].posts;
        if posts.len() >= MAX_POSTS {
            self.meter.counters.refused += 1;
            seq.into_iter()
                .for_each(|seq| self.ledger.refused(client, seq));
            return Ok(());
        }
        posts.push_back((seq, request));
        self.pump_posts(client)
    }

    /// Sends the next post, if none is under way.
    pub(super) fn pump_posts(&mut self, client: u32) -> Result<()> {
        let id = 2 * client as usize + 1;
        match &self.conns[id] {
            Some(conn) if conn.stage != Stage::Connecting => {}
            Some(_) => return Ok(()),
            None => return self.connect(id),
        }
        let one = &mut self.clients[client as usize];
        if one.posting.is_some() {
            return Ok(());
        }
        if let Some((seq, request)) = one.posts.pop_front() {
            one.posting = Some(seq);
            self.meter.counters.requests += 1;
            self.request(id, &request)?;
        }
        Ok(())
    }

    /// The request that opens a stream.
    pub(super) fn send_stream_request(&mut self, client: u32) -> Result<()> {
        let nonce = self.rng.nonce();
        let mut wire = std::mem::take(&mut self.wire);
        let transport = &self.setup.transport;
        let one = &self.clients[client as usize];
        let resume = transport.resume.as_ref().filter(|_| one.resuming);
        let path = resume
            .and_then(|resume| resume.path.as_ref())
            .unwrap_or(&transport.path);
        let extra = resume.into_iter().flat_map(|resume| &resume.headers);
        let headers = transport.headers.iter().chain(extra);
        self.values(client, b"")
            .head(b"GET", path, headers, &mut wire)?;
        if transport.kind == crate::adapter::Kind::Ws {
            wire.extend_from_slice(
                b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: ",
            );
            wire.extend_from_slice(client_key(nonce).as_bytes());
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
        self.meter.counters.requests += 1;
        let done = self.request(2 * client as usize, &wire);
        self.wire = wire;
        done
    }

    /// The next request of a polling client: a step of opening, or a poll.
    pub(super) fn send_poll(&mut self, client: u32) -> Result<()> {
        let mut wire = std::mem::take(&mut self.wire);
        let transport = &self.setup.transport;
        let one = &self.clients[client as usize];
        let values = self.values(client, b"");
        let step = transport.open.get(one.step).filter(|_| !one.resuming);
        if let (Phase::Opening, Some(step)) = (one.phase, step) {
            let mut target = Vec::new();
            if let Some(request) = &step.request {
                values.render(request, &mut target)?;
            }
            let target = String::from_utf8_lossy(&target).into_owned();
            let (method, path) = target.split_once(' ').unwrap_or(("GET", &target));
            let path = Template::literal(path);
            values.head(
                method.as_bytes(),
                &path,
                transport.headers.iter(),
                &mut wire,
            )?;
            let mut body = Vec::new();
            match &step.body {
                Some(template) => {
                    values.render(template, &mut body)?;
                    finish_with_body(&body, &mut wire);
                }
                None => wire.extend_from_slice(b"\r\n"),
            }
        } else {
            let first = one.phase == Phase::Opening && !one.resuming;
            let next = transport.next.as_ref().filter(|_| !first);
            let path = next.unwrap_or(&transport.path);
            values.head(b"GET", path, transport.headers.iter(), &mut wire)?;
            wire.extend_from_slice(b"\r\n");
            if one.phase == Phase::Opening {
                self.client_ready(client);
            }
        }
        self.meter.counters.requests += 1;
        let done = self.request(2 * client as usize, &wire);
        self.wire = wire;
        done
    }
}
