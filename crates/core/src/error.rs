//! The one table of errors: code, HTTP status, WebSocket close code, whether a
//! client retries. PROTOCOL.md section 8 is this table.

use std::time::Duration;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $close:expr, $retry:literal, $title:literal;)*) => {
        /// A stable error code.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the table's order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str { match self { $(Code::$name => $text,)* } }
            /// The HTTP status.
            pub const fn status(self) -> u16 { match self { $(Code::$name => $status,)* } }
            /// The WebSocket close code, where the error can end a socket.
            pub const fn close(self) -> Option<u16> { match self { $(Code::$name => $close,)* } }
            /// Whether the same request may succeed later.
            pub const fn retry(self) -> bool { match self { $(Code::$name => $retry,)* } }
            /// A few words for people.
            pub const fn title(self) -> &'static str { match self { $(Code::$name => $title,)* } }
        }
    };
}

codes! {
    /// A parameter, header or frame is not of the documented form.
    BadRequest = "bad_request", 400, Some(3501), false, "Bad request";
    /// A channel name breaks the rules.
    InvalidChannel = "invalid_channel", 400, Some(3501), false, "Invalid channel name";
    /// More channels than one URL may name.
    TooManyChannels = "too_many_channels", 400, Some(3505), false, "Too many channels";
    /// The event name is reserved or malformed.
    InvalidEvent = "invalid_event", 400, Some(3501), false, "Invalid event name";
    /// Not UTF-8, or not JSON.
    InvalidBody = "invalid_body", 400, Some(1007), false, "Invalid body";
    /// The key is unknown, or none was sent where one is needed.
    Unauthorized = "unauthorized", 401, Some(3500), false, "Unauthorized";
    /// The token was good and has ended: the same request with a new one may pass.
    TokenExpired = "token_expired", 401, Some(3005), true, "Token expired";
    /// The policy does not allow this here.
    Forbidden = "forbidden", 403, Some(3507), false, "Forbidden";
    /// The page's origin is not allowed.
    OriginDenied = "origin_denied", 403, Some(3507), false, "Origin not allowed";
    /// The Host header is not one this server answers to.
    HostDenied = "host_denied", 403, Some(3507), false, "Host not allowed";
    /// A proxy stands in front of a server not configured for one.
    ProxyUnconfigured = "proxy_unconfigured", 403, Some(3507), false, "Proxy not configured";
    /// No such path.
    NotFound = "not_found", 404, None, false, "Not found";
    /// See `Allow`.
    MethodNotAllowed = "method_not_allowed", 405, None, false, "Method not allowed";
    /// The request came too slowly.
    RequestTimeout = "request_timeout", 408, None, true, "Request time-out";
    /// The message or body is over the limit.
    TooLarge = "too_large", 413, Some(1009), false, "Too large";
    /// The request line is over the limit.
    UriTooLong = "uri_too_long", 414, None, false, "URI too long";
    /// The idempotency key was used for something else.
    IdempotencyMismatch = "idempotency_mismatch", 422, Some(3501), false, "Idempotency key reused";
    /// The configuration that was read again cannot be served.
    InvalidConfig = "invalid_config", 422, None, false, "Invalid configuration";
    /// WebSocket version other than 13.
    UpgradeRequired = "upgrade_required", 426, None, false, "Upgrade required";
    /// Too many.
    RateLimited = "rate_limited", 429, Some(3013), true, "Too many requests";
    /// Too many idempotency keys in use.
    IdempotencyFull = "idempotency_full", 429, Some(3013), true, "Too many idempotency keys";
    /// Too many connections.
    ConnectionLimit = "connection_limit", 429, Some(3504), true, "Too many connections";
    /// Headers over the limit.
    HeadersTooLarge = "headers_too_large", 431, None, false, "Headers too large";
    /// A fault of the server.
    Internal = "internal", 500, Some(1011), true, "Internal error";
    /// No publish credit in time.
    Overloaded = "overloaded", 503, Some(1013), true, "Overloaded";
    /// The broker cannot be reached.
    Unavailable = "unavailable", 503, Some(1013), true, "Unavailable";
    /// The message may or may not have been kept.
    OutcomeUnknown = "outcome_unknown", 503, Some(1013), true, "Outcome unknown";
}

/// A refusal: a code, and a sentence that says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Which row of the table.
    pub code: Code,
    /// What to do about it. Never contains a secret.
    pub detail: String,
    /// The channel at fault, where one is.
    pub channel: Option<String>,
    /// After how long the same request may succeed, where that is known.
    pub retry_in: Option<Duration>,
    /// The place of what is wrong within what was sent, where it is one.
    pub place: Option<Box<str>>,
}

impl Refusal {
    /// A refusal without a channel.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            channel: None,
            retry_in: None,
            place: None,
        }
    }

    /// The same, saying after how long the same request may succeed.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_in = Some(wait);
        self
    }

    /// The same, naming the channel at fault.
    #[must_use]
    pub fn at(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_stand_in_their_ranges() {
        for code in Code::ALL {
            match code.close() {
                // 3504 means "this address has too many": terminal for the socket as it is.
                Some(3000..=3499) => assert!(code.retry(), "{code:?}"),
                Some(3500..=3999) => {
                    assert!(!code.retry() || *code == Code::ConnectionLimit, "{code:?}")
                }
                Some(1007 | 1009 | 1011 | 1013) | None => {}
                Some(other) => panic!("{code:?}: {other}"),
            }
        }
    }
}
