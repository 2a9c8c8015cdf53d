//! Who a request comes from: API keys for backends, tokens for users.

mod claims;
mod fetch;
mod io;
mod jwks;
mod keys;
mod proven;
mod published;
mod shown;
mod token;
mod token_key;

use std::io as std_io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::error::Refusal;
use fanwire_core::policy::{Subject, User};
use http::request::Parts;

use crate::config::{Config, TokenIssuer};
use crate::metrics::Metrics;
use jwks::{Asked, KeySet};
use keys::Keys;
use published::Published;
use shown::{Shown, Way};
use token::{Bad, Issuer, Tokens};

pub(crate) use claims::Claims;
pub(crate) use keys::hash;
pub(crate) use published::Fetching;
pub(crate) use token::{MAX_TOKEN, Now, decoded, install};
pub(crate) use token_key::Alg;
use token_key::TokenKey;

/// Everything that is known of those who may come.
#[derive(Debug)]
pub(crate) struct Auth {
    keys: Keys,
    tokens: Tokens,
    published: Published,
    /// Public keys came from files, which may have changed since.
    from_files: bool,
    /// The cookie that may hold a token; empty: none.
    cookie: String,
    /// A token may stand in the URL.
    in_url: bool,
}

/// Who it is, and how that was shown.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) subject: Subject,
    /// A browser sent the proof by itself, whatever page made it.
    pub(crate) by_cookie: bool,
}

impl Auth {
    /// By configuration; reads the files of public keys.
    ///
    /// # Errors
    /// A file that cannot be read or holds no public key, named.
    pub(crate) fn new(config: &Config) -> std_io::Result<Self> {
        Self::after(&Published::default(), config)
    }

    /// By another configuration. Reads the files again; of issuers that publish
    /// their keys where they did, what was fetched stays known.
    ///
    /// # Errors
    /// As [`Auth::new`].
    pub(crate) fn renewed(&self, config: &Config) -> std_io::Result<Self> {
        Self::after(&self.published, config)
    }

    fn after(before: &Published, config: &Config) -> std_io::Result<Self> {
        let published = Published::after(before, config).map_err(std_io::Error::other)?;
        let keys = config.access.api_keys.iter();
        let issuers = config.issuers.by_name.iter();
        let issuers = issuers.map(|(name, issuer)| {
            let built = build(issuer, published.of(name));
            built.map_err(|why| std_io::Error::other(format!("issuers.{name}: {why}")))
        });
        Ok(Self {
            keys: Keys::new(keys.map(|(name, secret)| (name.as_str(), secret))),
            tokens: Tokens::new(issuers.collect::<std_io::Result<_>>()?),
            published,
            from_files: config
                .issuers
                .by_name
                .values()
                .any(|issuer| !issuer.public_keys.is_empty()),
            cookie: config.tokens.cookie.clone(),
            in_url: config.tokens.in_url,
        })
    }

    /// Whether it was made from the configuration alone.
    pub(crate) fn reads_no_files(&self) -> bool {
        !self.from_files
    }

    /// Has the keys that issuers publish fetched, and no others, for as long as
    /// `fetching` lives.
    pub(crate) fn fetch(&self, fetching: &mut Fetching) {
        fetching.follow(&self.published);
    }

    /// Who sent this request, `now`. Without any proof it is
    /// nobody in particular, told apart by `peer`. Of several proofs the first
    /// counts, in this order: `Authorization`, the cookie, the URL.
    ///
    /// # Errors
    /// `unauthorized` or `token_expired` for every proof that does not hold: a
    /// wrong one is never treated as none. `unavailable` where the issuer's keys
    /// are needed and cannot be had now.
    pub(crate) async fn caller(
        &self,
        head: &Parts,
        peer: IpAddr,
        now: Now,
        metrics: &Metrics,
    ) -> Result<Caller, Refusal> {
        let cookie = Some(self.cookie.as_str()).filter(|name| !name.is_empty());
        let Some(Shown { proof, way }) = shown::find(head, cookie, self.in_url)? else {
            return Ok(Caller {
                subject: Subject::Anonymous(peer),
                by_cookie: false,
            });
        };
        // Only a header holds an API key: it belongs to programs, not to pages.
        let key = match way {
            Way::Header => self.keys.find(proof.as_bytes()),
            Way::Cookie | Way::Url => None,
        };
        let subject = match key {
            Some(name) => Subject::Key(name),
            None => self.user(&proof, now, metrics).await?,
        };
        Ok(Caller {
            subject,
            by_cookie: way == Way::Cookie,
        })
    }

    /// Whether there are users at all.
    pub(crate) fn takes_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// As [`Auth::caller`].
    pub(crate) async fn bearer(&self, token: &str, now: Now) -> Result<Subject, Refusal> {
        let seen = self.look(token, now).await;
        seen.map(Subject::User).map_err(Bad::refusal)
    }

    /// The same, counted.
    ///
    /// # Errors
    /// As [`Auth::caller`].
    pub(crate) async fn user(
        &self,
        token: &str,
        now: Now,
        metrics: &Metrics,
    ) -> Result<Subject, Refusal> {
        let seen = self.look(token, now).await;
        metrics.sees(seen.as_ref().map_or_else(|bad| bad.word(), |_| "ok"));
        seen.map(Subject::User).map_err(Bad::refusal)
    }

    async fn look(&self, token: &str, now: Now) -> Result<Arc<User>, Bad> {
        if self.tokens.is_empty() || !token::looks_like_one(token.as_bytes()) {
            return Err(Bad::Unknown);
        }
        match self.tokens.verify(token, now) {
            Err(Bad::Key) => self.with_newer_keys(token, now).await,
            verified => verified,
        }
    }

    /// The key is not known: perhaps it is new.
    async fn with_newer_keys(&self, token: &str, now: Now) -> Result<Arc<User>, Bad> {
        let Some(set) = self.tokens.key_set(token) else {
            return Err(Bad::Key);
        };
        match set.newer().await {
            // Too soon: another one may have fetched between the first look and now.
            Asked::Fetched | Asked::TooSoon => self.tokens.verify(token, now),
            Asked::Unreachable => Err(Bad::Unreachable),
        }
    }
}

fn unknown_key() -> Refusal {
    Bad::Unknown.refusal()
}

fn build(issuer: &TokenIssuer, published: Option<Arc<KeySet>>) -> Result<Issuer, String> {
    let mut keys = Vec::new();
    if let Some(secret) = &issuer.secret {
        keys.push(TokenKey::secret(None, secret.expose().as_bytes())?);
    }
    for (kid, path) in issuer.key_files() {
        let told = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let pem = std::fs::read(&path).map_err(|why| told(&why))?;
        keys.push(TokenKey::pem(kid, &pem).map_err(|why| told(&why))?);
    }
    Ok(Issuer {
        name: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        require_exp: issuer.require_exp,
        leeway: issuer.leeway.min(Duration::from_secs(30)),
        keys,
        published,
    })
}
