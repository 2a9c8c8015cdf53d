//! How `pub` and `sub` reach a server.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use fanwire_client::{Backoff, Error, TokenSource, Trust};

use crate::failure::Failure;

/// Largest key file; what is longer is not a key.
const KEY_FILE: u64 = 4096;

/// Largest token file: twice the longest token.
const TOKEN_FILE: u64 = 16 * 1024;

/// Bytes of a list of authorities; a system's has a quarter of a mebibyte.
const CA_FILE: u64 = 4 << 20;

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
    /// A user's token. Other users of the machine can read flags: prefer the
    /// variable or the file
    #[arg(
        long,
        value_name = "TOKEN",
        env = "FANWIRE_TOKEN",
        hide_env_values = true
    )]
    #[arg(conflicts_with = "api_key_file")]
    token: Option<String>,
    /// A file that holds the token; read again whenever the token has ended
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_file")]
    token_file: Option<PathBuf>,
    /// For https: certificates in PEM of the authorities to trust, in place of the
    /// system's
    #[arg(
        long,
        value_name = "FILE",
        env = "FANWIRE_CACERT",
        hide_env_values = true
    )]
    cacert: Option<PathBuf>,
    /// For https: take any certificate. For development: whoever stands between
    /// reads along
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,
}

impl ServerOptions {
    /// Whose certificates are taken.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        if self.insecure {
            return Ok(Trust::Anyone);
        }
        let Some(path) = &self.cacert else {
            return Ok(Trust::System);
        };
        let mut pem = Vec::new();
        File::open(path)
            .and_then(|file| file.take(CA_FILE).read_to_end(&mut pem))
            .map_err(|error| {
                Failure::new(format_args!("cannot read {}: {error}", path.display()))
            })?;
        Ok(Trust::Authorities(pem))
    }

    /// The user's token, if there is one.
    pub(crate) fn token(&self) -> Option<TokenSource> {
        if let Some(path) = self.token_file.clone() {
            // Small, and on a disk: not worth a thread.
            return Some(TokenSource::new(move || {
                std::future::ready(read(&path, TOKEN_FILE))
            }));
        }
        let token = self.token.as_deref().map(str::trim);
        let token = token.filter(|token| !token.is_empty());
        token.map(TokenSource::fixed)
    }

    /// The API key, if there is one. There is no flag for it: other users of
    /// the machine can read flags.
    pub(crate) fn api_key(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.api_key_file else {
            return Ok(std::env::var("FANWIRE_API_KEY")
                .ok()
                .filter(|key| !key.is_empty()));
        };
        read(path, KEY_FILE).map(Some).map_err(Failure::new)
    }

    /// What ended a command, in words for whoever typed it.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        match error {
            Error::Connection(why) => Failure::new(format_args!(
                "cannot reach {}: {why}; is the server running there (fanwire serve, --url)?",
                self.url
            )),
            Error::Untrusted(_) => Failure::new(format_args!(
                "{error}; name whom to trust (--cacert), or while developing take any (--insecure)"
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

/// The one word of a small file.
fn read(path: &Path, most: u64) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(most).read_to_string(&mut text))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    match text.trim() {
        "" => Err(format!("{} is empty", path.display())),
        word => Ok(word.to_owned()),
    }
}
