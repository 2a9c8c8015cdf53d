//! What of other settings a running server can take, and what it says of them;
//! `renew` puts them in force.

use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::auth::Fetching;
use crate::config::{Config, Limits, Poll, Problems, Setting, SocketIo, Sse, Ws};
use crate::limit::Counts;

/// Reads the configuration again, from wherever it came.
pub type Loader = Arc<dyn Fn() -> Result<Config, Problems> + Send + Sync>;

/// Puts a configuration in force; none: the one that the loader reads.
pub(crate) type Renew = Arc<dyn Fn(Option<Config>) -> Result<Reloaded, Problems> + Send + Sync>;

/// What came of a reload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reloaded {
    /// Settings that are in force now, by their paths.
    pub changed: Vec<&'static str>,
    /// Settings that read otherwise and stay as they were until the server is
    /// started anew.
    pub needs_restart: Vec<&'static str>,
}

/// One line for a log.
impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changed.is_empty() {
            true => f.write_str("nothing changed")?,
            false => write!(f, "changed: {}", self.changed.join(", "))?,
        }
        match self.needs_restart.is_empty() {
            true => Ok(()),
            false => write!(f, "; needs a restart: {}", self.needs_restart.join(", ")),
        }
    }
}

/// What a reload needs beyond what it changes.
pub(crate) struct Reload {
    /// None: there is nothing to read again.
    pub(crate) loader: Option<Loader>,
    /// Once the server listens.
    pub(crate) counts: OnceLock<Arc<Counts>>,
    /// Tasks that fetch published keys. They end with the server, or with the
    /// settings that they belong to.
    pub(crate) fetching: Mutex<Fetching>,
    /// One at a time.
    pub(crate) busy: Mutex<()>,
}

impl Reload {
    pub(crate) fn new(loader: Option<Loader>) -> Self {
        Self {
            loader,
            counts: OnceLock::new(),
            fetching: Mutex::default(),
            busy: Mutex::default(),
        }
    }

    /// Ends what it started.
    pub(crate) fn end(&self) {
        *self.fetching.lock() = Fetching::default();
    }
}

/// `wanted`, with everything that a running server holds on to as it is.
pub(crate) fn kept(old: &Config, wanted: Config) -> Config {
    Config {
        listen: old.listen.clone(),
        tls: old.tls.clone(),
        debug: old.debug.clone(),
        http2: old.http2.clone(),
        socketio: SocketIo {
            path: old.socketio.path.clone(),
            recoverable: old.socketio.recoverable,
            ..wanted.socketio
        },
        limits: Limits {
            connections: wanted.limits.connections,
            connections_per_ip: wanted.limits.connections_per_ip,
            operator_wait: wanted.limits.operator_wait,
            ..old.limits.clone()
        },
        ws: Ws {
            close_wait: old.ws.close_wait,
            deflate_threshold: old.ws.deflate_threshold,
            ..wanted.ws
        },
        sse: Sse {
            retry_min: old.sse.retry_min,
            retry_max: old.sse.retry_max,
            drain_retry_min: old.sse.drain_retry_min,
            drain_retry_max: old.sse.drain_retry_max,
            ..wanted.sse
        },
        poll: Poll {
            answer: old.poll.answer,
            ..wanted.poll
        },
        ..wanted
    }
}

/// The settings that differ.
pub(crate) fn differing(one: &Config, other: &Config) -> impl Iterator<Item = &'static str> {
    let differs = move |setting: &&Setting| match setting.key {
        // Shown without their secrets.
        "access.api_keys" => one.access.api_keys != other.access.api_keys,
        "issuers" => one.issuers != other.issuers,
        _ => (setting.get)(one) != (setting.get)(other),
    };
    let keys: Vec<_> = Config::settings()
        .filter(differs)
        .map(|setting| setting.key)
        .collect();
    keys.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use std::time::Duration;

    #[test]
    fn what_differs_is_named_and_what_a_running_server_holds_on_to_is_kept() {
        let old = Config::default();
        let mut wanted = old.clone();
        wanted.listen.backlog = 7;
        wanted.limits.log_bytes = 1 << 20;
        wanted.tls.self_signed = true;
        wanted.tls.handshake_timeout = Duration::from_secs(1);
        wanted.limits.connections_per_ip = 3;
        wanted.ws.ping = Duration::from_secs(1);
        wanted.socketio.path = "/realtime/".to_owned();
        wanted.socketio.ping_interval = Duration::from_secs(1);
        wanted.rates.burst = Duration::from_secs(2);
        let next = kept(&old, wanted.clone());
        let changed: Vec<_> = differing(&old, &next).collect();
        assert_eq!(
            changed,
            [
                "ws.ping",
                "socketio.ping_interval",
                "limits.connections_per_ip",
                "rates.burst"
            ]
        );
        let waits: Vec<_> = differing(&next, &wanted).collect();
        let expected = [
            "listen.backlog",
            "tls.self_signed",
            "tls.handshake_timeout",
            "socketio.path",
            "limits.log_bytes",
        ];
        assert_eq!(waits, expected);
    }

    #[test]
    fn another_secret_is_a_change_and_is_not_shown() {
        let mut one = Config::default();
        let name = "ops".to_owned();
        one.access
            .api_keys
            .insert(name.clone(), Secret::new("s3cret-0123456789abcdef"));
        let mut other = one.clone();
        other
            .access
            .api_keys
            .insert(name, Secret::new("0ther-0123456789abcdef!"));
        let changed: Vec<_> = differing(&one, &other).collect();
        assert_eq!(changed, ["access.api_keys"]);
    }
}
