//! What the packets' writers share.

use crate::engineio::Wire;
use crate::native::Body;
use crate::native::json::write_str;

use super::packet::Kind;

/// Engine.IO's type of a message.
const MESSAGE: u8 = b'4';

/// Appends a text packet as a unit.
pub(super) fn unit(wire: Wire, out: &mut Vec<u8>, packet: impl FnOnce(&mut Vec<u8>)) {
    wire.text(out, |out| {
        out.push(MESSAGE);
        packet(out);
    });
}

/// Appends a text packet and its attachments as one unit.
pub(super) fn unit_of(
    wire: Wire,
    out: &mut Vec<u8>,
    body: Body<'_>,
    packet: impl FnOnce(&mut Vec<u8>),
) {
    unit(wire, out, packet);
    match body {
        Body::Binary(data) => wire.binary(data, out),
        Body::Args { attachments, .. } => {
            for data in attachments {
                wire.binary(data, out);
            }
        }
        Body::Json(_) | Body::Text(_) => {}
    }
}

/// Appends what stands before the data: kind, number of attachments, namespace
/// and ack id.
pub(super) fn head(
    out: &mut Vec<u8>,
    kind: Kind,
    attachments: usize,
    namespace: &str,
    id: Option<u64>,
) {
    out.push(kind.digit());
    if attachments > 0 {
        number(out, attachments as u64);
        out.push(b'-');
    }
    if namespace != "/" && !namespace.is_empty() {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        number(out, id);
    }
}

/// How many attachments a body has.
pub(super) fn attachments(body: &Body<'_>) -> usize {
    match body {
        Body::Json(_) | Body::Text(_) => 0,
        Body::Binary(_) => 1,
        Body::Args { attachments, .. } => attachments.len(),
    }
}

/// Appends the elements that a body is, after a comma if `more`; whether there
/// are elements before what follows.
pub(super) fn elements(out: &mut Vec<u8>, body: &Body<'_>, more: bool) -> bool {
    let comma = |out: &mut Vec<u8>| {
        if more {
            out.push(b',');
        }
    };
    match body {
        Body::Args { json, .. } => {
            let inner = inner(json);
            if inner.is_empty() {
                return more;
            }
            comma(out);
            out.extend_from_slice(inner);
        }
        Body::Json(json) => {
            comma(out);
            out.extend_from_slice(json);
        }
        Body::Text(text) => {
            comma(out);
            write_str(out, &String::from_utf8_lossy(text));
        }
        Body::Binary(_) => {
            comma(out);
            out.extend_from_slice(b"{\"_placeholder\":true,\"num\":0}");
        }
    }
    true
}

/// What stands between an array's brackets.
fn inner(array: &[u8]) -> &[u8] {
    let array = array.trim_ascii();
    let inner = array.strip_prefix(b"[").and_then(|a| a.strip_suffix(b"]"));
    inner.unwrap_or_default().trim_ascii()
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(value.to_string().as_bytes());
}
