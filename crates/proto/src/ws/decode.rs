//! Messages from the bytes of a connection, however they were cut.

use bytes::Bytes;

use super::close::{self, CloseCode};
use super::deflate::Inflate;
use super::frame::{Header, MAX_HEADER, Opcode, apply_mask};
use super::utf8::Utf8;
use crate::error::Violation;
use crate::limits;

/// Which side this decoder serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads what clients send: every frame must be masked.
    Server,
    /// Reads what a server sends: no frame may be masked.
    Client,
}

/// What a decoder takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in bytes, over all its fragments. Past it: 1009, as soon
    /// as a header says so.
    pub max_message: usize,
    /// Most frames per message, empty ones included. Past it: 1009.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: limits::MESSAGE_BYTES,
            max_fragments: limits::MESSAGE_FRAGMENTS,
        }
    }
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole text message, valid UTF-8.
    Text(Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// Answer with a pong of the same payload; of several unanswered pings the
    /// latest is enough (RFC 6455, 5.5.3).
    Ping(Bytes),
    /// Says only that the peer is alive.
    Pong(Bytes),
    /// The peer's last frame: its code and reason. Answer with a close frame if
    /// none was sent, then end the connection. Everything after it is ignored.
    Close(Option<CloseCode>, String),
}

/// Turns a connection's bytes into [`Event`]s.
///
/// It works from a borrowed slice, so that many connections can share one read
/// buffer: only what is incomplete is kept inside. An idle decoder (no frame
/// and no message under way) holds no heap memory; a declared length allocates
/// nothing, memory grows with the bytes that came.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    limits: Limits,
    /// How compressed messages are read; none where they were not agreed on.
    inflate: Option<Inflate>,
    /// A header that is not whole yet.
    head: [u8; MAX_HEADER],
    head_len: u8,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The data message under way: from its first frame's header on.
    message: Option<Message>,
    /// Payload of the control frame under way.
    control: Vec<u8>,
    /// A close came, or a rule was broken: the rest is ignored.
    done: bool,
}

#[derive(Debug)]
struct Frame {
    header: Header,
    /// Payload bytes taken so far.
    taken: u64,
}

#[derive(Debug)]
struct Message {
    text: bool,
    /// Compressed: the payload is inflated, and text judged, when it is whole.
    deflated: bool,
    payload: Vec<u8>,
    /// Frames so far, this one included.
    fragments: u32,
    utf8: Utf8,
}

