//! Chunks of an HTTP/1.1 body (RFC 9112, 7.1). The chunk head is part of the
//! form that all streams of a channel share.

use std::io::Write as _;

use bytes::Bytes;

/// Ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// One chunk with this content. Nothing gives nothing: an empty chunk would end
/// the body.
#[must_use]
pub fn chunk(content: &[u8]) -> Bytes {
    if content.is_empty() {
        return Bytes::new();
    }
    let mut out = Vec::with_capacity(content.len() + 12);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{:x}\r\n", content.len());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
    out.into()
}

/// One chunk with what `fill` appends. The content is written in place behind
/// room for the head, so that it is not copied again.
#[must_use]
pub fn chunked(size_hint: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    /// Sixteen hex digits and a line end.
    const ROOM: usize = 18;
    let mut out = Vec::with_capacity(ROOM + size_hint + 2);
    out.resize(ROOM, 0);
    fill(&mut out);
    let len = out.len().saturating_sub(ROOM);
    if len == 0 {
        return Bytes::new();
    }
    out.extend_from_slice(b"\r\n");
    let head = format!("{len:x}\r\n");
    let start = ROOM - head.len();
    out[start..ROOM].copy_from_slice(head.as_bytes());
    let mut out = Bytes::from(out);
    let _ = out.split_to(start);
    out
}
