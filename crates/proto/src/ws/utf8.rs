//! UTF-8 that is judged as it arrives.

/// Validates text that comes in parts: an error is found at the first byte that
/// can belong to no valid text, not at the end of the message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Utf8 {
    /// The start of a character whose rest has not come yet.
    pending: [u8; 4],
    len: u8,
}

/// The text is not UTF-8, whatever follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl Utf8 {
    /// Takes the next part.
    pub(super) fn feed(&mut self, mut part: &[u8]) -> Result<(), NotUtf8> {
        while self.len > 0 {
            let Some((&byte, rest)) = part.split_first() else {
                return Ok(());
            };
            part = rest;
            self.pending[usize::from(self.len)] = byte;
            self.len += 1;
            match std::str::from_utf8(&self.pending[..usize::from(self.len)]) {
                Ok(_) => self.len = 0,
                Err(e) if e.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        match simdutf8::compat::from_utf8(part) {
            Ok(_) => Ok(()),
            Err(e) if e.error_len().is_some() => Err(NotUtf8),
            Err(e) => {
                let tail = &part[e.valid_up_to()..];
                self.pending[..tail.len()].copy_from_slice(tail);
                self.len = tail.len() as u8;
                Ok(())
            }
        }
    }

    /// Whether the text may end here: no character is half there.
    pub(super) fn is_whole(&self) -> bool {
        self.len == 0
    }
}
