//! The same work done by another implementation: tungstenite for frames,
//! flate2's own stream for compressed messages.

use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use fanwire_proto::error::Violation;
use fanwire_proto::ws::{CloseCode, Decoder, Event, Limits, Role};
use flate2::{Decompress, FlushDecompress, Status};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{WebSocketConfig, WebSocketContext};

/// How a stream of frames was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it said, up to a close or the first broken rule.
    pub events: Vec<Event>,
    /// A rule was broken.
    pub refused: bool,
}

/// Ours, in one piece.
#[must_use]
pub fn ours(role: Role, limits: Limits, stream: &[u8]) -> (Reading, Option<Violation>) {
    let mut decoder = Decoder::new(role, limits);
    let (events, violation) = drain(&mut decoder, [stream]);
    let refused = violation.is_some();
    (Reading { events, refused }, violation)
}

/// Everything that a decoder makes of `pieces`, up to a close or an error.
pub fn drain<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Violation>) {
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(piece.is_empty(), "a decoder asks for more only at the end");
    }
    (events, None)
}

/// A stream to read from whose other direction goes nowhere.
struct OneWay<'a>(Cursor<&'a [u8]>);

impl Read for OneWay<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            // Not the end of the connection: nothing more came so far.
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for OneWay<'_> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What tungstenite says in place of a close code that it does not take.
pub const PROTOCOL_VIOLATION: &str = "Protocol violation";

/// Tungstenite's reading. Its habits are brought to the standard's words: what
/// it makes of a close code that may not be sent is a refusal, and a close
/// is the last event.
#[must_use]
pub fn tungstenite(role: Role, max_message: usize, stream: &[u8]) -> Reading {
    let config = WebSocketConfig::default()
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
        .read_buffer_size(4096);
    let mut context = WebSocketContext::new(side(role), Some(config));
    let mut stream = OneWay(Cursor::new(stream));
    let mut events = Vec::new();
    let mut refused = false;
    loop {
        let event = match context.read(&mut stream) {
            Ok(Message::Text(text)) => Event::Text(Bytes::from(text)),
            Ok(Message::Binary(data)) => Event::Binary(data),
            Ok(Message::Ping(data)) => Event::Ping(data),
            Ok(Message::Pong(data)) => Event::Pong(data),
            Ok(Message::Close(close)) => {
                // Its own words for a code that it does not take.
                refused = close.as_ref().is_some_and(|close| {
                    u16::from(close.code) == 1002 && close.reason.as_str() == PROTOCOL_VIOLATION
                });
                if !refused {
                    events.push(closed(close));
                }
                break;
            }
            Ok(Message::Frame(_)) => continue,
            Err(tungstenite::Error::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock =>
            {
                break;
            }
            Err(_) => {
                refused = true;
                break;
            }
        };
        events.push(event);
    }
    Reading { events, refused }
}

fn closed(close: Option<CloseFrame>) -> Event {
    match close {
        None => Event::Close(None, String::new()),
        Some(close) => Event::Close(
            Some(CloseCode(u16::from(close.code))),
            close.reason.as_str().to_owned(),
        ),
    }
}

fn side(role: Role) -> tungstenite::protocol::Role {
    match role {
        Role::Server => tungstenite::protocol::Role::Server,
        Role::Client => tungstenite::protocol::Role::Client,
    }
}

/// One frame to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The last of its message.
    pub fin: bool,
    /// The four bits of its opcode.
    pub opcode: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Frames as tungstenite writes them; a client's with masks of its own choice.
#[must_use]
pub fn written_by_tungstenite(role: Role, parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let opcode = match part.opcode {
            8 => OpCode::Control(Control::Close),
            9 => OpCode::Control(Control::Ping),
            10 => OpCode::Control(Control::Pong),
            1 => OpCode::Data(Data::Text),
            2 => OpCode::Data(Data::Binary),
            _ => OpCode::Data(Data::Continue),
        };
        let mut frame = Frame::message(part.payload.clone(), OpCode::Data(Data::Binary), part.fin);
        frame.header_mut().opcode = opcode;
        // What a client writes is read by a server.
        if role == Role::Client {
            frame.header_mut().mask = Some([1, part.opcode, 3, part.payload.len() as u8]);
        }
        frame
            .format(&mut out)
            .expect("writing to a Vec cannot fail");
    }
    out
}

/// What became of a compressed message.
#[derive(Debug, PartialEq, Eq)]
pub enum Inflated {
    /// Its data.
    Message(Vec<u8>),
    /// It has a final block, behind which one inflater stops; what then, the
    /// standard leaves open.
    Stopped,
    /// It is not DEFLATE, ends in mid-block, or is over the limit.
    Refused,
}

/// A compressed message as RFC 7692, 7.2.2 says in words: the payload and the
/// tail that was left out, through one inflater.
#[must_use]
pub fn inflated(payload: &[u8], limit: usize) -> Inflated {
    let mut input = payload.to_vec();
    input.extend_from_slice(&[0, 0, 0xFF, 0xFF]);
    // An empty final block: whether the message ended between two blocks shows
    // in whether this is one.
    input.extend_from_slice(&[1, 0, 0, 0xFF, 0xFF]);
    let mut inflater = Decompress::new(false);
    let mut out = Vec::with_capacity(limit + 1);
    let status = inflater.decompress_vec(&input, &mut out, FlushDecompress::Finish);
    match status {
        _ if out.len() > limit => Inflated::Refused,
        Ok(Status::StreamEnd) if inflater.total_in() == input.len() as u64 => {
            Inflated::Message(out)
        }
        Ok(Status::StreamEnd) => Inflated::Stopped,
        _ => Inflated::Refused,
    }
}
