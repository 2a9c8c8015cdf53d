//! JSON arrays taken apart without being changed. The text has been checked
//! ([`json::check`]) wherever its parts are walked over.

use crate::error::DecodeError;
use crate::native::args;
use crate::native::json::{self, skip_space, string_end};

/// Checks that `data` is one JSON value of at most 128 levels.
pub(super) fn check(data: &str) -> Result<(), DecodeError> {
    json::check(data.as_bytes())
}

/// The first byte that is not white space; none for an empty text.
pub(super) fn first(data: &str) -> Option<u8> {
    let bytes = data.as_bytes();
    bytes.get(skip_space(bytes, 0)).copied()
}

/// Elements of a JSON array, each as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Args<'a> {
    /// What stands between the brackets, trimmed.
    inner: &'a str,
}

impl<'a> Args<'a> {
    /// Of a checked array.
    pub(super) fn of(array: &'a str) -> Self {
        let array = array.trim_ascii();
        let inner = array.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
        Self {
            inner: inner.unwrap_or_default().trim_ascii(),
        }
    }

    /// The elements with the commas between them, without the brackets.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.inner
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The first element and the others; none where there is none.
    #[must_use]
    pub fn split_first(&self) -> Option<(&'a str, Self)> {
        if self.inner.is_empty() {
            return None;
        }
        let end = element_end(self.inner.as_bytes());
        let rest = self.inner.get(end + 1..).unwrap_or_default();
        let inner = rest.trim_ascii();
        Some((self.inner[..end].trim_ascii(), Self { inner }))
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.split_first()?;
        *self = rest;
        Some(first)
    }
}

/// Where the first of several elements ends: its comma, or the end.
fn element_end(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Which of `count` attachments the placeholders in `data` name, a bit each.
///
/// # Errors
/// `Malformed` for a number out of range, and for a member `_placeholder` in an
/// object that is not exactly a placeholder: readers would disagree about it.
pub(super) fn placeholders(data: &str, count: u8) -> Result<u64, DecodeError> {
    let bytes = data.as_bytes();
    let (mut at, mut named) = (0, 0_u64);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = string_end(bytes, at);
                if bytes.get(skip_space(bytes, end)) == Some(&b':')
                    && &*args::unquote(&bytes[at..end]) == "_placeholder"
                {
                    return Err(DecodeError::malformed(at, "an odd placeholder"));
                }
                at = end;
            }
            b'{' => match args::placeholder(bytes, at) {
                Some((number, end)) if number < usize::from(count) => {
                    named |= 1 << number;
                    at = end;
                }
                Some(_) => {
                    return Err(DecodeError::malformed(
                        at,
                        "a placeholder for an attachment that is not there",
                    ));
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    Ok(named)
}
