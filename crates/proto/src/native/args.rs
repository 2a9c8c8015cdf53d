//! Messages of several arguments, with binary inside.
//!
//! Inside the server such a message is JSON text as Socket.IO writes it, an
//! array in which `{"_placeholder":true,"num":n}` stands for the n-th of the
//! attachments kept beside it. On the native surface the same place reads
//! `{"$bin":"<base64>"}` (standard alphabet, padded), and there are no
//! attachments. This module turns one form into the other, leaving every other
//! byte as it was.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::json::{self, skip_space, string_end};
use crate::error::DecodeError;
use crate::limits::ATTACHMENTS;

/// Appends the surface form of `text`. A placeholder whose number has no
/// attachment is left as it is.
pub fn write_surface(out: &mut Vec<u8>, text: &[u8], attachments: &[Bytes]) {
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'{' if !attachments.is_empty() => match placeholder(text, at) {
                Some((attachment, end)) if attachment < attachments.len() => {
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(b"{\"$bin\":\"");
                    out.extend_from_slice(STANDARD.encode(&attachments[attachment]).as_bytes());
                    out.extend_from_slice(b"\"}");
                    (at, copied) = (end, end);
                }
                _ => at += 1,
            },
            _ => at += 1,
        }
    }
    out.extend_from_slice(&text[copied..]);
}

/// Reads the surface form: a JSON array, its `{"$bin":…}` objects taken out
/// into attachments.
///
/// # Errors
/// `Malformed` where it is not a JSON array, a `$bin` is not base64 or has
/// company in its object, or a member is called `_placeholder` (it would be
/// taken for an attachment elsewhere); `TooLarge` for nesting over 128 or more
/// than [`ATTACHMENTS`] attachments.
pub fn parse_surface(text: &[u8]) -> Result<(Bytes, Vec<Bytes>), DecodeError> {
    json::check(text)?;
    if text.get(skip_space(text, 0)) != Some(&b'[') {
        return Err(DecodeError::malformed(
            0,
            "several arguments are a JSON array",
        ));
    }
    let mut attachments = Vec::new();
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' => match binary(text, at)? {
                Some((bytes, end)) => {
                    if attachments.len() == ATTACHMENTS {
                        let got = ATTACHMENTS as u64 + 1;
                        return Err(DecodeError::TooLarge {
                            limit: ATTACHMENTS,
                            got,
                        });
                    }
                    out.extend_from_slice(&text[copied..at]);
                    let mark = format!("{{\"_placeholder\":true,\"num\":{}}}", attachments.len());
                    out.extend_from_slice(mark.as_bytes());
                    attachments.push(bytes);
                    (at, copied) = (end, end);
                }
                None => at += 1,
            },
            b'"' => {
                let end = string_end(text, at);
                if text.get(skip_space(text, end)) == Some(&b':') {
                    match &*unquote(&text[at..end]) {
                        "_placeholder" => {
                            return Err(DecodeError::malformed(at, "a member called _placeholder"));
                        }
                        "$bin" => {
                            return Err(DecodeError::malformed(
                                at,
                                "$bin stands alone in its object",
                            ));
                        }
                        _ => {}
                    }
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    out.extend_from_slice(&text[copied..]);
    Ok((out.into(), attachments))
}

/// How many elements the JSON array `text` has; 0 where it is none. It must
/// have been checked before.
#[must_use]
pub fn count(text: &[u8]) -> usize {
    let start = skip_space(text, 0);
    if text.get(start) != Some(&b'[') || text.get(skip_space(text, start + 1)) == Some(&b']') {
        return 0;
    }
    let (mut at, mut depth, mut commas) = (start + 1, 0_usize, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => commas += 1,
            _ => {}
        }
        at += 1;
    }
    commas + 1
}

/// The placeholder object at `at`, if it is exactly one: its number and the
/// index past it. Members in either order.
pub(crate) fn placeholder(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let (mut marked, mut num) = (false, None);
    let mut i = skip_space(text, at + 1);
    for turn in 0..2 {
        let (key, value) = key_at(text, i)?;
        i = value;
        if &*key == "_placeholder" && !marked {
            i = text[i..].starts_with(b"true").then_some(i + 4)?;
            marked = true;
        } else if &*key == "num" && num.is_none() {
            let digits = text[i..].iter().take_while(|b| b.is_ascii_digit()).count();
            num = Some(
                std::str::from_utf8(&text[i..i + digits])
                    .ok()?
                    .parse()
                    .ok()?,
            );
            i += digits;
        } else {
            return None;
        }
        i = skip_space(text, i);
        let expected = if turn == 0 { b',' } else { b'}' };
        if text.get(i) != Some(&expected) {
            return None;
        }
        i = skip_space(text, i + 1);
        if turn == 1 {
            // Past the brace, before any white space that was skipped.
            let end = text[..i].iter().rposition(|&b| b == b'}')? + 1;
            return Some((num?, end));
        }
    }
    None
}

/// The `{"$bin":"…"}` object at `at`, if its first member is called so: the
/// bytes and the index past the object.
fn binary(text: &[u8], at: usize) -> Result<Option<(Bytes, usize)>, DecodeError> {
    let Some((key, value)) = key_at(text, skip_space(text, at + 1)) else {
        return Ok(None);
    };
    if &*key != "$bin" {
        return Ok(None);
    }
    if text.get(value) != Some(&b'"') {
        return Err(DecodeError::malformed(value, "$bin is a base64 string"));
    }
    let end = string_end(text, value);
    let bytes = STANDARD
        .decode(&*unquote(&text[value..end]))
        .map_err(|_| DecodeError::malformed(value, "$bin is not base64"))?;
    let close = skip_space(text, end);
    if text.get(close) != Some(&b'}') {
        return Err(DecodeError::malformed(
            close,
            "$bin stands alone in its object",
        ));
    }
    Ok(Some((bytes.into(), close + 1)))
}

/// The member name at `at` and where its value begins.
fn key_at(text: &[u8], at: usize) -> Option<(Cow<'_, str>, usize)> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let end = string_end(text, at);
    let colon = skip_space(text, end);
    (text.get(colon) == Some(&b':')).then(|| (unquote(&text[at..end]), skip_space(text, colon + 1)))
}

/// The value of a JSON string; escapes are undone, so that a name cannot hide.
/// What is no string at all (a lone surrogate) matches no name.
pub(crate) fn unquote(quoted: &[u8]) -> Cow<'_, str> {
    let inner = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    if inner.contains(&b'\\') {
        return Cow::Owned(serde_json::from_slice(quoted).unwrap_or_default());
    }
    String::from_utf8_lossy(inner)
}
