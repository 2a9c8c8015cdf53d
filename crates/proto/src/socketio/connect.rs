//! CONNECT: a client joins a namespace, and is told who it is there.

use super::packet::Kind;
use super::{scan, write};
use crate::engineio::Wire;
use crate::error::DecodeError;
use crate::native::json::write_str;

pub(super) fn check(data: &str, id: Option<u64>) -> Result<(), DecodeError> {
    if id.is_some() {
        return Err(DecodeError::malformed(0, "an ack id on a connect packet"));
    }
    if data.is_empty() {
        return Ok(());
    }
    if scan::first(data) != Some(b'{') {
        return Err(DecodeError::malformed(0, "a connect payload is an object"));
    }
    scan::check(data)
}

/// The server's answer: `0/chat,{"sid":"…","pid":"…"}`.
#[derive(Debug, Clone, Copy)]
pub struct Connected<'a> {
    /// The namespace, with its slash.
    pub namespace: &'a str,
    /// The socket's public name in the namespace.
    pub sid: &'a str,
    /// Its secret name for recovery; where it is given, the client keeps
    /// offsets.
    pub pid: Option<&'a str>,
}

impl Connected<'_> {
    /// Appends the packet as a unit.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) {
        write::unit(wire, out, |out| {
            write::head(out, Kind::Connect, 0, self.namespace, None);
            out.extend_from_slice(b"{\"sid\":");
            write_str(out, self.sid);
            if let Some(pid) = self.pid {
                out.extend_from_slice(b",\"pid\":");
                write_str(out, pid);
            }
            out.push(b'}');
        });
    }
}

/// A client's request: `0/chat,{"token":"x"}`.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// The namespace, with its slash.
    pub namespace: &'a str,
    /// What it shows, a JSON object.
    pub auth: Option<&'a str>,
}

impl Connect<'_> {
    /// Appends the text of the packet, without Engine.IO's `4`.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        write::head(out, Kind::Connect, 0, self.namespace, None);
        out.extend_from_slice(self.auth.unwrap_or_default().as_bytes());
    }
}
