//! The body of a POST, or of a poll's answer: packets between record separators.

use super::packet::Packet;
use crate::error::DecodeError;
use crate::limits::ENGINEIO_PACKETS;

/// Stands between the packets of a payload. JSON cannot hold it unescaped.
pub const SEPARATOR: u8 = 0x1E;

/// Bounds of a payload; its size in all is the reader's of the HTTP body.
#[derive(Debug, Clone, Copy)]
pub struct PayloadLimits {
    /// Most packets. Default [`ENGINEIO_PACKETS`].
    pub packets: usize,
    /// Largest packet in bytes, its type left out and base64 undone.
    pub packet_bytes: usize,
}

impl PayloadLimits {
    /// The default number of packets, each of at most this size.
    #[must_use]
    pub const fn of(packet_bytes: usize) -> Self {
        Self {
            packets: ENGINEIO_PACKETS,
            packet_bytes,
        }
    }
}

/// The packets of a payload, in order. It ends after the first error; what came
/// before it was sound.
#[derive(Debug, Clone)]
pub struct Payload<'a> {
    text: &'a str,
    /// Where the next packet begins; none at the end.
    at: Option<usize>,
    limits: PayloadLimits,
}

impl<'a> Payload<'a> {
    /// Begins to read. Time is linear in the bytes whatever they are.
    ///
    /// # Errors
    /// `Malformed` where the body is not UTF-8; `TooLarge`, in packets, where
    /// there are more than the limit: then none has been read.
    pub fn new(body: &'a [u8], limits: PayloadLimits) -> Result<Self, DecodeError> {
        let text = simdutf8::compat::from_utf8(body)
            .map_err(|e| DecodeError::malformed(e.valid_up_to(), "not UTF-8"))?;
        let packets = body.iter().filter(|b| **b == SEPARATOR).count() + 1;
        if packets > limits.packets {
            return Err(DecodeError::TooLarge {
                limit: limits.packets,
                got: packets as u64,
            });
        }
        Ok(Self {
            text,
            at: Some(0),
            limits,
        })
    }

    fn read(&self, from: usize, packet: &'a str) -> Result<Packet<'a>, DecodeError> {
        let size = match packet.as_bytes().split_first() {
            Some((b'b', base64)) => base64.len() / 4 * 3,
            _ => packet.len().saturating_sub(1),
        };
        // Two bytes of the last group may be padding.
        if size > self.limits.packet_bytes.saturating_add(2) {
            return Err(self.too_large(size));
        }
        let packet = Packet::decode_polling(packet).map_err(|error| match error {
            DecodeError::Malformed { at, why } => DecodeError::malformed(from + at, why),
            other => other,
        })?;
        let size = match &packet {
            Packet::Text(text) | Packet::Open(text) => text.len(),
            Packet::Binary(data) => data.len(),
            _ => 0,
        };
        if size > self.limits.packet_bytes {
            return Err(self.too_large(size));
        }
        Ok(packet)
    }

    const fn too_large(&self, size: usize) -> DecodeError {
        DecodeError::TooLarge {
            limit: self.limits.packet_bytes,
            got: size as u64,
        }
    }
}

impl<'a> Iterator for Payload<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.at?;
        let rest = &self.text[from..];
        let end = rest.bytes().position(|b| b == SEPARATOR);
        self.at = end.map(|end| from + end + 1);
        let packet = self.read(from, &rest[..end.unwrap_or(rest.len())]);
        if packet.is_err() {
            self.at = None;
        }
        Some(packet)
    }
}
