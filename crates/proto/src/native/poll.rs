//! The body of a poll or history answer (`PROTOCOL.md`, section 4).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{self, write_str};
use super::read::{self, Incoming};
use crate::error::DecodeError;

/// Writes `{"messages":[…],"cursor":"…"}`, element by element, so that a byte
/// limit can be held on the way.
#[derive(Debug)]
pub struct PollWriter {
    out: Vec<u8>,
    elements: usize,
}

impl PollWriter {
    /// An answer without messages yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            out: b"{\"messages\":[".to_vec(),
            elements: 0,
        }
    }

    /// Appends one element: what `write` appends must be one JSON value (an
    /// envelope or a system event).
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.elements > 0 {
            self.out.push(b',');
        }
        self.elements += 1;
        write(&mut self.out);
    }

    /// Appends one element that is written already.
    pub fn push_raw(&mut self, element: &[u8]) {
        self.push(|out| out.extend_from_slice(element));
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether no element was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// Ends the answer with the cursor where the next request goes on.
    #[must_use]
    pub fn finish(mut self, cursor: &str) -> Vec<u8> {
        self.out.extend_from_slice(b"],\"cursor\":");
        write_str(&mut self.out, cursor);
        self.out.push(b'}');
        self.out
    }
}

impl Default for PollWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// A poll or history answer, read.
#[derive(Debug)]
pub struct Poll {
    /// Messages and gaps, in order.
    pub messages: Vec<Incoming>,
    /// Where the next request goes on.
    pub cursor: String,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    cursor: String,
}

/// Reads a poll or history answer.
///
/// # Errors
/// `Malformed` where it is not of this form, `TooLarge` for nesting over the
/// limit. The caller bounds the bytes.
pub fn read(body: &[u8]) -> Result<Poll, DecodeError> {
    let text = std::str::from_utf8(body)
        .map_err(|e| DecodeError::malformed(e.valid_up_to(), "not UTF-8"))?;
    let wire: Wire<'_> = serde_json::from_str(text)
        .map_err(|e| DecodeError::malformed(json::offset(text, &e), "not a poll answer"))?;
    let messages = wire
        .messages
        .iter()
        .map(|raw| read::read(raw.get().as_bytes()));
    Ok(Poll {
        messages: messages.collect::<Result<_, _>>()?,
        cursor: wire.cursor,
    })
}
