//! How `pub` and `sub` reach a server.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fanwire_client::{Backoff, Error};

use crate::failure::Failure;

/// Largest key file; what is longer is not a key.
const KEY_FILE: u64 = 4096;

/// Where the server is and what to show it.
#[derive(Args)]
pub(crate) struct ServerOptions {
    /// The server
    #[arg(long, value_name = "URL", env = "FANWIRE_URL", hide_env_values = true)]
    #[arg(default_value = "http://127.0.0.1:3000")]
    pub(crate) url: String,
    /// A file that holds the API key; without it FANWIRE_API_KEY is used
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

impl ServerOptions {
    /// The API key, if there is one. There is no flag for it: other users of
    /// the machine can read flags.
    pub(crate) fn api_key(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.api_key_file else {
            return Ok(std::env::var("FANWIRE_API_KEY")
                .ok()
                .filter(|key| !key.is_empty()));
        };
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(KEY_FILE).read_to_string(&mut text))
            .map_err(|error| {
                Failure::new(format_args!("cannot read {}: {error}", path.display()))
            })?;
        let key = text.trim();
        match key.is_empty() {
            true => Err(Failure::new(format_args!("{} is empty", path.display()))),
            false => Ok(Some(key.to_owned())),
        }
    }

    /// What ended a command, in words for whoever typed it.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        match error {
            Error::Connection(why) => Failure::new(format_args!(
                "cannot reach {}: {why}; is the server running there (fanwire serve, --url)?",
                self.url
            )),
            other => Failure::new(other),
        }
    }

    /// Somebody watches: back within 5 s of the server's return.
    pub(crate) fn backoff() -> Backoff {
        Backoff {
            max: Duration::from_secs(5),
            ..Backoff::default()
        }
    }
}