impl Decoder {
    /// A decoder for one connection.
    #[must_use]
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            inflate: None,
            head: [0; MAX_HEADER],
            head_len: 0,
            frame: None,
            message: None,
            control: Vec::new(),
            done: false,
        }
    }

    /// The same, with permessage-deflate agreed on. `context`: the peer may refer
    /// to earlier messages (no *no context takeover* for its side), so that up
    /// to 32 KiB of them are kept. Else an idle decoder still holds nothing.
    #[must_use]
    pub fn inflating(mut self, context: bool) -> Self {
        self.inflate = Some(match context {
            true => Inflate::Context(Vec::new()),
            false => Inflate::Alone,
        });
        self
    }

    /// Takes bytes from the front of `input`, which moves on, up to the end of
    /// the next event. `None` means that all input was used up: read more. Call
    /// it until then; one slice can hold many events.
    ///
    /// After [`Event::Close`] or an error all further input is swallowed.
    ///
    /// # Errors
    /// The first broken rule, with the close code to send: 1002 (framing,
    /// masking, order of fragments), 1007 (text that is not UTF-8, at the byte
    /// that shows it; what cannot be inflated), 1009 (over a limit, at the header
    /// that shows it; for a compressed message also as soon as it is inflated
    /// that far).
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        if self.done {
            *input = &[];
            return Ok(None);
        }
        let result = self.step(input);
        if matches!(result, Err(_) | Ok(Some(Event::Close(..)))) {
            self.done = true;
            self.message = None;
            self.control = Vec::new();
            self.inflate = None;
        }
        result
    }

    /// Whether a frame or a message has begun and not ended: time to have a
    /// deadline for the rest.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        !self.done && (self.head_len > 0 || self.frame.is_some() || self.message.is_some())
    }

    /// Bytes of heap memory held for what is incomplete.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |m| m.payload.capacity());
        let context = self.inflate.as_ref().map_or(0, Inflate::held_bytes);
        self.control.capacity() + message + context
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            if self.frame.is_none() {
                let Some(header) = self.take_header(input)? else {
                    return Ok(None);
                };
                self.begin(header)?;
            }
            if let Some(event) = self.take_payload(input)? {
                return Ok(Some(event));
            }
            if self.frame.is_some() {
                return Ok(None);
            }
        }
    }

    /// The next header, from the input alone where it is whole there.
    fn take_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        if self.head_len == 0
            && let Some((header, used)) = self.judge(input)?
        {
            *input = &input[used..];
            return Ok(Some(header));
        }
        while let Some((&byte, rest)) = input.split_first() {
            self.head[usize::from(self.head_len)] = byte;
            self.head_len += 1;
            *input = rest;
            if let Some((header, _)) = self.judge(&self.head[..usize::from(self.head_len)])? {
                self.head_len = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Reads a header and holds it against the rule of masking, which shows in
    /// the second byte already.
    fn judge(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let deflate = self.inflate.is_some();
        let decoded = Header::decode_with(bytes, deflate);
        let Some([_, second]) = bytes.first_chunk() else {
            return decoded;
        };
        let wrong = match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => "a client's frame must be masked",
            (Role::Client, true) => "a server's frame may not be masked",
            _ => return decoded,
        };
        // What the first two bytes show comes before what the others do, so that
        // the answer does not depend on how the connection's bytes were cut.
        Header::decode_with(&bytes[..2], deflate)?;
        Err(Violation::new(1002, wrong))
    }

    /// Holds a frame against the message under way and the limits, before any
    /// of its payload is taken.
    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        match (header.opcode, &mut self.message) {
            (Opcode::Continuation, None) => {
                return Err(Violation::new(1002, "a continuation without a message"));
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::new(1002, "a new message inside another"));
            }
            (Opcode::Continuation, Some(message)) => message.fragments += 1,
            (Opcode::Text | Opcode::Binary, none) => {
                *none = Some(Message {
                    text: header.opcode == Opcode::Text,
                    deflated: header.deflated,
                    payload: Vec::new(),
                    fragments: 1,
                    utf8: Utf8::default(),
                });
            }
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {}
        }
        if let (Some(message), false) = (&self.message, header.opcode.is_control()) {
            let most = match message.deflated {
                true => Inflate::compressed_limit(self.limits.max_message),
                false => self.limits.max_message,
            };
            if header.len > (most - message.payload.len()) as u64 {
                return Err(Violation::new(1009, "a message over the limit"));
            }
            if message.fragments > self.limits.max_fragments {
                return Err(Violation::new(1009, "a message in too many fragments"));
            }
        }
        self.frame = Some(Frame { header, taken: 0 });
        Ok(())
    }

    /// Takes what is there of the current frame's payload, and ends the frame
    /// where it is all there.
    fn take_payload(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        let Some(frame) = &mut self.frame else {
            return Ok(None);
        };
        let missing = frame.header.len - frame.taken;
        let n = usize::try_from(missing).map_or(input.len(), |m| m.min(input.len()));
        let (part, rest) = input.split_at(n);
        *input = rest;

        let control = frame.header.opcode.is_control();
        let target = match &mut self.message {
            Some(message) if !control => &mut message.payload,
            _ => &mut self.control,
        };
        let from = target.len();
        if n as u64 == missing && from == 0 {
            target.reserve_exact(n);
        }
        target.extend_from_slice(part);
        if let Some(mask) = frame.header.mask {
            apply_mask(mask, frame.taken, &mut target[from..]);
        }
        frame.taken += n as u64;
        let whole = frame.taken == frame.header.len;

        if let (Some(message), false) = (&mut self.message, control)
            && message.text
            && !message.deflated
            && message.utf8.feed(&message.payload[from..]).is_err()
        {
            return Err(Violation::new(1007, "text that is not UTF-8"));
        }
        if whole { self.end_frame() } else { Ok(None) }
    }

    fn end_frame(&mut self) -> Result<Option<Event>, Violation> {
        let Some(Frame { header, .. }) = self.frame.take() else {
            return Ok(None);
        };
        if header.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match header.opcode {
                Opcode::Ping => Event::Ping(payload.into()),
                Opcode::Pong => Event::Pong(payload.into()),
                _ => {
                    let (code, reason) = close::decode(&payload)?;
                    Event::Close(code, reason)
                }
            }));
        }
        if !header.fin {
            return Ok(None);
        }
        let Some(mut message) = self.message.take() else {
            return Ok(None);
        };
        if let (true, Some(inflate)) = (message.deflated, &mut self.inflate) {
            message.payload = inflate.message(message.payload, self.limits.max_message)?;
            if message.text && message.utf8.feed(&message.payload).is_err() {
                return Err(Violation::new(1007, "text that is not UTF-8"));
            }
        }
        if message.text && !message.utf8.is_whole() {
            return Err(Violation::new(1007, "text that ends inside a character"));
        }
        let payload = finished(message.payload);
        Ok(Some(if message.text {
            Event::Text(payload)
        } else {
            Event::Binary(payload)
        }))
    }
}

/// Gives back what an assembled message has allocated to spare: it may be kept
/// for long.
fn finished(mut payload: Vec<u8>) -> Bytes {
    if payload.capacity() - payload.len() > payload.len() / 8 {
        payload.shrink_to_fit();
    }
    payload.into()
}
