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
/// where it is known when to come back, and `at` where it is one thing that is wrong.
///
/// A handler's `?` makes it of a [`Refusal`], an [`AckError`], [`InvalidArgs`] and a text.
/// Errors of an application's own say themselves what the client is told of them:
///
/// ```
/// use fanwire::{Application, Rejected};
///
/// async fn read(path: String) -> Result<String, Failed> {
///     Ok(std::fs::read_to_string(path)?)
/// }
///
/// struct Failed(std::io::Error);
///
/// impl From<std::io::Error> for Failed {
///     fn from(why: std::io::Error) -> Self {
///         Self(why)
///     }
/// }
///
/// impl From<Failed> for Rejected {
///     fn from(Failed(why): Failed) -> Self {
///         eprintln!("not read: {why}"); // For us.
///         Rejected::new("not_found", "there is nothing of this name") // For the client.
///     }
/// }
///
/// let application = Application::new().namespace("/", |root| {
///     root.on("read", read);
/// });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Milliseconds after which the same may succeed.
    pub retry_in: Option<u64>,
    /// The place of what is wrong: `args[0].name`.
    pub at: Option<String>,
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

impl From<String> for ConnectRefusal {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

/// What the door says; the code stands in `data.code`.
impl From<&Refusal> for ConnectRefusal {
    fn from(refusal: &Refusal) -> Self {
        refusal.clone().into()
    }
}

/// What the door says; the code stands in `data.code`.
impl From<Refusal> for ConnectRefusal {
    fn from(refusal: Refusal) -> Self {
        Rejected::from(refusal).into()
    }
}

/// All but the sentence stands in `data`.
impl From<Rejected> for ConnectRefusal {
    fn from(why: Rejected) -> Self {
        let mut data = why.to_json();
        if let Some(members) = data.as_object_mut() {
            members.remove("message");
        }
        Self::new(why.message).with(data)
    }
}

/// As an event with such arguments would be refused.
impl From<InvalidArgs> for ConnectRefusal {
    fn from(why: InvalidArgs) -> Self {
        Rejected::from(why).into()
    }
}

impl Rejected {
    /// A code and a sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            retry_in: None,
            at: None,
        }
    }

    /// The same, with the place of what is wrong, as arguments of a wrong type have it.
    ///
    /// ```
    /// use fanwire::Rejected;
    ///
    /// let why = Rejected::new("bad_request", "you know this already").at("args[0].to");
    /// ```
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.at = Some(place.into());
        self
    }

    /// The same, with the time after which it may succeed.
    #[must_use]
    pub fn after(mut self, wait: std::time::Duration) -> Self {
        self.retry_in = Some(ms(wait));
        self
    }

    /// The row of the table of errors that its code names; none for a word of the
    /// application's own.
    pub(crate) fn as_refusal(&self) -> Option<Refusal> {
        let mut codes = fanwire_core::error::Code::ALL.iter();
        let code = codes.find(|code| code.as_str() == self.code)?;
        let mut refusal = Refusal::new(*code, self.message.clone());
        refusal.retry_in = self.retry_in.map(std::time::Duration::from_millis);
        refusal.place = self.at.as_deref().map(Box::from);
        Some(refusal)
    }

    /// As the client gets it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({ "code": self.code, "message": self.message });
        if let Some(wait) = self.retry_in {
            json["retry_in"] = wait.into();
        }
        if let Some(at) = &self.at {
            json["at"] = at.as_str().into();
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
            at: refusal.place.map(String::from),
        }
    }
}

impl From<InvalidArgs> for Rejected {
    fn from(why: InvalidArgs) -> Self {
        Self {
            at: why.at,
            ..Self::new("bad_request", why.why)
        }
    }
}

impl From<String> for Rejected {
    fn from(message: String) -> Self {
        Self::new("refused", message)
    }
}

impl From<&str> for Rejected {
    fn from(message: &str) -> Self {
        Self::new("refused", message)
    }
}

/// `ack_timeout`, `disconnected`, or why it could not be sent.
impl From<AckError> for Rejected {
    fn from(why: AckError) -> Self {
        let code = match why {
            AckError::Timeout => "ack_timeout",
            AckError::Disconnected => "disconnected",
            AckError::Refused(refusal) => return refusal.into(),
        };
        Self::new(code, why.to_string())
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.at {
            Some(at) => write!(f, " ({at})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejected {}

impl fmt::Display for ConnectRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectRefusal {}

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_gets_no_acknowledgement_can_say_so_to_the_client_that_asked() {
        let told = |why: AckError| Rejected::from(why).to_string();
        let late = "ack_timeout: no acknowledgement came in time";
        assert_eq!(told(AckError::Timeout), late);
        assert_eq!(
            told(AckError::Disconnected),
            "disconnected: the client has gone"
        );
        let refusal = Refusal::new(Code::TooLarge, "say less");
        assert_eq!(told(AckError::Refused(refusal)), "too_large: say less");
    }

    #[test]
    fn a_refusal_has_the_row_that_its_data_names() {
        let row = |data: Option<serde_json::Value>| {
            let mut why = ConnectRefusal::new("say your name");
            why.data = data;
            let refusal = why.as_refusal();
            assert_eq!(refusal.detail, "say your name");
            (refusal.code, refusal.retry_in)
        };
        assert_eq!(row(None), (Code::Forbidden, None));
        let own = json!({"code": "no-name"});
        assert_eq!(row(Some(own)), (Code::Forbidden, None));
        let known = json!({"code": "rate_limited", "retry_in": 1500});
        let wait = Some(Duration::from_millis(1500));
        assert_eq!(row(Some(known)), (Code::RateLimited, wait));
        assert_eq!(row(Some(json!([1]))), (Code::Forbidden, None));
    }
}
