//! Tokens: JSON Web Tokens (RFC 7519) signed with a configured key.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanwire_core::clock::Instant;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::policy::User;

use super::claims::Claims;
use super::jwks::KeySet;
use super::token_key::{Alg, TokenKey};

/// Bytes of a token, at most.
pub(crate) const MAX_TOKEN: usize = 8 * 1024;

/// Keys tried for a token that names none.
const MAX_TRIED: usize = 16;

/// Everyone whose tokens are taken.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issuers: Vec<Issuer>,
}

/// One of them, and what its tokens must say.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// `iss`, exactly. None: for tokens of whoever has no entry of its own.
    pub(crate) name: Option<String>,
    /// `aud` must name one of these; without any, a token must name none.
    pub(crate) audience: Vec<String>,
    /// Whether a token must end.
    pub(crate) require_exp: bool,
    /// How far the clocks may differ, for `exp`, `nbf` and `iat`.
    pub(crate) leeway: Duration,
    /// Its keys, as configured.
    pub(crate) keys: Vec<TokenKey>,
    /// Those that it publishes.
    pub(crate) published: Option<Arc<KeySet>>,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Not three parts of base64url, or over [`MAX_TOKEN`].
    Form,
    /// The head is broken, or asks for something that is not done here.
    Head,
    /// `none`, or an algorithm that is not known.
    Algorithm,
    /// A claim of a wrong type or form, or twice.
    Claims,
    /// `iss` is nobody's.
    Issuer,
    /// No key of that name, for that algorithm. Perhaps a new one.
    Key,
    /// It was signed by somebody else, or changed.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `exp` is missing.
    Endless,
    /// `nbf` or `iat` lies ahead.
    Early,
    /// `aud` is missing, or names others.
    Audience,
    /// `sub` is missing.
    Subject,
    /// The keys of its issuer are needed, and cannot be had now.
    Unreachable,
    /// Neither a token nor an API key of anyone here.
    Unknown,
}

impl Bad {
    /// Its word in the figures.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Head => "head",
            Self::Algorithm => "algorithm",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Endless => "endless",
            Self::Early => "early",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }

    /// What the sender is told.
    pub(crate) fn refusal(self) -> Refusal {
        let (code, detail) = match self {
            Self::Form => (Code::Unauthorized, "this is not a token"),
            Self::Head => (Code::Unauthorized, "the token's head is not understood"),
            Self::Algorithm => (Code::Unauthorized, "the token's algorithm is not allowed"),
            Self::Claims => (Code::Unauthorized, "a claim of the token has a wrong form"),
            Self::Issuer => (Code::Unauthorized, "the token's issuer is not known here"),
            Self::Key => (Code::Unauthorized, "the token's key is not known here"),
            Self::Signature => (Code::Unauthorized, "the token's signature is wrong"),
            Self::Expired => (Code::TokenExpired, "the token has expired; get another one"),
            Self::Endless => (Code::Unauthorized, "the token does not say when it ends"),
            Self::Early => (Code::Unauthorized, "the token is not valid yet"),
            Self::Audience => (Code::Unauthorized, "the token is for another audience"),
            Self::Subject => (Code::Unauthorized, "the token does not say whose it is"),
            Self::Unreachable => (
                Code::Unavailable,
                "the keys of the token's issuer cannot be fetched now; come back later",
            ),
            Self::Unknown => (
                Code::Unauthorized,
                "the key or token is not known here: it is no API key of this server, and no token of its issuers",
            ),
        };
        Refusal::new(code, detail)
    }
}

/// The parts of a head that matter. Keys that a token brings along or points to
/// (`jwk`, `jku`, `x5u`, `x5c`) are left alone.
#[derive(serde::Deserialize)]
struct Head {
    alg: String,
    #[serde(default, deserialize_with = "some")]
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, 4.1.11): there are none here.
    crit: Option<serde::de::IgnoredAny>,
    /// RFC 7797: an unencoded payload.
    b64: Option<serde::de::IgnoredAny>,
}

/// A text; null is none.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    <String as serde::Deserialize>::deserialize(from).map(Some)
}

/// The present, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Since 1970: what tokens go by.
    pub(crate) wall_ms: u64,
    /// The hub's.
    pub(crate) hub: Instant,
}

/// Whether it has the form of a token rather than of an API key.
pub(crate) fn looks_like_one(text: &[u8]) -> bool {
    text.starts_with(b"eyJ") && text.iter().filter(|byte| **byte == b'.').count() == 2
}

