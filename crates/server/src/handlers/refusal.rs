//! How code says no, and how it hears it.

use std::fmt;
use std::time::Duration;

use fanwire_core::error::{Code, Refusal};

use super::args::InvalidArgs;

/// Why a client may not come in: its `connect_error`.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectRefusal {
    /// The error's message.
    pub message: String,
    /// The error's `data`.
    pub data: Option<serde_json::Value>,
}

/// Why an event was refused: `{"code","message"}`, with `retry_in` (milliseconds)
/// where it is known when to come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Milliseconds after which the same may succeed.
    pub retry_in: Option<u64>,
}

/// Why there is no acknowledgement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AckError {
    /// None came in time.
    Timeout,
    /// The client has gone.
    Disconnected,
    /// It could not be sent.
    Refused(Refusal),
}

impl ConnectRefusal {
    /// A refusal without data.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// The same with data.
    #[must_use]
    pub fn with(mut self, data: serde_json::Value) -> Self {
        self.data = Some(data);
        self
    }
}

impl ConnectRefusal {
    /// The row of the table of errors that `data.code` names; `forbidden` for words of
    /// the application's own.
    pub(crate) fn as_refusal(&self) -> Refusal {
        let data = self.data.as_ref();
        let word = data.and_then(|data| data.get("code")?.as_str());
        let named = word.and_then(|word| Code::ALL.iter().find(|code| code.as_str() == word));
        let mut refusal = Refusal::new(*named.unwrap_or(&Code::Forbidden), &*self.message);
        let wait = data.and_then(|data| data.get("retry_in")?.as_u64());
        refusal.retry_in = wait.map(Duration::from_millis);
        refusal
    }
}

impl From<&str> for ConnectRefusal {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// What the door says; the code stands in `data.code`.
impl From<&Refusal> for ConnectRefusal {
    fn from(refusal: &Refusal) -> Self {
        let mut data = serde_json::json!({ "code": refusal.code.as_str() });
        if let Some(wait) = refusal.retry_in {
            data["retry_in"] = ms(wait).into();
        }
        Self::new(refusal.detail.clone()).with(data)
    }
}

impl Rejected {
    /// A code and a sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            retry_in: None,
        }
    }

    /// The row of the table of errors that its code names; none for a word of the
    /// application's own.
    pub(crate) fn as_refusal(&self) -> Option<Refusal> {
        let mut codes = fanwire_core::error::Code::ALL.iter();
        let code = codes.find(|code| code.as_str() == self.code)?;
        let mut refusal = Refusal::new(*code, self.message.clone());
        refusal.retry_in = self.retry_in.map(std::time::Duration::from_millis);
        Some(refusal)
    }

    /// As the client gets it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({ "code": self.code, "message": self.message });
        if let Some(wait) = self.retry_in {
            json["retry_in"] = wait.into();
        }
        json
    }
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.as_str().to_owned(),
            retry_in: refusal.retry_in.map(ms),
            message: refusal.detail,
        }
    }
}

impl From<InvalidArgs> for Rejected {
    fn from(why: InvalidArgs) -> Self {
        Self::new("bad_request", why.to_string())
    }
}

impl From<&str> for Rejected {
    fn from(message: &str) -> Self {
        Self::new("refused", message)
    }
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no acknowledgement came in time"),
            Self::Disconnected => f.write_str("the client has gone"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for AckError {}

fn ms(wait: std::time::Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
