//! What a client shows of itself: an API key, or a user's token.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::HeaderValue;

use crate::error::Error;

type Answer = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Where a user's token comes from.
#[derive(Clone)]
pub struct TokenSource(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<str>),
    Asked(Arc<dyn Fn() -> Answer + Send + Sync>),
}

impl TokenSource {
    /// One token. Once it has ended the subscription, or the publish, is over.
    pub fn fixed(token: impl Into<String>) -> Self {
        Self(Source::Fixed(token.into().into()))
    }

    /// Asks `supplier` before the first request, and again whenever the server has
    /// said that the token has ended (`token_expired`, close code 3005): what it
    /// gives is used until then. Its error is tried again like a lost connection;
    /// the text must hold no secret. The time-out of the request bounds it, too.
    pub fn new<F, Fut>(supplier: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self(Source::Asked(Arc::new(move || Box::pin(supplier()))))
    }

    /// Whether another token may come.
    pub(crate) fn renews(&self) -> bool {
        matches!(self.0, Source::Asked(_))
    }
}

impl From<String> for TokenSource {
    fn from(token: String) -> Self {
        Self::fixed(token)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What is sent as `Authorization`.
#[derive(Debug)]
pub(crate) struct Proof {
    source: Option<TokenSource>,
    /// The key, or the token as it was given last.
    now: Mutex<Option<HeaderValue>>,
}

impl Proof {
    /// By the options of a caller.
    ///
    /// # Errors
    /// `Config` for both, or one that cannot stand in a header; without it.
    pub(crate) fn new(api_key: Option<&str>, token: Option<TokenSource>) -> Result<Self, Error> {
        let now = match (api_key, &token) {
            (Some(_), Some(_)) => {
                return Err(Error::Config(
                    "an API key and a token; show one of them".into(),
                ));
            }
            (Some(key), None) => Some(bearer(key, "an API key")?),
            (None, Some(TokenSource(Source::Fixed(token)))) => Some(bearer(token, "a token")?),
            (None, _) => None,
        };
        Ok(Self {
            source: token,
            now: Mutex::new(now),
        })
    }

    /// The header; none where there is nothing to show.
    ///
    /// # Errors
    /// `Token` where the supplier has none, `Config` where it gave none that can be
    /// sent.
    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>, Error> {
        if let Some(now) = self
            .now
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
        {
            return Ok(Some(now));
        }
        let Some(TokenSource(Source::Asked(supplier))) = &self.source else {
            return Ok(None);
        };
        let token = supplier().await.map_err(Error::Token)?;
        let header = bearer(&token, "a token")?;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(now.insert(header).clone()))
    }

    /// The server says that the token has ended. Whether another one may come.
    pub(crate) fn ended(&self) -> bool {
        let renews = self.source.as_ref().is_some_and(TokenSource::renews);
        if renews {
            *self.now.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        renews
    }
}

fn bearer(secret: &str, what: &str) -> Result<HeaderValue, Error> {
    let bad = || Error::Config(format!("{what} is visible ASCII without spaces"));
    if secret.is_empty() || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).map_err(|_| bad())?;
    // Not in anyone's debug output.
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a17_nothing_that_is_shown_to_a_server_is_shown_in_debug_output_or_errors() {
        let token = TokenSource::fixed("MARKED");
        let proof = Proof::new(None, Some(token.clone())).unwrap();
        assert!(!format!("{token:?} {proof:?}").contains("MARKED"));
        for (key, token) in [
            (Some("MARKED x"), None),
            (Some(""), None),
            (None, Some("MARKED\n")),
            (Some("MARKED"), Some("MARKED")),
        ] {
            let wrong = Proof::new(key, token.map(TokenSource::fixed)).unwrap_err();
            assert!(!format!("{wrong:?} {wrong}").contains("MARKED"), "{wrong}");
        }
    }
}
