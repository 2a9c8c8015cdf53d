//! A WebSocket in the envelope form, client side.

use bytes::{Buf as _, Bytes, BytesMut};
use fanwire_proto::native::{self, Incoming};
use fanwire_proto::ws::{Decoder, Event, Limits, Opcode, Role, close, masked_frame};
use hyper::upgrade::Upgraded;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::io::Io;
use super::random;
use super::stream::Stream;
use crate::session::End;

/// Bytes per read.
const READ: usize = 16 * 1024;
/// Most bytes of unwritten pongs: past it, older pings are not answered.
const OUT: usize = 4 * 1024;

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    decoder: Decoder,
    /// Read, not decoded yet.
    rest: Bytes,
    buf: BytesMut,
    /// To be written before the next read.
    out: BytesMut,
    /// Some of it was written and may not have left.
    held: bool,
    /// The server's close frame, once it came.
    closed: Option<End>,
}

/// What a socket gave.
#[derive(Debug)]
pub(crate) enum Item {
    /// An object.
    Object(Incoming),
    /// Bytes that were no message: the peer is alive.
    Alive,
}

impl Socket {
    /// The socket of an upgraded connection. None where it is of another kind.
    pub(crate) fn new(upgraded: Upgraded, max_message: usize) -> Option<Self> {
        let parts = upgraded.downcast::<Io>().ok()?;
        let limits = Limits {
            max_message,
            max_fragments: 1 << 16,
        };
        Some(Self {
            stream: parts.io.0,
            decoder: Decoder::new(Role::Client, limits),
            rest: parts.read_buf,
            buf: BytesMut::new(),
            out: BytesMut::new(),
            held: false,
            closed: None,
        })
    }

    /// The next item. Nothing is lost if this is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<Item, End> {
        loop {
            while !self.out.is_empty() {
                let written = self.stream.write(&self.out).await.map_err(lost)?;
                self.out.advance(written);
                // TLS holds back what the socket did not take.
                self.held = true;
            }
            if self.held {
                self.stream.flush().await.map_err(lost)?;
                self.held = false;
            }
            if let Some(end) = self.closed.take() {
                let _ = self.stream.shutdown().await;
                return Err(end);
            }
            if self.rest.is_empty() {
                self.buf.reserve(READ);
                if self.stream.read_buf(&mut self.buf).await.map_err(lost)? == 0 {
                    return Err(End::Lost("the connection ended".to_owned()));
                }
                self.rest = self.buf.split().freeze();
            }
            if let Some(item) = self.decode()? {
                return Ok(item);
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Item>, End> {
        let mut input = &self.rest[..];
        let event = self
            .decoder
            .decode(&mut input)
            .map_err(|e| End::Unusable(e.to_string()))?;
        let used = self.rest.len() - input.len();
        let _ = self.rest.split_to(used);
        Ok(match event {
            None => Some(Item::Alive),
            Some(Event::Pong(_)) => Some(Item::Alive),
            Some(Event::Ping(payload)) => {
                self.answer(Opcode::Pong, &payload);
                None
            }
            Some(Event::Text(text)) => Some(Item::Object(
                native::read::read(&text).map_err(|e| End::Unusable(e.to_string()))?,
            )),
            Some(Event::Binary(_)) => {
                return Err(End::Unusable(
                    "a binary frame in the envelope form".to_owned(),
                ));
            }
            Some(Event::Close(code, reason)) => {
                let mut payload = Vec::new();
                close::encode(code, "", &mut payload);
                self.answer(Opcode::Close, &payload);
                self.closed = Some(End::Closed { code, reason });
                None
            }
        })
    }

    fn answer(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.out.len() < OUT {
            self.out
                .extend_from_slice(&masked_frame(opcode, payload, random()));
        }
    }
}

fn lost(error: std::io::Error) -> End {
    End::Lost(error.to_string())
}
