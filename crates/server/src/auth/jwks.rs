//! Keys that an issuer publishes (RFC 7517), kept here: fetched at start and
//! again when they are old or when a token names one that is not among them,
//! never twice at once and never more often than a limited rate, however many
//! such tokens come. While the issuer is down the keys that are here go on
//! serving.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use jsonwebtoken::jwk::Jwk;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::fetch::{self, Trust};
use super::token_key::TokenKey;

/// Keys of one issuer, at most; more are left out.
const MAX_KEYS: usize = 64;

/// The first wait after a fetch that failed; then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Keys are fetched anew when they are so old.
    pub(crate) refresh: Duration,
    /// A key that is not known makes them fetched anew, so often at most; also the
    /// longest wait after failures.
    pub(crate) at_most_every: Duration,
    /// How long one fetch may take.
    pub(crate) timeout: Duration,
}

/// What is known now.
#[derive(Clone, Default)]
struct Known {
    keys: Arc<[TokenKey]>,
    /// Fetches that have ended, well or not.
    fetches: u64,
    /// The last one failed.
    failed: bool,
    /// A request before this changes nothing.
    next: Option<Instant>,
}

/// The keys of one issuer.
pub(crate) struct KeySet {
    url: Uri,
    pace: Pace,
    trust: Arc<Trust>,
    known: watch::Sender<Known>,
    wanted: Notify,
}

/// What asking for newer keys came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// They were fetched.
    Fetched,
    /// They were fetched just now, and asking again would be too soon.
    TooSoon,
    /// The issuer cannot be reached: what it has now is not known.
    Unreachable,
}

impl KeySet {
    /// Nothing yet: [`KeySet::run`] fetches.
    pub(crate) fn new(url: Uri, pace: Pace, trust: Arc<Trust>) -> Arc<Self> {
        Arc::new(Self {
            url,
            pace,
            trust,
            known: watch::Sender::default(),
            wanted: Notify::new(),
        })
    }

    /// Whether it is fetched from here, in this way.
    pub(crate) fn is_from(&self, url: &Uri, pace: Pace) -> bool {
        self.url == *url && self.pace == pace
    }

    /// The keys now.
    pub(crate) fn keys(&self) -> Arc<[TokenKey]> {
        self.known.borrow().keys.clone()
    }

    /// Asks for newer keys, and waits until they were fetched. Everyone who asks
    /// meanwhile waits for the same fetch.
    pub(crate) async fn newer(&self) -> Asked {
        let mut seen = self.known.subscribe();
        let before = {
            let known = seen.borrow();
            if known.next.is_some_and(|next| Instant::now() < next) {
                return match known.failed {
                    true => Asked::Unreachable,
                    false => Asked::TooSoon,
                };
            }
            known.fetches
        };
        self.wanted.notify_one();
        // The fetch bounds itself; this only outlives it.
        let patience = self.pace.timeout + FIRST_RETRY;
        let ended = seen.wait_for(|known| known.fetches > before);
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok(known)) if !known.failed => Asked::Fetched,
            _ => Asked::Unreachable,
        }
    }

    /// Fetches for as long as the server runs.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut retry = FIRST_RETRY;
        loop {
            let fetched = self.fetch().await;
            let now = Instant::now();
            let (keys, rest) = match fetched {
                Ok(keys) => {
                    retry = FIRST_RETRY;
                    (Some(keys), self.pace.refresh)
                }
                Err(why) => {
                    let had = self.known.borrow().keys.len();
                    tracing::warn!(url = %self.url, %why, keys = had, "keys were not fetched; those known stay");
                    let wait = retry.min(self.pace.at_most_every);
                    retry = (retry * 2).min(self.pace.at_most_every);
                    (None, wait)
                }
            };
            let next = match keys {
                Some(_) => now + self.pace.at_most_every.min(rest),
                None => now + rest,
            };
            self.known.send_modify(|known| {
                known.failed = keys.is_none();
                if let Some(keys) = keys {
                    known.keys = keys;
                }
                known.fetches += 1;
                known.next = Some(next);
            });
            tokio::time::sleep_until(next).await;
            // Wanted meanwhile: nobody waits for that any more, it was too soon.
            let _ = tokio::time::timeout_at(now + rest, self.wanted.notified()).await;
        }
    }

    async fn fetch(&self) -> Result<Arc<[TokenKey]>, String> {
        let body = fetch::get(&self.url, self.pace.timeout, &self.trust)
            .await
            .map_err(|why| why.to_string())?;
        read(&body)
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet")
            .field("url", &self.url)
            .field("keys", &self.known.borrow().keys)
            .finish_non_exhaustive()
    }
}

/// The usable keys of a JWKS. One that is not understood is left out; a text
/// without any usable one is an error, so that it never replaces good ones.
fn read(body: &[u8]) -> Result<Arc<[TokenKey]>, String> {
    #[derive(serde::Deserialize)]
    struct Jwks {
        keys: Vec<serde_json::Value>,
    }
    let jwks: Jwks = serde_json::from_slice(body).map_err(|_| "not a JWKS".to_owned())?;
    let usable = jwks.keys.into_iter().take(MAX_KEYS).filter_map(|key| {
        let jwk = serde_json::from_value::<Jwk>(key).ok()?;
        TokenKey::jwk(&jwk)
    });
    let usable: Arc<[TokenKey]> = usable.collect();
    match usable.is_empty() {
        true => Err("the JWKS holds no key that tokens can be verified with".to_owned()),
        false => Ok(usable),
    }
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
