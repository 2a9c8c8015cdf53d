//! As much HTTP/1.1 as a load needs: where a head ends, what a header says,
//! when an answer is whole (RFC 9112, sections 6 and 7.1).

use std::borrow::Cow;

use memchr::memmem;

use crate::error::{Error, Result};

/// Longest head that is read.
const MAX_HEAD: usize = 64 << 10;
/// Longest body that is read.
const MAX_BODY: usize = 64 << 20;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: &'a [u8],
    /// Without its chunks.
    pub(crate) body: Cow<'a, [u8]>,
    /// Bytes of all of it.
    pub(crate) len: usize,
    /// The server closes after it.
    pub(crate) close: bool,
}

/// Where the head ends: just past its empty line.
pub(crate) fn head_len(bytes: &[u8]) -> Result<Option<usize>> {
    match memmem::find(bytes, b"\r\n\r\n") {
        Some(at) => Ok(Some(at + 4)),
        None if bytes.len() > MAX_HEAD => Err(Error::new("an answer's head is over 64 KiB")),
        None => Ok(None),
    }
}

/// The value of the first header of this name, in any case.
pub(crate) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let value = &line[colon + 1..];
        line[..colon]
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| value.trim_ascii())
    })
}

/// The status of an answer's head.
pub(crate) fn status(head: &[u8]) -> Result<u16> {
    let code = head
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    match code.and_then(|digits| digits.parse().ok()) {
        Some(code) if head.starts_with(b"HTTP/1.") => Ok(code),
        _ => Err(Error::new(format_args!(
            "not an HTTP answer: {:?}",
            String::from_utf8_lossy(&head[..head.len().min(60)])
        ))),
    }
}

/// The answer at the front, once it is whole. `ended`: nothing more will come,
/// which ends a body that has no length.
pub(crate) fn answer(bytes: &[u8], ended: bool) -> Result<Option<Answer<'_>>> {
    let Some(head_len) = head_len(bytes)? else {
        return Ok(None);
    };
    let (head, rest) = bytes.split_at(head_len);
    let status = status(head)?;
    let mut close = head.starts_with(b"HTTP/1.0");
    if let Some(value) = header(head, "connection") {
        close = value.eq_ignore_ascii_case(b"close");
    }
    let chunked = header(head, "transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().ends_with(b"chunked"));
    let (body, body_len) = if matches!(status, 100..=199 | 204 | 304) {
        (Cow::Borrowed(&rest[..0]), 0)
    } else if chunked {
        match unchunk(rest)? {
            Some((body, len)) => (Cow::Owned(body), len),
            None => return Ok(None),
        }
    } else if let Some(length) = header(head, "content-length") {
        let length = number(length, 10)?;
        match rest.get(..length) {
            Some(body) => (Cow::Borrowed(body), length),
            None => return Ok(None),
        }
    } else if ended {
        close = true;
        (Cow::Borrowed(rest), rest.len())
    } else {
        return Ok(None);
    };
    Ok(Some(Answer {
        status,
        head,
        body,
        len: head_len + body_len,
        close,
    }))
}

/// A chunked body and how many bytes it took, once it is whole.
fn unchunk(mut rest: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let whole = rest.len();
    let mut body = Vec::new();
    loop {
        let Some(line) = memmem::find(rest, b"\r\n") else {
            return Ok(None);
        };
        let digits = rest[..line].split(|&byte| byte == b';').next();
        let size = number(digits.unwrap_or_default().trim_ascii(), 16)?;
        rest = &rest[line + 2..];
        if size == 0 {
            // The last chunk: trailers up to an empty line; here there are none.
            return Ok((rest.len() >= 2).then(|| (body, whole - rest.len() + 2)));
        }
        if rest.len() < size + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

fn number(digits: &[u8], radix: u32) -> Result<usize> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| usize::from_str_radix(digits, radix).ok())
        .filter(|&length| length <= MAX_BODY)
        .ok_or_else(|| Error::new("an answer's length is no number, or over 64 MiB"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn whole_only_at_its_end(text: &str, body: &str) {
        for cut in 0..text.len() {
            assert!(
                answer(&text.as_bytes()[..cut], false).unwrap().is_none(),
                "{cut}"
            );
        }
        let bytes = [text.as_bytes(), b"HTTP/1.1 next"].concat();
        let answer = answer(&bytes, false).unwrap().unwrap();
        assert_eq!(answer.body.as_ref(), body.as_bytes());
        assert_eq!(answer.len, text.len());
    }

    #[test]
    fn an_answer_is_whole_at_its_last_byte() {
        whole_only_at_its_end("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello");
        whole_only_at_its_end(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
            "hello world",
        );
        whole_only_at_its_end("HTTP/1.1 304 Not Modified\r\nEtag: 1\r\n\r\n", "");
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nhello";
        assert!(answer(bytes, false).unwrap().is_none());
        let answer = answer(bytes, true).unwrap().unwrap();
        assert_eq!((answer.body.as_ref(), answer.close), (&b"hello"[..], true));
    }

    #[test]
    fn what_is_not_http_is_an_error_and_never_a_panic() {
        for bytes in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"\r\n\r\n",
            b"HTTP/1.1 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        ] {
            assert!(answer(bytes, false).is_err());
        }
    }
}
