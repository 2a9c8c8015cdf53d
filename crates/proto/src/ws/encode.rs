//! Frames to write. A server's frames are unmasked, so one finished frame can
//! be shared by every connection that it goes to.

use bytes::Bytes;

use super::close::{self, CloseCode};
use super::frame::{Header, HeaderBytes, MAX_HEADER, Opcode, apply_mask};
use crate::limits::CONTROL_BYTES;

/// The header of an unmasked, unfragmented frame, for a vectored write of
/// header and payload.
#[must_use]
pub fn header(opcode: Opcode, len: usize) -> HeaderBytes {
    Header {
        fin: true,
        deflated: false,
        opcode,
        mask: None,
        len: len as u64,
    }
    .encode()
}

/// A finished unmasked frame. The payload of a control frame is cut at 125
/// bytes, so that what is written is always a legal frame.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let payload = fit(opcode, payload);
    let head = Header {
        fin: true,
        deflated: false,
        opcode,
        mask: None,
        len: payload.len() as u64,
    };
    unmasked(head, payload)
}

/// A header that belongs to this payload, and the payload.
pub(super) fn unmasked(head: Header, payload: &[u8]) -> Bytes {
    let head = head.encode();
    let mut out = Vec::with_capacity(head.len() + payload.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    out.into()
}

/// A finished unmasked close frame; see [`close::encode`] for what is cut.
#[must_use]
pub fn close_frame(code: Option<CloseCode>, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(CONTROL_BYTES);
    close::encode(code, reason, &mut payload);
    frame(Opcode::Close, &payload)
}

/// A finished frame as a client sends it. `mask` must be fresh and
/// unpredictable for every frame (RFC 6455, 10.3).
#[must_use]
pub fn masked_frame(opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Bytes {
    let payload = fit(opcode, payload);
    let head = Header {
        fin: true,
        deflated: false,
        opcode,
        mask: Some(mask),
        len: payload.len() as u64,
    }
    .encode();
    let mut out = Vec::with_capacity(MAX_HEADER + payload.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    apply_mask(mask, 0, &mut out[head.len()..]);
    out.into()
}

fn fit(opcode: Opcode, payload: &[u8]) -> &[u8] {
    if opcode.is_control() {
        &payload[..payload.len().min(CONTROL_BYTES)]
    } else {
        payload
    }
}
