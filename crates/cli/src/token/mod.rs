//! `fanwire token`: tokens and keys, made and explained.

mod explain;
mod key;
mod make;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use fanwire::Config;

use crate::failure::Failure;
use crate::settings::Settings;

/// Largest file with a key or a token.
const MAX_FILE: u64 = 64 * 1024;

/// Make tokens and keys, and explain a token
#[derive(Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sign a token
    Make(Box<make::Make>),
    /// Say what a token grants and whether a server would take it
    Explain(explain::Explain),
    /// Make a key for tokens, or an API key
    Key(key::Key),
}

/// Does what was typed.
pub(crate) fn run(args: Token) -> Result<(), Failure> {
    match args.command {
        Command::Make(args) => make::run(*args),
        Command::Explain(args) => explain::run(&args),
        Command::Key(args) => key::run(&args),
    }
}

/// The configuration of a server that is started with this file in this
/// environment.
fn configured(file: &Path) -> Result<Config, Failure> {
    Settings::from_environment()?.load(Some(file))
}

/// Reads a small file; `-` is stdin.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |why: &dyn std::fmt::Display| {
        Failure::new(format_args!("cannot read {}: {why}", path.display()))
    };
    let mut text = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().take(MAX_FILE + 1).read_to_end(&mut text),
        false => File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text)),
    };
    read.map_err(|error| fail(&error))?;
    match text.len() as u64 > MAX_FILE {
        true => Err(fail(&"it has more than 64 KiB")),
        false => Ok(text),
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Asks the door of a server with this configuration.
fn judged(
    config: &Config,
    token: &str,
    channels: &[String],
) -> Result<fanwire::tokens::Verdict, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start the runtime: {error}")))?
        .block_on(fanwire::tokens::judge(config, token, channels))
        .map_err(Failure::new)
}
