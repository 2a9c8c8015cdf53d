//! What a caller sets.

use std::fmt;
use std::time::Duration;

use crate::proof::TokenSource;

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// A WebSocket in the envelope form.
    #[default]
    Ws,
    /// Server-Sent Events in the envelope form.
    Sse,
    /// Long poll.
    Poll,
}

/// Where a subscription starts while it has no cursor of its own yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// With what comes from now on.
    #[default]
    Latest,
    /// With the oldest message held.
    Earliest,
    /// After a cursor, or with `earliest` or `latest` as `after=` takes them.
    After(String),
    /// With the last N of each channel (0–1,000).
    Rewind(u32),
}

/// How long to wait before trying again: a span that doubles from `initial` to
/// `max`, of which a random half is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first span. Default 250 ms.
    pub initial: Duration,
    /// The longest span. Default 30 s. What a server asks for (`retry:`,
    /// `Retry-After`) may be longer, up to a minute.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(250),
            max: Duration::from_secs(30),
        }
    }
}

/// Whose certificates are believed where the address is `https`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Those of the authorities that the system lists (`SSL_CERT_FILE` names
    /// another list).
    #[default]
    System,
    /// Those of these authorities alone, in PEM; a server's own certificate, too.
    Authorities(Vec<u8>),
    /// Everybody's: whoever stands between reads and writes along. For development.
    Anyone,
}

/// A subscription.
#[derive(Clone)]
pub struct SubscribeOptions {
    /// `http://host[:port][/prefix]`, or `https://…`.
    pub base_url: String,
    /// 1–16 channels in their text form (`news`, `chat:lobby`).
    pub channels: Vec<String>,
    /// Default: WebSocket.
    pub transport: Transport,
    /// Default: from now on.
    pub start: Start,
    /// A backend's key, sent as `Authorization: Bearer`. Not together with `token`.
    pub api_key: Option<String>,
    /// A user's token, sent likewise.
    pub token: Option<TokenSource>,
    /// Whose certificate is taken for `https`. Default: who the system trusts.
    pub trust: Trust,
    /// A connection on which no byte came for this long is given up. Longer
    /// than the server's ping interval and time-out together. Default 50 s.
    pub read_timeout: Duration,
    /// For a connection and the head of its answer. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a long poll waits at the server, at most 55 s. Default 25 s.
    pub poll_wait: Duration,
    /// Largest message that is taken, as it stands on the wire. Default 8 MiB.
    pub max_message: usize,
    /// Default: 250 ms to 30 s.
    pub backoff: Backoff,
}

impl SubscribeOptions {
    /// The defaults, for these channels of this server.
    pub fn new<C: Into<String>>(
        base_url: impl Into<String>,
        channels: impl IntoIterator<Item = C>,
    ) -> Self {
        Self {
            base_url: base_url.into(),
            channels: channels.into_iter().map(Into::into).collect(),
            transport: Transport::default(),
            start: Start::default(),
            api_key: None,
            token: None,
            trust: Trust::default(),
            read_timeout: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(10),
            poll_wait: Duration::from_secs(25),
            max_message: 8 * 1024 * 1024,
            backoff: Backoff::default(),
        }
    }
}

/// A publisher.
#[derive(Clone)]
pub struct PublishOptions {
    /// `http://host[:port][/prefix]`, or `https://…`.
    pub base_url: String,
    /// A backend's key, sent as `Authorization: Bearer`. Not together with `token`.
    pub api_key: Option<String>,
    /// A user's token, sent likewise.
    pub token: Option<TokenSource>,
    /// Whose certificate is taken for `https`. Default: who the system trusts.
    pub trust: Trust,
    /// For one attempt, connection included. Default 10 s.
    pub timeout: Duration,
    /// Default: 250 ms to 30 s.
    pub backoff: Backoff,
}

impl PublishOptions {
    /// The defaults, for this server.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            token: None,
            trust: Trust::default(),
            timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
        }
    }
}

// By hand, so that a key never gets into a log.
impl fmt::Debug for SubscribeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribeOptions")
            .field("base_url", &self.base_url)
            .field("channels", &self.channels)
            .field("transport", &self.transport)
            .field("start", &self.start)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PublishOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishOptions")
            .field("base_url", &self.base_url)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
