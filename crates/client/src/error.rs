//! What ends a subscription or a publish.

use std::fmt;

use fanwire_proto::ws::CloseCode;

/// The code of a token that has ended.
pub(crate) const EXPIRED: &str = "token_expired";

/// A server's no, in HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The stable code of the protocol's error table; empty where the answer
    /// was not a problem document (a proxy's, say).
    pub code: String,
    /// What to do about it, in the server's words.
    pub detail: String,
    /// The channel at fault, where the server named one.
    pub channel: Option<String>,
}

impl Refusal {
    /// Whether the token that was shown has ended.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.code == EXPIRED
    }

    /// Whether the same request may be taken later: 408, 425, 429 and 5xx.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500..=599)
    }
}

/// Why a subscription or a publish ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The base address or an option cannot be used; nothing was sent.
    Config(String),
    /// The server refused the request.
    Refused(Refusal),
    /// The server closed the WebSocket with a code that says not to come back.
    Closed {
        /// The code.
        code: CloseCode,
        /// The server's words.
        reason: String,
    },
    /// The connection could not be made or was lost. A publish may or may not
    /// have been taken.
    Connection(String),
    /// The server's certificate is another's, has expired, or is of nobody who is
    /// trusted. Nothing was sent.
    Untrusted(String),
    /// No token could be had from the supplier; in its words.
    Token(String),
    /// What came back is not the protocol: wrong address, or something between.
    Protocol(String),
}

impl Error {
    /// Whether the same may succeed later without any change.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Connection(_) | Self::Token(_) => true,
            Self::Config(_) | Self::Closed { .. } | Self::Untrusted(_) | Self::Protocol(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(why) => f.write_str(why),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the server closed the connection for good ({code})")
            }
            Self::Closed { code, reason } => {
                write!(
                    f,
                    "the server closed the connection for good: {reason} ({code})"
                )
            }
            Self::Connection(why) => write!(f, "connection: {why}"),
            Self::Untrusted(why) => {
                write!(f, "the server's certificate is not trusted: {why}")
            }
            Self::Token(why) => write!(f, "no token: {why}"),
            Self::Protocol(why) => write!(f, "not the answer of a Fanwire server: {why}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            code,
            detail,
            channel,
        } = self;
        write!(f, "the server refused ({status}")?;
        if !code.is_empty() {
            write!(f, " {code}")?;
        }
        f.write_str(")")?;
        if let Some(channel) = channel {
            write!(f, " channel {channel}")?;
        }
        if detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {detail}")
        }
    }
}

impl std::error::Error for Error {}
