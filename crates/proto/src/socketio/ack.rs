//! ACK and BINARY_ACK: the answer to an event that asked for one.

use super::packet::Kind;
use super::{scan, write};
use crate::engineio::Wire;
use crate::error::DecodeError;
use crate::native::Body;

pub(super) fn check(data: &str, id: Option<u64>) -> Result<(), DecodeError> {
    if id.is_none() {
        return Err(DecodeError::malformed(0, "an ack without its id"));
    }
    if scan::first(data) != Some(b'[') {
        return Err(DecodeError::malformed(0, "an ack is an array"));
    }
    scan::check(data)
}

/// An ack to write: `3/chat,7["ok"]`; see [`Event`](super::Event) for what
/// becomes of a body.
#[derive(Debug, Clone, Copy)]
pub struct Ack<'a> {
    /// The namespace, with its slash.
    pub namespace: &'a str,
    /// The id of the event, as it came.
    pub id: u64,
    /// The arguments, checked before; `Args` of `[]` is an ack without any.
    pub body: Body<'a>,
}

impl Ack<'_> {
    /// Appends the packet and its attachments as one unit.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) {
        write::unit_of(wire, out, self.body, |out| self.write_text(out));
    }

    /// Appends the text of the packet, without Engine.IO's `4` and without its
    /// attachments.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let attachments = write::attachments(&self.body);
        let kind = if attachments == 0 {
            Kind::Ack
        } else {
            Kind::BinaryAck
        };
        write::head(out, kind, attachments, self.namespace, Some(self.id));
        out.push(b'[');
        write::elements(out, &self.body, false);
        out.push(b']');
    }
}