impl Tokens {
    /// Takes tokens of these.
    pub(crate) fn new(issuers: Vec<Issuer>) -> Self {
        install();
        Self { issuers }
    }

    /// Whose token it is, `now`.
    ///
    /// # Errors
    /// The first thing found wrong with it. Nothing of a token whose signature
    /// does not hold is believed, but for the names that choose the key.
    pub(crate) fn verify(&self, token: &str, now: Now) -> Result<Arc<User>, Bad> {
        if token.len() > MAX_TOKEN {
            return Err(Bad::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Bad::Form)?;
        let (head, claims) = signed.split_once('.').ok_or(Bad::Form)?;
        if claims.contains('.') {
            return Err(Bad::Form);
        }
        let head: Head = serde_json::from_slice(&decoded(head)?).map_err(|_| Bad::Head)?;
        if head.crit.is_some() || head.b64.is_some() {
            return Err(Bad::Head);
        }
        // Exactly as written: `None`, `hs256` and the like are nothing.
        let algorithm = Alg::parse(&head.alg).ok_or(Bad::Algorithm)?;
        let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| Bad::Claims)?;
        let issuer = self.issuer(claims.iss.as_deref()).ok_or(Bad::Issuer)?;
        issuer.signed(algorithm, head.kid.as_deref(), signed, signature)?;
        issuer.judge(claims, now).map(Arc::new)
    }

    /// Whether nobody's tokens are taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Where the keys of this token's issuer are published. The token says whose it
    /// is, and nothing more is believed of it.
    pub(crate) fn key_set(&self, token: &str) -> Option<&Arc<KeySet>> {
        let claims = token.split('.').nth(1)?;
        let claims: Claims = serde_json::from_slice(&decoded(claims).ok()?).ok()?;
        self.issuer(claims.iss.as_deref())?.published.as_ref()
    }

    fn issuer(&self, name: Option<&str>) -> Option<&Issuer> {
        let by_name = self
            .issuers
            .iter()
            .find(|issuer| issuer.name.is_some() && issuer.name.as_deref() == name);
        by_name.or_else(|| self.issuers.iter().find(|issuer| issuer.name.is_none()))
    }
}

impl Issuer {
    fn signed(
        &self,
        algorithm: Alg,
        kid: Option<&str>,
        signed: &str,
        signature: &str,
    ) -> Result<(), Bad> {
        let fetched = self.published.as_ref().map(|set| set.keys());
        let candidates = self
            .keys
            .iter()
            .chain(fetched.iter().flat_map(|keys| keys.iter()))
            .filter(|key| {
                let named = kid.is_none() || key.kid().is_none() || kid == key.kid();
                named && key.is_for(algorithm)
            });
        let mut known = false;
        for key in candidates.take(MAX_TRIED) {
            known = true;
            if key.verifies(algorithm, signed.as_bytes(), signature) {
                return Ok(());
            }
        }
        Err(if known { Bad::Signature } else { Bad::Key })
    }

    fn judge(&self, mut claims: Claims, now: Now) -> Result<User, Bad> {
        let now_ms = now.wall_ms;
        let leeway = u64::try_from(self.leeway.as_millis()).unwrap_or(u64::MAX);
        let ms = |seconds: u64| seconds.saturating_mul(1000);
        let left = claims.exp.map(|exp| {
            let ends = ms(exp).saturating_add(leeway);
            Duration::from_millis(ends.saturating_sub(now_ms))
        });
        match claims.exp {
            Some(exp) if ms(exp).saturating_add(leeway) <= now_ms => return Err(Bad::Expired),
            None if self.require_exp => return Err(Bad::Endless),
            _ => {}
        }
        let ahead =
            |time: Option<u64>| time.is_some_and(|time| ms(time) > now_ms.saturating_add(leeway));
        if ahead(claims.nbf) || ahead(claims.iat) {
            return Err(Bad::Early);
        }
        let meant = match &claims.aud {
            None => self.audience.is_empty(),
            Some(named) => named.iter().any(|one| self.audience.contains(one)),
        };
        if !meant {
            return Err(Bad::Audience);
        }
        let id = claims.sub.take().ok_or(Bad::Subject)?;
        // A century away is never.
        let expires = left.and_then(|left| now.hub.checked_add(left));
        Ok(claims.into_user(id, expires))
    }
}

/// Says whose cryptography it is: once per process; whoever was first chose the
/// same.
pub(crate) fn install() {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// Base64url without padding, and nothing else (RFC 7515, section 2).
pub(crate) fn decoded(part: &str) -> Result<Vec<u8>, Bad> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Bad::Form)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
