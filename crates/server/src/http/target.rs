//! What a request's target says: the channels and the query (`PROTOCOL.md`,
//! sections 1 and 2).

use std::borrow::Cow;

use fanwire_core::error::{Code, Refusal};
use fanwire_core::key::Key;
use fanwire_core::limits::MAX_URL_CHANNELS;
use fanwire_core::message::Keys;

/// The query parameters that have a meaning, decoded. Each may stand once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// `after=`: bytes, because a cursor is never refused.
    pub(crate) after: Option<Vec<u8>>,
    /// `rewind=`.
    pub(crate) rewind: Option<Vec<u8>>,
    /// `limit=`.
    pub(crate) limit: Option<Vec<u8>>,
    /// `wait=`.
    pub(crate) wait: Option<Vec<u8>>,
    /// `format=`.
    pub(crate) format: Option<Vec<u8>>,
    /// `event=`.
    pub(crate) event: Option<Vec<u8>>,
    /// `key=`.
    pub(crate) key: Option<Vec<u8>>,
    /// `exclude=`.
    pub(crate) exclude: Option<Vec<u8>>,
    /// `volatile=`.
    pub(crate) volatile: Option<Vec<u8>>,
    /// `args=`.
    pub(crate) args: Option<Vec<u8>>,
}

/// Reads the channels and the query of `/c/LIST?query` or `/c?channel=…`.
/// `list` is what stands after `/c/`, undecoded.
///
/// # Errors
/// `invalid_channel` (naming it), `too_many_channels`, `bad_request`.
pub(crate) fn read(list: Option<&str>, query: Option<&str>) -> Result<(Keys, Query), Refusal> {
    let mut keys = Keys::new();
    if let Some(list) = list {
        for part in list.split(',') {
            add(
                &mut keys,
                &decode(part.as_bytes(), false).ok_or_else(|| escape(part))?,
            )?;
        }
    }
    let query = read_query(query.unwrap_or_default(), &mut keys)?;
    if keys.is_empty() {
        return Err(Refusal::new(
            Code::InvalidChannel,
            "name at least one channel, as in /c/news",
        ));
    }
    Ok((keys, query))
}

fn add(keys: &mut Keys, name: &[u8]) -> Result<(), Refusal> {
    let key = Key::parse(name).map_err(|why| {
        Refusal::new(Code::InvalidChannel, why.to_string()).at(String::from_utf8_lossy(name))
    })?;
    if keys.contains(&key) {
        return Ok(());
    }
    if keys.len() == MAX_URL_CHANNELS {
        let sentence = format!("a request names at most {MAX_URL_CHANNELS} channels");
        return Err(Refusal::new(Code::TooManyChannels, sentence));
    }
    keys.push(key);
    Ok(())
}

fn read_query(text: &str, keys: &mut Keys) -> Result<Query, Refusal> {
    let mut query = Query::default();
    for part in text.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let Some(name) = decode(name.as_bytes(), true) else {
            continue; // Not the name of anything.
        };
        let slot = match &*name {
            b"channel" => {
                let value = decode(value.as_bytes(), true).ok_or_else(|| escape(value))?;
                add(keys, &value)?;
                continue;
            }
            b"after" => &mut query.after,
            b"rewind" => &mut query.rewind,
            b"limit" => &mut query.limit,
            b"wait" => &mut query.wait,
            b"format" => &mut query.format,
            b"event" => &mut query.event,
            b"key" => &mut query.key,
            b"exclude" => &mut query.exclude,
            b"volatile" => &mut query.volatile,
            b"args" => &mut query.args,
            _ => continue,
        };
        // A broken escape in a cursor makes a malformed cursor, not an error.
        let value = match decode(value.as_bytes(), true) {
            Some(value) => value.into_owned(),
            None if &*name == b"after" => value.as_bytes().to_vec(),
            None => return Err(bad(&name, "has a broken percent escape")),
        };
        if slot.replace(value).is_some() {
            return Err(bad(&name, "stands twice; send it once"));
        }
    }
    Ok(query)
}

pub(super) fn bad(name: &[u8], why: &str) -> Refusal {
    let name = String::from_utf8_lossy(name);
    Refusal::new(Code::BadRequest, format!("the parameter '{name}' {why}"))
}

fn escape(part: &str) -> Refusal {
    let why = "the channel's name has a broken percent escape";
    Refusal::new(Code::InvalidChannel, why).at(part)
}

