//! `cargo xtask soak`: churn against the real program, which must hold at the end what it held
//! before. What is done, and judged, is in `tests/src/soak`.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::process::{self, Output};
use crate::tally::Tally;

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Warming up, coming to rest and stopping, beside the churn itself.
const AROUND: Duration = Duration::from_secs(5 * 60);

/// Runs it. The last line of output is the count.
pub(crate) fn run(root: &Path, seconds: u64, seed: u64) -> ExitCode {
    let tally = churn(root, seconds, seed);
    tally.conclude()
}

/// The same, counted: one test.
pub(crate) fn churn(root: &Path, seconds: u64, seed: u64) -> Tally {
    match attempt(root, seconds, seed) {
        Ok(()) => Tally::pass(),
        Err(reason) => Tally::fail(format!("soak: {reason}")),
    }
}

fn attempt(root: &Path, seconds: u64, seed: u64) -> Result<(), String> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(root).args([
        "build",
        "--quiet",
        "--package=fanwire-tests",
        "--package=fanwire-cli",
        "--bin=soak",
        "--bin=fanwire",
    ]);
    let ended = process::run(&mut build, Output::Stdout, BUILD_LIMIT, |line| {
        println!("{line}");
    })?;
    if !ended.succeeded() {
        return Err(format!("the build {}", ended.describe()));
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), std::path::PathBuf::from);
    let built = root.join(target).join("debug");
    let mut soak = Command::new(built.join("soak"));
    soak.arg(built.join("fanwire"));
    soak.args([seconds.to_string(), seed.to_string()]);
    let limit = Duration::from_secs(seconds) + AROUND;
    let mut last = String::new();
    let ended = process::run(&mut soak, Output::Both, limit, |line| {
        println!("{line}");
        line.clone_into(&mut last);
    })?;
    match ended.succeeded() {
        true => Ok(()),
        false => Err(format!("{}: {last}", ended.describe())),
    }
}
