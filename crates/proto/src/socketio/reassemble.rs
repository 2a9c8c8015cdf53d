//! A binary packet and the messages that follow it, put together.

use bytes::Bytes;

use super::packet::{Limits, Packet, Shape};
use crate::error::DecodeError;

/// A packet that waits for attachments.
#[derive(Debug)]
struct Half {
    text: Box<str>,
    shape: Shape,
    attachments: Vec<Bytes>,
    /// Of the text and the attachments so far.
    bytes: usize,
}

/// A packet with all its attachments.
#[derive(Debug)]
pub struct Whole {
    text: Box<str>,
    shape: Shape,
    /// The attachments in order, as many as the packet said.
    pub attachments: Vec<Bytes>,
}

impl Whole {
    /// The packet.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        Packet::of(&self.text, self.shape.clone())
    }
}

/// Reads the messages of one session in order. It holds at most one packet, of
/// at most [`Limits::packet_bytes`]; dropping it, or [`clear`](Self::clear),
/// frees that.
#[derive(Debug)]
pub struct Reassembler {
    limits: Limits,
    half: Option<Box<Half>>,
}

impl Reassembler {
    /// Holding nothing.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, half: None }
    }

    /// Takes a message of text: the packet, or none where attachments have to
    /// come first.
    ///
    /// # Errors
    /// Those of [`Packet::decode`]; `Malformed` while attachments are awaited;
    /// `TooLarge` where the text alone is over the limit. The session ends on
    /// any.
    pub fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, DecodeError> {
        if self.half.is_some() {
            self.clear();
            return Err(DecodeError::malformed(0, "text among the attachments"));
        }
        self.bounded(text.len())?;
        let packet = Packet::decode(text, &self.limits)?;
        if !packet.kind().is_binary() {
            return Ok(Some(packet));
        }
        self.half = Some(Box::new(Half {
            text: text.into(),
            attachments: Vec::with_capacity(packet.attachments()),
            shape: packet.into_shape(),
            bytes: text.len(),
        }));
        Ok(None)
    }

    /// Takes a message of bytes: the packet, where it was its last attachment.
    ///
    /// # Errors
    /// `Malformed` where none is awaited; `TooLarge` where packet and attachments
    /// are over the limit together. The session ends on either.
    pub fn binary(&mut self, data: Bytes) -> Result<Option<Whole>, DecodeError> {
        let Some(half) = &mut self.half else {
            return Err(DecodeError::malformed(0, "an attachment of no packet"));
        };
        half.bytes = half.bytes.saturating_add(data.len());
        let bytes = half.bytes;
        half.attachments.push(data);
        let whole = half.attachments.len() == usize::from(half.shape.attachments);
        if let Err(error) = self.bounded(bytes) {
            self.clear();
            return Err(error);
        }
        if !whole {
            return Ok(None);
        }
        Ok(self.half.take().map(|half| Whole {
            text: half.text,
            shape: half.shape,
            attachments: half.attachments,
        }))
    }

    /// Whether attachments are awaited.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.half.is_some()
    }

    /// Bytes held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.half.as_ref().map_or(0, |half| half.bytes)
    }

    /// Drops what is held: the session has ended.
    pub fn clear(&mut self) {
        self.half = None;
    }

    const fn bounded(&self, bytes: usize) -> Result<(), DecodeError> {
        if bytes > self.limits.packet_bytes {
            return Err(DecodeError::TooLarge {
                limit: self.limits.packet_bytes,
                got: bytes as u64,
            });
        }
        Ok(())
    }
}
