//! A WebSocket client of our own: every bit of a frame can be chosen.

use std::net::SocketAddr;

use crate::http::{Answer, Head, request};
use crate::said::{Heard, Kind, Said, envelope};
use crate::wire::{Ending, Wire};

/// The example key of RFC 6455, 1.3, and the answer to it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// See [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A WebSocket.
#[derive(Debug)]
pub struct Ws {
    /// The answer's head.
    pub head: Head,
    /// The connection itself.
    pub wire: Wire,
    /// The last cursor seen: of `$ready`, of a message's id, of `$cursor`.
    pub last_id: Option<String>,
    /// Payloads of pings that came.
    pub pings: usize,
    /// Payloads of the pongs that came.
    pub pongs: Vec<Vec<u8>>,
    enveloped: bool,
    partial: Option<Partial>,
}

/// A message whose last frame has not come.
#[derive(Debug)]
struct Partial {
    deflated: bool,
    opcode: u8,
    payload: Vec<u8>,
}

/// One frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The last of its message.
    pub fin: bool,
    /// RSV1: its message is compressed.
    pub deflated: bool,
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// The bytes of a masked frame; `first` is its whole first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    bytes
}

/// What a compressed message holds; each stands alone, in a window of 32 KiB.
///
/// # Panics
/// Where it cannot be inflated.
pub fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    let input = [payload, b"\x00\x00\xff\xff"].concat();
    let inflated = flate2::Decompress::new(false).decompress_vec(
        &input,
        &mut out,
        flate2::FlushDecompress::Sync,
    );
    assert!(
        inflated.is_ok() && out.len() < out.capacity(),
        "{payload:?}"
    );
    out
}

/// The payload of a compressed message (RFC 7692, 7.2.1).
pub fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1024);
    let mut compressor = flate2::Compress::new(flate2::Compression::new(6), false);
    let deflated = compressor.compress_vec(payload, &mut out, flate2::FlushCompress::Sync);
    assert!(deflated.is_ok() && out.ends_with(b"\x00\x00\xff\xff"));
    out.truncate(out.len() - 4);
    out
}

/// The bytes of a masked close frame.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}

/// The bytes of an upgrade request, with these headers after the usual ones.
pub fn upgrade(to: SocketAddr, target: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let host = to.to_string();
    let usual: [(&str, &[u8]); 5] = [
        ("Host", host.as_bytes()),
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", KEY.as_bytes()),
    ];
    let mut all: Vec<(&str, &[u8])> = usual
        .into_iter()
        .filter(|(name, _)| {
            !headers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        })
        .collect();
    all.extend_from_slice(headers);
    request("GET", target, &all, b"")
}

