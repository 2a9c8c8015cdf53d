//! DISCONNECT: either side leaves a namespace.

use super::packet::Kind;
use super::write;
use crate::engineio::Wire;
use crate::error::DecodeError;

pub(super) fn check(data: &str, id: Option<u64>) -> Result<(), DecodeError> {
    if id.is_some() || !data.is_empty() {
        return Err(DecodeError::malformed(
            0,
            "a disconnect packet carries nothing",
        ));
    }
    Ok(())
}

/// `1/chat,`. A stock client that reads it does not come back by itself; to have
/// it come back, close the session instead.
#[derive(Debug, Clone, Copy)]
pub struct Disconnect<'a> {
    /// The namespace, with its slash.
    pub namespace: &'a str,
}

impl Disconnect<'_> {
    /// Appends the packet as a unit.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) {
        write::unit(wire, out, |out| self.write_text(out));
    }

    /// Appends the text of the packet, without Engine.IO's `4`.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        write::head(out, Kind::Disconnect, 0, self.namespace, None);
    }
}