/// Undoes percent escapes, once; in a query `+` is a space, as forms and
/// `URLSearchParams` write it. None where an escape is broken.
pub(super) fn decode(text: &[u8], plus: bool) -> Option<Cow<'_, [u8]>> {
    if !text.iter().any(|b| *b == b'%' || (plus && *b == b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        out.push(match byte {
            b'%' => {
                let digits = rest.first_chunk::<2>()?;
                rest = &rest[2..];
                let digit = |b: u8| (b as char).to_digit(16);
                (digit(digits[0])? * 16 + digit(digits[1])?) as u8
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    Some(Cow::Owned(out))
}

/// A whole number in decimal digits. One too large for its type counts as the
/// largest: callers clamp or refuse it.
pub(crate) fn number(name: &str, value: &[u8]) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad(name.as_bytes(), "is not a whole number"));
    }
    let add = |sum: usize, digit: &u8| {
        sum.saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    };
    Ok(value.iter().fold(0, add))
}

/// A switch: `1`, `true` or nothing for on; `0` or `false` for off.
pub(crate) fn switch(name: &str, value: Option<&[u8]>) -> Result<bool, Refusal> {
    match value {
        None | Some(b"0" | b"false") => Ok(false),
        Some(b"" | b"1" | b"true") => Ok(true),
        Some(_) => Err(bad(name.as_bytes(), "is neither 0 nor 1")),
    }
}

/// Text of at most `max` bytes.
pub(crate) fn text(name: &str, value: Vec<u8>, max: usize) -> Result<String, Refusal> {
    if value.is_empty() || value.len() > max {
        return Err(bad(name.as_bytes(), &format!("has 1 to {max} bytes")));
    }
    String::from_utf8(value).map_err(|_| bad(name.as_bytes(), "is not UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(list: &str) -> Result<Vec<String>, Code> {
        read(Some(list), None)
            .map(|(keys, _)| keys.iter().map(ToString::to_string).collect())
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_list_is_split_before_it_is_decoded_once() {
        assert_eq!(names("a,b").unwrap(), ["a", "b"]);
        assert_eq!(names("a%2Cb").unwrap(), ["a,b"]);
        assert_eq!(names("a%252Cb").unwrap(), ["a%2Cb"]);
        assert_eq!(names("a/b,chat:x%2Fy").unwrap(), ["a/b", "chat:x/y"]);
        assert_eq!(names("a+b").unwrap(), ["a+b"]);
        assert_eq!(names("%F0%9F%90%A6").unwrap(), ["🐦"]);
    }

    #[test]
    fn a_name_given_twice_counts_once() {
        assert_eq!(names("a,a,:a,%61").unwrap(), ["a"]);
        let sixteen: Vec<String> = (0..16).map(|n| n.to_string()).collect();
        assert_eq!(
            names(&format!("{0},{0}", sixteen.join(","))).unwrap().len(),
            16
        );
        let one_more = format!("{},x", sixteen.join(","));
        assert_eq!(names(&one_more), Err(Code::TooManyChannels));
    }

    #[test]
    fn a16_what_is_not_a_name_refuses_the_whole_request() {
        let long = "x".repeat(256);
        for bad in [
            "", ",", "a,", ",a", "a,..", "%2E%2E", "@x", "%00", "%zz", "a%2", "%FF", "b%0A", &long,
        ] {
            assert_eq!(names(bad), Err(Code::InvalidChannel), "{bad}");
        }
    }

    #[test]
    fn the_refusal_names_the_channel() {
        let refusal = read(Some("good,b%01d"), None).unwrap_err();
        assert_eq!(refusal.channel.as_deref(), Some("b\u{1}d"));
    }

    #[test]
    fn channels_may_come_by_the_query() {
        let (keys, _) = read(None, Some("channel=a%2Cb&channel=c+d&channel=a,b")).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].to_string(), "a,b");
        assert_eq!(keys[1].to_string(), "c d");
        let none = read(None, Some("x=1")).unwrap_err();
        assert_eq!(none.code, Code::InvalidChannel);
    }

    #[test]
    fn a_second_parameter_is_refused_and_an_unknown_one_ignored() {
        let (_, query) = read(Some("a"), Some("after=x-1&foo=1&foo=2&wait")).unwrap();
        assert_eq!(query.after.as_deref(), Some(&b"x-1"[..]));
        assert_eq!(query.wait.as_deref(), Some(&b""[..]));
        let twice = read(Some("a"), Some("limit=1&limit=1")).unwrap_err();
        assert_eq!(twice.code, Code::BadRequest);
        let broken = read(Some("a"), Some("event=%4")).unwrap_err();
        assert_eq!(broken.code, Code::BadRequest);
    }

    #[test]
    fn l1_a_broken_cursor_stays_a_cursor() {
        let (_, query) = read(Some("a"), Some("after=%zz")).unwrap();
        assert_eq!(query.after.as_deref(), Some(&b"%zz"[..]));
        let (_, query) = read(Some("a"), Some("after=%FF")).unwrap();
        assert_eq!(query.after.as_deref(), Some(&b"\xff"[..]));
    }

    #[test]
    fn x11_numbers_saturate_and_nothing_else_is_one() {
        assert_eq!(
            number("limit", b"1000000000000000000000000").unwrap(),
            usize::MAX
        );
        for bad in [&b""[..], b"-1", b"+1", b"1.5", b"1e3", b" 1", b"x"] {
            assert!(number("limit", bad).is_err(), "{bad:?}");
        }
    }
}
