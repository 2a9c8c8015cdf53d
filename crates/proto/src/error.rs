//! What can be wrong with bytes: three answers, so that a caller can say whose
//! fault it was without reading a text.

use std::fmt;

/// Why a decoder refused its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The input is not of the form that the format gives.
    Malformed {
        /// Byte offset in the input handed over; 0 where none is known.
        at: usize,
        /// What is wrong, for a person; never contains the input.
        why: &'static str,
    },
    /// The input is, or declares to be, longer than the limit.
    TooLarge {
        /// The limit, in the unit of what was counted (bytes, levels, members).
        limit: usize,
        /// What was seen or declared.
        got: u64,
    },
    /// A rule of a framed protocol was broken; the connection has to end.
    Violation(Violation),
}

impl DecodeError {
    /// A `Malformed` in short.
    #[must_use]
    pub const fn malformed(at: usize, why: &'static str) -> Self {
        Self::Malformed { at, why }
    }
}

/// A broken rule of the WebSocket protocol: send a close frame with this code,
/// then end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The close code to send: 1002, 1007, 1008 or 1009.
    pub close_code: u16,
    /// What was broken, for the close reason and the log; never the input.
    pub why: &'static str,
}

impl Violation {
    /// A violation with its close code.
    #[must_use]
    pub const fn new(close_code: u16, why: &'static str) -> Self {
        Self { close_code, why }
    }
}

impl From<Violation> for DecodeError {
    fn from(v: Violation) -> Self {
        Self::Violation(v)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { at, why } => write!(f, "{why} (at byte {at})"),
            Self::TooLarge { limit, got } => write!(f, "{got} is over the limit of {limit}"),
            Self::Violation(v) => v.fmt(f),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (close {})", self.why, self.close_code)
    }
}

impl std::error::Error for DecodeError {}
impl std::error::Error for Violation {}
