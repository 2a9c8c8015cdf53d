//! One frame's header (RFC 6455, 5.2) and the mask (5.3).

use crate::error::Violation;
use crate::limits::CONTROL_BYTES;

/// Longest header: two bytes, an eight-byte length, a four-byte mask.
pub const MAX_HEADER: usize = 14;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// The next part of the message under way.
    Continuation,
    /// The first part of a text message.
    Text,
    /// The first part of a binary message.
    Binary,
    /// The last frame of its sender.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping, or says that its sender is alive.
    Pong,
}

impl Opcode {
    /// The four bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// The opcode of these four bits; none for the reserved ones.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Close, ping and pong: at most 125 bytes, never fragmented, and allowed
    /// between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame's header. Of the RSV bits only the first is kept, and only where
/// compression was agreed on; others are refused where the first byte is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether this frame ends its message.
    pub fin: bool,
    /// RSV1: the message that this frame begins is compressed (RFC 7692, 6).
    pub deflated: bool,
    /// What it is.
    pub opcode: Opcode,
    /// The mask, where the payload is masked (client to server).
    pub mask: Option<[u8; 4]>,
    /// Length of the payload in bytes.
    pub len: u64,
}

impl Header {
    /// [`Header::decode_with`] where no extension was agreed on.
    ///
    /// # Errors
    /// As there.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        Self::decode_with(bytes, false)
    }

    /// Reads a header from the front of `bytes`: the header and its own length,
    /// or none while it is not whole. What can be judged from the bytes at hand
    /// is judged at once, so that a broken first byte is refused without a second.
    ///
    /// # Errors
    /// 1002 for a set RSV bit (RSV1 is allowed on a text or binary frame where
    /// `deflate` was agreed on), a reserved opcode, a control frame that is
    /// fragmented or longer than 125 bytes, a length that is not in its
    /// shortest form or has its top bit set.
    pub fn decode_with(bytes: &[u8], deflate: bool) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        // The one place where RSV bits are judged.
        let deflated = deflate && first & 0x70 == 0x40;
        if first & 0x70 != 0 && !deflated {
            return Err(Violation::new(
                1002,
                "a reserved bit is set and no extension was agreed",
            ));
        }
        let Some(opcode) = Opcode::from_bits(first & 0x0F) else {
            return Err(Violation::new(1002, "a reserved opcode"));
        };
        if deflated && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(Violation::new(
                1002,
                "RSV1 on a frame that begins no message",
            ));
        }
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(Violation::new(1002, "a fragmented control frame"));
        }
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES {
            return Err(Violation::new(
                1002,
                "a control frame longer than 125 bytes",
            ));
        }
        let (len, at) = match short {
            126 => {
                let Some(&raw) = bytes[2..].first_chunk::<2>() else {
                    return Ok(None);
                };
                let len = u64::from(u16::from_be_bytes(raw));
                if len < 126 {
                    return Err(Violation::new(
                        1002,
                        "a length that is not in its shortest form",
                    ));
                }
                (len, 4)
            }
            127 => {
                let Some(&raw) = bytes[2..].first_chunk::<8>() else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(raw);
                if len >> 63 != 0 {
                    return Err(Violation::new(1002, "a length with its top bit set"));
                }
                if len <= 0xFFFF {
                    return Err(Violation::new(
                        1002,
                        "a length that is not in its shortest form",
                    ));
                }
                (len, 10)
            }
            n => (u64::from(n), 2),
        };
        if second & 0x80 == 0 {
            return Ok(Some((
                Self {
                    fin,
                    deflated,
                    opcode,
                    mask: None,
                    len,
                },
                at,
            )));
        }
        let Some(&mask) = bytes[at..].first_chunk::<4>() else {
            return Ok(None);
        };
        Ok(Some((
            Self {
                fin,
                deflated,
                opcode,
                mask: Some(mask),
                len,
            },
            at + 4,
        )))
    }

    /// Writes the header in its shortest form.
    #[must_use]
    pub fn encode(&self) -> HeaderBytes {
        let mut out = HeaderBytes {
            bytes: [0; MAX_HEADER],
            len: 0,
        };
        let bits = u8::from(self.fin) << 7 | u8::from(self.deflated) << 6;
        out.push(&[bits | self.opcode.bits()]);
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.len {
            len @ 0..=125 => out.push(&[masked | len as u8]),
            len @ 126..=0xFFFF => {
                out.push(&[masked | 126]);
                out.push(&(len as u16).to_be_bytes());
            }
            len => {
                out.push(&[masked | 127]);
                out.push(&len.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            out.push(&mask);
        }
        out
    }
}

/// An encoded header: 2–14 bytes, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct HeaderBytes {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl HeaderBytes {
    fn push(&mut self, part: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + part.len()].copy_from_slice(part);
        self.len += part.len() as u8;
    }
}

impl AsRef<[u8]> for HeaderBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::ops::Deref for HeaderBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

/// Masks or unmasks `data` in place (5.3: the same operation). `offset` is the
/// place of `data` in its frame's payload, so that a payload can be unmasked as
/// it comes.
pub fn apply_mask(mask: [u8; 4], offset: u64, data: &mut [u8]) {
    let turn = (offset & 3) as usize;
    let key: [u8; 4] = std::array::from_fn(|i| mask[(turn + i) & 3]);
    let word = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
