//! The stages that are cargo's own commands.

use std::process::Command;
use std::time::{Duration, Instant};

use super::Context;
use crate::cargo_json;
use crate::process::{self, Ended, Output, Wish};
use crate::setup;
use crate::tally::{Libtest, Tally};

/// Cold, the longest one compiles the whole workspace on two cores.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Compile and run everything but the simulation.
const TEST_LIMIT: Duration = Duration::from_secs(35 * 60);
const QUESTION_LIMIT: Duration = Duration::from_secs(120);

/// A cargo command at the root, of the toolchain that runs this task.
pub(crate) fn cargo(context: &Context, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(&context.root).args(arguments);
    command
}

/// Formatting.
pub(super) fn fmt(context: &Context) -> Tally {
    one(
        cargo(context, &["fmt", "--all", "--check"]),
        "cargo fmt --check",
    )
}

/// Lints of every target; the workspace's table of lints says which.
pub(super) fn clippy(context: &Context) -> Tally {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ];
    one(cargo(context, &arguments), "cargo clippy")
}

/// The libraries' documentation. Not the binaries': `fanwire` is the name of the server library
/// and of the command, and both would be written to one place.
pub(super) fn doc(context: &Context) -> Tally {
    let mut command = cargo(
        context,
        &["doc", "--workspace", "--lib", "--no-deps", "--quiet"],
    );
    command.env("RUSTDOCFLAGS", "--deny warnings");
    one(command, "cargo doc")
}

/// Bans, licences and sources of the dependencies, where the tool is there. It is no part of a
/// green run: nothing is skipped where it is not.
pub(super) fn deny(context: &Context) -> Tally {
    if setup::find(&["cargo-deny"]).is_none() {
        println!("cargo-deny is not installed; deny.toml is not needed for a green run");
        return Tally::default();
    }
    one(
        cargo(context, &["deny", "check", "bans", "licenses", "sources"]),
        "cargo deny",
    )
}

/// Every test of the workspace but the simulation, which has a stage of its own, and the
/// examples in the documentation.
pub(super) fn unit(context: &Context) -> Tally {
    let targets = match test_targets(context) {
        Ok(targets) => targets,
        Err(reason) => return Tally::fail(reason),
    };
    // For the test whose peers vanish with their network; where it cannot be had
    // that test says that it was skipped.
    if let Err(reason) = setup::debian(&["ip"], "iproute2") {
        println!("setup: {reason}");
    }
    let mut arguments = vec!["test", "--workspace", "--no-fail-fast", "--lib", "--bins"];
    for (package, name) in &targets {
        if !super::sim::is_simulation(package, name) {
            arguments.extend(["--test", name]);
        }
    }
    let mut tally = tests(cargo(context, &arguments), TEST_LIMIT, "unit");
    let examples = cargo(context, &["test", "--workspace", "--no-fail-fast", "--doc"]);
    tally.add(tests(examples, TEST_LIMIT, "doc examples"));
    tally
}

/// `(package, name)` of every integration test of the workspace.
pub(crate) fn test_targets(context: &Context) -> Result<Vec<(String, String)>, String> {
    let mut command = cargo(context, &["metadata", "--no-deps", "--format-version", "1"]);
    let (ended, text) = process::capture(&mut command, QUESTION_LIMIT)?;
    if !ended.succeeded() {
        return Err(format!("cargo metadata {}: {text}", ended.describe()));
    }
    Ok(cargo_json::test_targets(&text))
}

/// Runs a command that prints libtest's lines, shows them and counts them. A test that hangs is
/// killed with those of its program, and the next program runs.
pub(crate) fn tests(mut command: Command, limit: Duration, what: &str) -> Tally {
    let mut count = Libtest::default();
    let ended = process::run_watched(&mut command, Output::Stdout, limit, |line| {
        if let Some(line) = line {
            println!("{line}");
            count.line(line);
        }
        match count.hung(Instant::now()) {
            true => Wish::KillChildren,
            false => Wish::GoOn,
        }
    });
    match ended {
        Ok(ended) => {
            let mut tally = count.finish(ended.succeeded(), what);
            if matches!(ended, Ended::TimedOut) {
                tally
                    .failures
                    .push(format!("{what} ran for {} s", limit.as_secs()));
            }
            tally
        }
        Err(reason) => Tally::fail(reason),
    }
}

/// A command that is one test by itself.
fn one(mut command: Command, what: &str) -> Tally {
    match process::run(&mut command, Output::Stdout, BUILD_LIMIT, |line| {
        println!("{line}")
    }) {
        Ok(ended) if ended.succeeded() => Tally::pass(),
        Ok(ended) => Tally::fail(format!("{what} {}", ended.describe())),
        Err(reason) => Tally::fail(reason),
    }
}
