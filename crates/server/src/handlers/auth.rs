//! What a client showed as it came in.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::args::InvalidArgs;
use super::place;

/// What a client showed as it came in: an object, never kept.
#[derive(Clone)]
pub struct Auth(Option<Arc<str>>);

impl Auth {
    pub(crate) fn new(json: Option<String>) -> Self {
        Self(json.map(Arc::from))
    }

    /// The object as JSON text; `{}` where the client showed nothing.
    pub fn json(&self) -> &str {
        self.0.as_deref().unwrap_or("{}")
    }

    /// One member; none where it is missing or of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let mut all: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(self.json()).ok()?;
        serde_json::from_value(all.remove(name)?).ok()
    }

    /// The object as a type of yours: `let who: Who = auth.parse()?`.
    ///
    /// # Errors
    /// Where it is not that, with the place of what is wrong: `auth.name`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, InvalidArgs> {
        place::read(self.json()).map_err(|why| why.within("auth"))
    }
}

/// It may hold a token: nothing of it is shown.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(…)")
    }
}
