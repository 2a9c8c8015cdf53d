//! HTTP/2 frame by frame, good or bad, over a bare connection (RFC 9113).
//!
//! Header blocks are written without compression (RFC 7541, 6.2.2), and of
//! those that come only the status is read.

use std::net::SocketAddr;

use crate::wire::{Ending, Wire};

/// What opens every connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub const DATA: u8 = 0;
#[allow(missing_docs)]
pub const HEADERS: u8 = 1;
#[allow(missing_docs)]
pub const RST_STREAM: u8 = 3;
#[allow(missing_docs)]
pub const SETTINGS: u8 = 4;
#[allow(missing_docs)]
pub const PING: u8 = 6;
#[allow(missing_docs)]
pub const GOAWAY: u8 = 7;
#[allow(missing_docs)]
pub const WINDOW_UPDATE: u8 = 8;
#[allow(missing_docs)]
pub const CONTINUATION: u8 = 9;

/// Flags: of DATA and HEADERS, of PING and SETTINGS, of HEADERS.
pub const END_STREAM: u8 = 1;
#[allow(missing_docs)]
pub const ACK: u8 = 1;
#[allow(missing_docs)]
pub const END_HEADERS: u8 = 4;

/// The setting that says how far a new stream's window is open.
pub const INITIAL_WINDOW_SIZE: u16 = 4;
/// The setting that allows Extended CONNECT (RFC 8441, 3).
pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The bytes.
    pub fn written(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn number(&self, at: usize) -> u32 {
        match self.payload.get(at..at + 4) {
            Some(four) => u32::from_be_bytes([four[0], four[1], four[2], four[3]]),
            None => panic!("{self:?} is too short"),
        }
    }

    /// The error code of a RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        self.number(if self.kind == GOAWAY { 4 } else { 0 })
    }

    /// The newest stream that a GOAWAY names.
    pub fn last_stream(&self) -> u32 {
        self.number(0)
    }

    /// The settings of a SETTINGS frame.
    pub fn settings(&self) -> Vec<(u16, u32)> {
        let one = |six: &[u8]| {
            let value = u32::from_be_bytes([six[2], six[3], six[4], six[5]]);
            (u16::from_be_bytes([six[0], six[1]]), value)
        };
        self.payload.chunks_exact(6).map(one).collect()
    }

    /// The status of an answer's HEADERS, which stands first.
    pub fn status(&self) -> u16 {
        assert_eq!(self.kind, HEADERS, "{self:?}");
        // Behind what changes the size of the table.
        let start = self.payload.iter().position(|byte| byte & 0xe0 != 0x20);
        let block = &self.payload[start.unwrap_or(0)..];
        match block[0] {
            indexed @ 0x88..=0x8e => {
                [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)]
            }
            // A new value of `:status`, with or without an entry in the table.
            0x48 | 0x08 => {
                let length = usize::from(block[1] & 0x7f);
                let value = &block[2..2 + length];
                if block[1] & 0x80 == 0 {
                    return String::from_utf8_lossy(value).parse().unwrap_or(0);
                }
                digits(value)
            }
            other => panic!("no status in front: {other:#x}"),
        }
    }
}

/// A number in Huffman's code of RFC 7541, which has 0 to 2 in five bits and 3
/// to 9 in six.
fn digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u16> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1)))
        .collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |all, bit| all * 2 + bit);
    let (mut at, mut value) = (0, 0);
    for _ in 0..3 {
        let (size, base) = if number(&bits[at..at + 5]) < 3 {
            (5, 0)
        } else {
            (6, 22)
        };
        value = value * 10 + number(&bits[at..at + size]) - base;
        at += size;
    }
    value
}

/// A header block, uncompressed.
pub fn block<N: AsRef<str>, V: AsRef<str>>(headers: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0x10); // Never indexed, with a new name.
        for text in [name.as_ref(), value.as_ref()] {
            length(&mut bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of 7 bits (RFC 7541, 5.1).
fn length(bytes: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        bytes.push(value as u8);
        return;
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A connection of frames.
#[derive(Debug)]
pub struct Frames {
    /// The connection itself.
    pub wire: Wire,
    host: String,
    next: u32,
    /// PINGs and SETTINGS are acknowledged as they come.
    pub polite: bool,
}

impl Frames {
    /// Connects with these settings, and reads nothing yet.
    pub async fn open(to: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self {
            wire: Wire::connect(to).await,
            host: to.to_string(),
            next: 1,
            polite: true,
        };
        let _ = frames.wire.send(PREFACE).await;
        let mut payload = Vec::new();
        // No table: so the status can be read without one.
        for (name, value) in [(1, 0)].iter().chain(settings) {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frames.send(SETTINGS, 0, 0, &payload).await;
        frames
    }

    /// Sends a frame; the peer may be gone.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let bytes = Frame::written(kind, flags, stream, payload);
        let _ = self.wire.send(&bytes).await;
    }

    /// The pseudo-headers of a request.
    pub fn request(&self, method: &str, path: &str) -> Vec<(String, String)> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        [
            (":method", method),
            (":scheme", "http"),
            (":authority", &self.host),
            (":path", path),
        ]
        .map(own)
        .to_vec()
    }

    /// The next stream's number.
    pub fn number(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// Sends the head of a request and gives its stream.
    pub async fn head<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        headers: &[(N, V)],
        flags: u8,
    ) -> u32 {
        let stream = self.number();
        self.send(HEADERS, END_HEADERS | flags, stream, &block(headers))
            .await;
        stream
    }

    /// Sends a GET and gives its stream.
    pub async fn get(&mut self, path: &str) -> u32 {
        let headers = self.request("GET", path);
        self.head(&headers, END_STREAM).await
    }

    /// The next frame.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn next(&mut self) -> Result<Frame, Ending> {
        let head = self.wire.take(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
            payload: self.wire.take(length as usize).await?,
        };
        if self.polite && frame.flags & ACK == 0 {
            match frame.kind {
                PING => self.send(PING, ACK, 0, &frame.payload).await,
                SETTINGS => self.send(SETTINGS, ACK, 0, b"").await,
                _ => {}
            }
        }
        Ok(frame)
    }

    /// The next frame of this type and stream; others are passed over.
    ///
    /// # Panics
    /// Where the connection ends before.
    pub async fn wait_for(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            match self.next().await {
                Ok(frame) if frame.kind == kind && frame.stream == stream => return frame,
                Ok(_) => {}
                Err(ending) => panic!("no frame {kind} of {stream}: {ending:?}"),
            }
        }
    }

    /// The text of a stream's DATA up to and with `part`.
    pub async fn text_until(&mut self, stream: u32, part: &str) -> String {
        let mut text = String::new();
        while !text.contains(part) {
            let frame = self.wait_for(DATA, stream).await;
            text.push_str(&String::from_utf8_lossy(&frame.payload));
        }
        text
    }

    /// All that still comes, and how it ended.
    pub async fn rest(&mut self) -> (Vec<Frame>, Ending) {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Ok(frame) => all.push(frame),
                Err(ending) => return (all, ending),
            }
        }
    }
}
