//! What ends a measurement: one sentence that says what to do.

use std::fmt;
use std::io;

/// Why a measurement could not be made. Displays as one sentence.
#[derive(Debug)]
pub struct Error(String);

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that says this.
    pub fn new(what: impl fmt::Display) -> Error {
        Error(what.to_string())
    }

    /// The same error, with what was being done in front.
    pub(crate) fn doing(self, what: impl fmt::Display) -> Error {
        Error(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error(error.to_string())
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(error: rustix::io::Errno) -> Error {
        Error(io::Error::from(error).to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        Error(error.to_string())
    }
}
