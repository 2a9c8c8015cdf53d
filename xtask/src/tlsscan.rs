//! `cargo xtask tlsscan`: what sslscan and testssl.sh say about the server's TLS. What they are
//! given, and judged by, is in `tests/tlsscan.sh`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::process::{self, Output};
use crate::setup;
use crate::tally::Tally;

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// The script bounds each tool itself; this is for a script that is stuck.
const SCRIPT_LIMIT: Duration = Duration::from_secs(35 * 60);

/// Runs both tools, and installs them where they are missing and may be. The last line of output
/// is the count.
pub(crate) fn run(root: &Path) -> ExitCode {
    let tools = setup::debian(&["sslscan"], "sslscan").and_then(|sslscan| {
        let testssl = setup::debian(&["testssl", "testssl.sh"], "testssl.sh")?;
        Ok((sslscan, testssl))
    });
    let tally = match tools {
        Err(reason) => Tally::missing(format!("tlsscan: {reason}")),
        Ok((sslscan, testssl)) => match scan(root, &sslscan, &testssl) {
            Ok(()) => Tally::pass(),
            Err(reason) => Tally::fail(format!("tlsscan: {reason}")),
        },
    };
    tally.conclude()
}

fn scan(root: &Path, sslscan: &Path, testssl: &Path) -> Result<(), String> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .current_dir(root)
        .args(["build", "--quiet", "--package=fanwire-cli"]);
    let ended = process::run(&mut build, Output::Stdout, BUILD_LIMIT, |line| {
        println!("{line}");
    })?;
    if !ended.succeeded() {
        return Err(format!("the build {}", ended.describe()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let mut script = Command::new("bash");
    script
        .arg(root.join("tests/tlsscan.sh"))
        .env("FANWIRE_BIN", root.join(target).join("debug/fanwire"))
        .env("FANWIRE_SSLSCAN", sslscan)
        .env("FANWIRE_TESTSSL", testssl);
    let mut last = String::new();
    let ended = process::run(&mut script, Output::Both, SCRIPT_LIMIT, |line| {
        println!("{line}");
        line.clone_into(&mut last);
    })?;
    match ended.succeeded() {
        true => Ok(()),
        false => Err(format!("{}: {last}", ended.describe())),
    }
}
