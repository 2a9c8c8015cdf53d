//! What ends a measurement: one sentence that says what to do.

use std::fmt;
use std::io;

/// Why a measurement could not be made. Displays as one sentence.
#[derive(Debug)]
pub struct Error {
    what: String,
    signal: Option<u8>,
}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that says this.
    pub fn new(what: impl fmt::Display) -> Error {
        Error {
            what: what.to_string(),
            signal: None,
        }
    }

    /// A signal of this number asked to end.
    pub(crate) fn ended_by(signal: u8) -> Error {
        Error {
            signal: Some(signal),
            ..Error::new("ended by a signal; what it had started is ended too")
        }
    }

    /// The number of the signal that ended it, where one did: a program's exit
    /// code is then 128 more.
    #[must_use]
    pub const fn signal(&self) -> Option<u8> {
        self.signal
    }

    /// The same error, with what was being done in front.
    pub(crate) fn doing(self, what: impl fmt::Display) -> Error {
        Error {
            what: format!("{what}: {}", self.what),
            ..self
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::new(error)
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(error: rustix::io::Errno) -> Error {
        Error::new(io::Error::from(error))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        Error::new(error)
    }
}