impl Ws {
    /// Opens a socket.
    ///
    /// # Panics
    /// Where the answer is anything but a 101 to our key.
    pub async fn open(to: SocketAddr, target: &str, headers: &[(&str, &[u8])]) -> Self {
        match Self::try_open(to, target, headers).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(answer)) => panic!("{target}: {} {}", answer.status, answer.text()),
            Err(ending) => panic!("{target}: no answer: {ending:?}"),
        }
    }

    /// A socket in the envelope, by its subprotocol.
    pub async fn envelope(to: SocketAddr, target: &str) -> Self {
        let socket = Self::open(
            to,
            target,
            &[("Sec-WebSocket-Protocol", b"fanwire.envelope")],
        );
        let socket = socket.await;
        let chosen = socket.head.header("sec-websocket-protocol");
        assert_eq!(chosen, Some("fanwire.envelope"));
        socket.enveloped(true)
    }

    /// The same, where the answer may be a refusal (`Ok(Err)`) or none (`Err`).
    ///
    /// # Errors
    /// How the connection ended before the head was whole.
    pub async fn try_open(
        to: SocketAddr,
        target: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Result<Self, Answer>, Ending> {
        Self::try_send(to, &upgrade(to, target, headers)).await
    }

    /// Sends these bytes, whose beginning is an upgrade request.
    ///
    /// # Errors
    /// As [`Ws::try_open`].
    pub async fn try_send(to: SocketAddr, bytes: &[u8]) -> Result<Result<Self, Answer>, Ending> {
        Self::try_send_over(Wire::connect(to).await, bytes).await
    }

    /// The same, on a connection that is there already.
    ///
    /// # Errors
    /// As [`Ws::try_open`].
    pub async fn try_send_over(
        mut wire: Wire,
        bytes: &[u8],
    ) -> Result<Result<Self, Answer>, Ending> {
        let _ = wire.send(bytes).await;
        let head = Head::read(&mut wire).await?;
        if head.status != 101 {
            return Ok(Err(head.body(&mut wire).await?));
        }
        assert_eq!(
            head.header("sec-websocket-accept"),
            Some(ACCEPT),
            "{head:?}"
        );
        let upgrade = head.header("upgrade").unwrap_or_default();
        assert!(upgrade.eq_ignore_ascii_case("websocket"), "{head:?}");
        let connection = head.header("connection").unwrap_or_default();
        assert!(connection.eq_ignore_ascii_case("upgrade"), "{head:?}");
        Ok(Ok(Self::over(wire, head)))
    }

    /// Takes over a connection whose head was read.
    pub fn over(wire: Wire, head: Head) -> Self {
        Self {
            head,
            wire,
            last_id: None,
            pings: 0,
            pongs: Vec::new(),
            enveloped: false,
            partial: None,
        }
    }

    /// Says that text frames are envelopes.
    #[must_use]
    pub fn enveloped(mut self, yes: bool) -> Self {
        self.enveloped = yes;
        self
    }

    /// Sends raw bytes; the peer may be gone already.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.wire.send(bytes).await;
    }

    /// Sends one text frame.
    pub async fn text(&mut self, text: &str) {
        self.send(&frame(0x81, text.as_bytes())).await;
    }

    /// Sends one binary frame.
    pub async fn binary(&mut self, bytes: &[u8]) {
        self.send(&frame(0x82, bytes)).await;
    }

    /// The next frame.
    ///
    /// # Errors
    /// The ending, where no whole one comes.
    ///
    /// # Panics
    /// Where the server breaks RFC 6455: masked, reserved bits, a length that
    /// is not the shortest.
    pub async fn frame(&mut self) -> Result<Frame, Ending> {
        let head = self.wire.take(2).await?;
        let deflated = head[0] & 0x70 == 0x40;
        if deflated {
            let agreed = self.head.header("sec-websocket-extensions");
            assert!(agreed.is_some(), "RSV1 without an extension");
            assert!(matches!(head[0] & 0x0f, 1 | 2), "RSV1 in mid-message");
        } else {
            assert_eq!(head[0] & 0x70, 0, "reserved bits");
        }
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let length = match head[1] {
            126 => {
                let bytes = self.wire.take(2).await?;
                let length = u64::from(u16::from_be_bytes([bytes[0], bytes[1]]));
                assert!(length > 125, "not the shortest length");
                length
            }
            127 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&self.wire.take(8).await?);
                let length = u64::from_be_bytes(bytes);
                assert!(length > 0xffff, "not the shortest length");
                length
            }
            short => u64::from(short),
        };
        assert!(length < 64 * 1024 * 1024, "an absurd frame: {length}");
        Ok(Frame {
            fin: head[0] & 0x80 != 0,
            deflated,
            opcode: head[0] & 0x0f,
            payload: self.wire.take(length as usize).await?,
        })
    }

    /// The next message, system event or end. Pings are answered.
    ///
    /// # Panics
    /// Where something comes that the protocol does not know.
    pub async fn next(&mut self) -> Said {
        loop {
            let Ok(frame) = self.frame().await else {
                return Said::Cut;
            };
            match frame.opcode {
                8 => return closed(&frame.payload),
                9 => {
                    self.pings += 1;
                    let pong = self::frame(0x8a, &frame.payload);
                    self.send(&pong).await;
                }
                10 => self.pongs.push(frame.payload),
                _ => {
                    if let Some((opcode, payload)) = self.join(frame) {
                        return self.said(opcode, payload);
                    }
                }
            }
        }
    }

    fn join(&mut self, frame: Frame) -> Option<(u8, Vec<u8>)> {
        let mut message = match (frame.opcode, self.partial.take()) {
            (0, Some(partial)) => partial,
            (1 | 2, None) => Partial {
                deflated: frame.deflated,
                opcode: frame.opcode,
                payload: Vec::new(),
            },
            other => panic!("a frame out of place: {other:?}"),
        };
        message.payload.extend_from_slice(&frame.payload);
        if frame.fin {
            let payload = match message.deflated {
                true => inflate(&message.payload),
                false => message.payload,
            };
            return Some((message.opcode, payload));
        }
        self.partial = Some(message);
        None
    }

    fn said(&mut self, opcode: u8, payload: Vec<u8>) -> Said {
        if self.enveloped {
            assert_eq!(opcode, 1, "an envelope is a text frame");
            let said = envelope(&payload);
            match &said {
                Said::Heard(Heard { id: Some(id), .. }) => self.last_id = Some(id.clone()),
                Said::Ready(ready) => self.last_id = Some(ready.cursor.clone()),
                Said::Cursor(cursor) => self.last_id = Some(cursor.clone()),
                _ => {}
            }
            return said;
        }
        if opcode == 1 {
            assert!(
                std::str::from_utf8(&payload).is_ok(),
                "text that is not UTF-8"
            );
        }
        Said::Heard(Heard {
            kind: if opcode == 1 { Kind::Raw } else { Kind::Frame },
            data: payload,
            ..Heard::default()
        })
    }

    /// Reads on until the close frame, answers it, and expects the end of the
    /// connection after it with nothing between.
    ///
    /// # Panics
    /// Where the connection ends without a close frame, or something follows it.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Said::Closed(code, reason) => {
                    let echo = if code == 1005 {
                        frame(0x88, b"")
                    } else {
                        close(code, b"")
                    };
                    self.send(&echo).await;
                    // Nothing more is said from here. After an error the server
                    // cannot know an echo from junk, and waits for this.
                    self.wire.finish().await;
                    let (rest, _) = self.wire.rest().await;
                    assert_eq!(rest, b"", "bytes after the close frame");
                    return (code, reason);
                }
                Said::Cut => panic!("the connection ended without a close frame"),
                _ => {}
            }
        }
    }
}

fn closed(payload: &[u8]) -> Said {
    match payload {
        [] => Said::Closed(1005, String::new()),
        [_] => panic!("a close frame of one byte"),
        [high, low, reason @ ..] => match std::str::from_utf8(reason) {
            Ok(reason) => Said::Closed(u16::from_be_bytes([*high, *low]), reason.to_owned()),
            Err(error) => panic!("a close reason that is not UTF-8: {error}"),
        },
    }
}
