//! One connection: the requests and frames at the front of what it sent.

use std::os::fd::OwnedFd;

use fanwire_proto::ws::{self, Opcode, handshake};

use crate::error::Result;
use crate::http;
use crate::net::OutBuffer;

/// Largest request or frame; longer ones end the connection.
const MAX_INBOX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) fd: OwnedFd,
    pub(super) out: OutBuffer,
    pub(super) wants_write: bool,
    pub(super) mode: Mode,
    /// What it listens to.
    pub(super) channel: Option<usize>,
    inbox: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Http,
    Ws,
    Sse,
}

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Ws {
        channel: String,
        answer: String,
    },
    Sse {
        channel: String,
    },
    Poll {
        channel: String,
        after: Option<u64>,
    },
    Publish {
        channel: String,
        message: Vec<u8>,
    },
    /// A message by the connection's own WebSocket.
    Say(Vec<u8>),
    Pong(Vec<u8>),
    Nothing,
    NotFound,
    Close,
}

impl Conn {
    pub(super) fn new(fd: OwnedFd) -> Conn {
        Conn {
            fd,
            out: OutBuffer::default(),
            wants_write: false,
            mode: Mode::Http,
            channel: None,
            inbox: Vec::new(),
        }
    }

    pub(super) fn received(&mut self, bytes: &[u8]) -> bool {
        self.inbox.extend_from_slice(bytes);
        self.inbox.len() <= MAX_INBOX
    }

    /// The next whole wish of what was received.
    pub(super) fn next(&mut self) -> Option<Wish> {
        let (wish, used) = match self.mode {
            Mode::Http => match request(&self.inbox) {
                Ok(found) => found?,
                Err(_) => (Wish::Close, self.inbox.len()),
            },
            Mode::Ws => frame(&self.inbox)?,
            Mode::Sse => return None,
        };
        self.inbox.drain(..used);
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        Some(wish)
    }
}

fn request(bytes: &[u8]) -> Result<Option<(Wish, usize)>> {
    let Some(head_len) = http::head_len(bytes)? else {
        return Ok(None);
    };
    let head = &bytes[..head_len];
    let length: usize = http::header(head, "content-length")
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
        .unwrap_or(0);
    let Some(body) = bytes[head_len..].get(..length) else {
        return Ok(None);
    };
    let line = String::from_utf8_lossy(head.split(|&b| b == b'\r').next().unwrap_or_default());
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parts = path.splitn(3, '/').skip(1);
    let kind = parts.next().unwrap_or("");
    let channel = parts.next().unwrap_or("").to_owned();
    let wish = match (method, kind) {
        ("GET", "ws") => {
            let key = http::header(head, "sec-websocket-key").unwrap_or_default();
            Wish::Ws {
                channel,
                answer: handshake::accept_key(key),
            }
        }
        ("GET", "sse") => Wish::Sse { channel },
        ("GET", "poll") => {
            let after = query.strip_prefix("after=").and_then(|n| n.parse().ok());
            Wish::Poll { channel, after }
        }
        ("POST", "pub") => Wish::Publish {
            channel,
            message: body.to_vec(),
        },
        _ => Wish::NotFound,
    };
    Ok(Some((wish, head_len + length)))
}

fn frame(bytes: &[u8]) -> Option<(Wish, usize)> {
    let (header, used) = match ws::Header::decode(bytes) {
        Ok(found) => found?,
        Err(_) => return Some((Wish::Close, bytes.len())),
    };
    let end = used.checked_add(usize::try_from(header.len).ok()?)?;
    let mut payload = bytes.get(used..end)?.to_vec();
    if let Some(mask) = header.mask {
        ws::frame::apply_mask(mask, 0, &mut payload);
    }
    let wish = match header.opcode {
        Opcode::Ping => Wish::Pong(payload),
        Opcode::Close => Wish::Close,
        Opcode::Pong => Wish::Nothing,
        _ => Wish::Say(payload),
    };
    Some((wish, end))
}
