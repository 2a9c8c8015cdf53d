//! The built binary, for tests.

use std::process::{Command, Output, Stdio};

/// `fanwire` with these arguments and an empty environment.
pub(crate) fn fanwire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

/// What a finished command said and how it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command that ends by itself.
pub(crate) fn run(args: &[&str]) -> Ended {
    fanwire(args).output().unwrap().into()
}
