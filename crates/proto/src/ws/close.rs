//! Close codes and the payload of a close frame (RFC 6455, 5.5.1 and 7.4).

use std::fmt;

use crate::error::Violation;
use crate::limits::CLOSE_REASON_BYTES;

/// A close code. Any number can be held; [`CloseCode::is_valid`] says whether
/// it may stand in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint is going away.
    pub const GOING_AWAY: Self = Self(1001);
    /// A rule of the protocol was broken.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of data that is not taken here (binary on an envelope socket).
    pub const UNSUPPORTED: Self = Self(1003);
    /// Never in a frame: stands for a close frame without a code.
    pub const NO_STATUS: Self = Self(1005);
    /// Never in a frame: stands for a connection that ended without a close.
    pub const ABNORMAL: Self = Self(1006);
    /// Data that is not what its type says: text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A policy was broken.
    pub const POLICY: Self = Self(1008);
    /// A message over the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// The client misses an extension.
    pub const EXTENSION_NEEDED: Self = Self(1010);
    /// A fault of the server.
    pub const INTERNAL: Self = Self(1011);
    /// The service restarts, or stops here; come back.
    pub const RESTART: Self = Self(1012);
    /// Try again later.
    pub const TRY_LATER: Self = Self(1013);
    /// A gateway got no valid answer.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// No write progress for too long; come back, resume.
    pub const SLOW: Self = Self(3008);
    /// Messages would have been skipped; the reason is the cursor just past
    /// the loss.
    pub const GAP: Self = Self(3010);
    /// No pong, nothing read or written in time.
    pub const NO_PONG: Self = Self(3012);
    /// Too many requests; come back later.
    pub const RATE_LIMITED: Self = Self(3013);
    /// The key is unknown or missing; do not come back as you are.
    pub const UNAUTHORIZED: Self = Self(3500);
    /// A request that is not of the form; do not come back as you are.
    pub const BAD_REQUEST: Self = Self(3501);
    /// Nobody said in time who it is.
    pub const AUTH_TIMEOUT: Self = Self(3502);
    /// The application ended the connection.
    pub const DISCONNECTED: Self = Self(3503);
    /// Too many connections of this address.
    pub const CONNECTION_LIMIT: Self = Self(3504);
    /// Too many channels.
    pub const CHANNEL_LIMIT: Self = Self(3505);
    /// The policy does not allow this.
    pub const FORBIDDEN: Self = Self(3507);
    /// Too many refused frames.
    pub const TOO_MANY_ERRORS: Self = Self(3509);

    /// Whether this code may stand in a close frame: 1000–1003, 1007–1014 and
    /// 3000–4999 (RFC 6455, 7.4; 1012–1014 as registered since).
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether a client that was closed with this code should not come back as
    /// it is: 3500–3999. Everything else is for the client to judge.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self.0, 3500..=3999)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Writes the payload of a close frame. No code gives an empty payload (a code
/// that may not stand in a frame counts as none, and the reason goes with it).
/// A reason longer than 123 bytes is cut on a character boundary.
pub fn encode(code: Option<CloseCode>, reason: &str, out: &mut Vec<u8>) {
    let Some(code) = code.filter(|c| c.is_valid()) else {
        return;
    };
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(CLOSE_REASON_BYTES)]);
}

/// Reads the payload of a close frame: the code, if there is one, and the reason.
///
/// # Errors
/// 1002 for a payload of one byte or a code that may not stand in a frame, 1007
/// for a reason that is not UTF-8.
pub fn decode(payload: &[u8]) -> Result<(Option<CloseCode>, String), Violation> {
    match payload {
        [] => Ok((None, String::new())),
        [_] => Err(Violation::new(1002, "a close frame with half a code")),
        [hi, lo, reason @ ..] => {
            let code = CloseCode(u16::from_be_bytes([*hi, *lo]));
            if !code.is_valid() {
                return Err(Violation::new(1002, "a close code that may not be sent"));
            }
            let reason = simdutf8::basic::from_utf8(reason)
                .map_err(|_| Violation::new(1007, "a close reason that is not UTF-8"))?;
            Ok((Some(code), reason.to_owned()))
        }
    }
}
