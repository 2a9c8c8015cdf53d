//! How a command fails: a sentence on stderr, and the exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use fanwire::config::Problems;

/// Why a command ends with something other than 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Said on stderr; exit code 1.
    Told(String),
    /// The same, but it was said already.
    Said,
    /// A signal ended it before it was done; exit code 128 and the signal's number.
    Signalled(u8),
    /// Whoever read the output has gone: that is how a pipe ends, exit code 0.
    ClosedOutput,
}

impl Failure {
    /// A failure with a sentence that says what to do.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self::Told(message.to_string())
    }

    /// All problems of a configuration, under a line that says where it came from.
    pub(crate) fn config(source: &str, problems: &Problems) -> Self {
        let count = problems.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        let mut text = format!("{count} {noun} in {source}:");
        for problem in &problems.0 {
            text.push_str(&format!("\n  {problem}"));
        }
        Self::Told(text)
    }

    /// A failed write to stdout.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedOutput,
            _ => Self::new(format_args!("cannot write to stdout: {error}")),
        }
    }

    /// Tells it.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Told(text) => {
                let _ = writeln!(io::stderr().lock(), "error: {text}");
                ExitCode::from(1)
            }
            Self::Said => ExitCode::from(1),
            Self::Signalled(number) => ExitCode::from(128 + number),
            Self::ClosedOutput => ExitCode::SUCCESS,
        }
    }
}
