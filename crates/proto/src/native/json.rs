//! JSON that passes through: checked, bounded, and kept as it was written.

use serde::de::IgnoredAny;

use crate::error::DecodeError;
use crate::limits::JSON_DEPTH;

/// Checks that `text` is one JSON value in UTF-8, nested at most
/// [`JSON_DEPTH`] deep. Numbers of any size, duplicate members and lone
/// surrogate escapes pass: the value is handed on as it is.
///
/// # Errors
/// `Malformed` where it is not JSON, `TooLarge` where it is nested too deep.
pub fn check(text: &[u8]) -> Result<(), DecodeError> {
    let valid = simdutf8::compat::from_utf8(text)
        .map_err(|e| DecodeError::malformed(e.valid_up_to(), "not UTF-8"))?;
    check_depth(text)?;
    match serde_json::from_str::<IgnoredAny>(valid) {
        Ok(_) => Ok(()),
        Err(e) => Err(DecodeError::malformed(offset(valid, &e), "not JSON")),
    }
}

/// Holds the nesting against [`JSON_DEPTH`], in one pass without recursion.
/// serde_json skips and copies raw values without its recursion limit, so this
/// is the only bound that a raw payload has.
///
/// # Errors
/// `TooLarge`, in levels.
pub fn check_depth(text: &[u8]) -> Result<(), DecodeError> {
    check_depth_of(text, JSON_DEPTH)
}

/// The same against another limit.
pub(super) fn check_depth_of(text: &[u8], limit: usize) -> Result<(), DecodeError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return Err(DecodeError::TooLarge {
                        limit,
                        got: depth as u64,
                    });
                }
                at += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// Appends `text` as a JSON string.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// The index just past the string that begins at `at` (its opening quote); the
/// end of the text where it does not end.
pub(crate) fn string_end(text: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while let Some(&byte) = text.get(i) {
        match byte {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    text.len()
}

/// The index of the next byte that is not JSON white space.
pub(crate) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The byte offset of a parse error, which serde_json gives as line and column.
pub(crate) fn offset(text: &str, error: &serde_json::Error) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    (before + error.column().saturating_sub(1)).min(text.len())
}
