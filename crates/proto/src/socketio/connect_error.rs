//! CONNECT_ERROR: a namespace refuses a client; the connection stays.

use super::packet::Kind;
use super::{scan, write};
use crate::engineio::Wire;
use crate::error::DecodeError;
use crate::native::json::write_str;

pub(super) fn check(data: &str, id: Option<u64>) -> Result<(), DecodeError> {
    if id.is_some() || !matches!(scan::first(data), Some(b'{' | b'"')) {
        return Err(DecodeError::malformed(
            0,
            "a connect error is an object or a string",
        ));
    }
    scan::check(data)
}

/// The refusal: `4/chat,{"message":"…","data":…}`.
#[derive(Debug, Clone, Copy)]
pub struct ConnectError<'a> {
    /// The namespace as the client wrote it.
    pub namespace: &'a str,
    /// Why, for the client's `Error`.
    pub message: &'a str,
    /// More about it, as JSON: its `data`.
    pub data: Option<&'a str>,
}

impl ConnectError<'_> {
    /// What a namespace that does not exist says.
    pub const INVALID_NAMESPACE: &'static str = "Invalid namespace";

    /// Appends the packet as a unit.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) {
        write::unit(wire, out, |out| {
            write::head(out, Kind::ConnectError, 0, self.namespace, None);
            out.extend_from_slice(b"{\"message\":");
            write_str(out, self.message);
            if let Some(data) = self.data {
                out.extend_from_slice(b",\"data\":");
                out.extend_from_slice(data.as_bytes());
            }
            out.push(b'}');
        });
    }
}
