//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, on the stable toolchain: the
//! compiler's own coverage pass does what cargo-fuzz asks a nightly one for.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::process::{self, Output};
use crate::setup;
use crate::tally::Tally;

/// The committed inputs, a folder for each target, from the root.
const CORPUS: &str = "fuzz/corpus";
/// What runs have found so far, and crashes, from the root.
const FOUND: &str = ".cache/fuzz";
/// Where instrumented code is built, so that no other build is spoiled, from the root.
const BUILT: &str = "target/fuzz";

/// Which code a run has reached, and what it was compared with; the last word is the one by which
/// libraries know that they are fuzzed.
const COVERAGE: &str = "-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares \
--cfg fuzzing";

const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);
const QUESTION_LIMIT: Duration = Duration::from_secs(60);
/// For replaying the corpus before a run, and for writing after it.
const AROUND: Duration = Duration::from_secs(120);

/// Runs the targets named, or all, one after the other for so many seconds each. The last line of
/// output is the count.
pub(crate) fn run(root: &Path, only: &[String], seconds: u64) -> ExitCode {
    let tally = match attempt(root, only, seconds) {
        Ok(tally) => tally,
        Err(reason) => Tally::fail(format!("fuzz: {reason}")),
    };
    tally.conclude()
}

fn attempt(root: &Path, only: &[String], seconds: u64) -> Result<Tally, String> {
    let all = targets(root)?;
    if let Some(unknown) = only.iter().find(|name| !all.contains(name)) {
        return Err(format!(
            "there is no target `{unknown}`; there are {}",
            all.join(", ")
        ));
    }
    if setup::find(&["c++", "g++", "clang++"]).is_none() {
        return Err("libFuzzer is C++: install a compiler (Debian: g++)".to_owned());
    }
    let binary = build(root)?;
    let mut tally = Tally::default();
    println!(
        "{:<16} {:>12} {:>9} {:>6} {:>8} {:>7}",
        "target", "executions", "/s", "edges", "features", "corpus"
    );
    for name in all.iter().filter(|n| only.is_empty() || only.contains(n)) {
        match fuzz(root, &binary, name, seconds) {
            Ok(row) => {
                println!("{row}");
                tally.passed += 1;
            }
            Err(reason) => {
                println!("{name:<16} FAILED");
                tally.add_failure(format!("{name}: {reason}"));
            }
        }
    }
    Ok(tally)
}

/// The names of all targets: those of the corpora, which a test holds against the code.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join(CORPUS);
    let mut names = std::fs::read_dir(&folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<Vec<String>>>()
        })
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    names.sort();
    Ok(names)
}

/// Builds the instrumented binary and gives its path.
fn build(root: &Path) -> Result<PathBuf, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let (_, about) = process::capture(Command::new(rustc).arg("-vV"), QUESTION_LIMIT)?;
    // Named, so that build scripts and macros are not instrumented: they have no fuzzer to link.
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("rustc does not say what it builds for")?;
    let arguments = [
        "build",
        "--quiet",
        "--package",
        "fanwire-fuzz",
        "--features",
        "libfuzzer",
        "--bin",
        "fuzz",
        "--profile",
        "fuzz",
        "--target",
        host,
    ];
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root)
        .args(arguments)
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_TARGET_DIR", root.join(BUILT));
    println!("fuzz: building (minutes, the first time)");
    let ended = process::run(&mut command, Output::Stdout, BUILD_LIMIT, |line| {
        println!("{line}");
    })?;
    let binary = root.join(BUILT).join(host).join("fuzz/fuzz");
    if ended.succeeded() && binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("the build {}", ended.describe()))
    }
}

/// Runs one target and gives its row of the table.
fn fuzz(root: &Path, binary: &Path, name: &str, seconds: u64) -> Result<String, String> {
    let found = root.join(FOUND).join(name);
    std::fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    let crashes = root.join(FOUND).join(format!("crash-of-{name}-"));
    // In the background: a minute at full speed is nothing that others should feel.
    let mut command = Command::new("nice");
    command
        .args(["-n", "10"])
        .arg(binary)
        .arg(format!("-max_total_time={seconds}"))
        .args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=1024"])
        .args(["-print_final_stats=1", "-verbosity=1"])
        .arg(format!("-artifact_prefix={}", crashes.display()))
        .arg(&found)
        .arg(root.join(CORPUS).join(name))
        .env("FANWIRE_FUZZ_TARGET", name)
        .env("RUST_BACKTRACE", "1");
    let mut text = Vec::new();
    let limit = Duration::from_secs(seconds) + AROUND;
    let ended = process::run(&mut command, Output::Both, limit, |line| {
        text.push(line.to_owned());
    })?;
    if !ended.succeeded() {
        let from = text.len().saturating_sub(60);
        text[from..].iter().for_each(|line| println!("    {line}"));
        return Err(format!(
            "{}; mend it, and keep the input {}… in {CORPUS}/{name}/",
            ended.describe(),
            crashes.display()
        ));
    }
    Ok(row(name, &text, seconds))
}

fn row(name: &str, text: &[String], seconds: u64) -> String {
    let executions = text
        .iter()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .map_or(0, |count| count.trim().parse().unwrap_or(0_u64));
    // `#12345 DONE cov: 99 ft: 120 corp: 30/2Kb …`
    let after = |word: &str| {
        text.iter().rev().find_map(|line| {
            let mut words = line.split_whitespace();
            words.find(|found| *found == word)?;
            words.next().map(str::to_owned)
        })
    };
    let [edges, features, corpus] =
        ["cov:", "ft:", "corp:"].map(|word| after(word).unwrap_or_else(|| "-".to_owned()));
    let speed = executions / seconds.max(1);
    format!("{name:<16} {executions:>12} {speed:>9} {edges:>6} {features:>8} {corpus:>7}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_tells_what_libfuzzer_counted() {
        let text = [
            "#2\tINITED cov: 10 ft: 11 corp: 2/9b exec/s: 0 rss: 30Mb",
            "#6000\tDONE   cov: 123 ft: 456 corp: 78/9Kb lim: 40 exec/s: 100 rss: 40Mb",
            "stat::number_of_executed_units: 6000",
        ]
        .map(str::to_owned);
        let row = row("cursor", &text, 60);
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words, ["cursor", "6000", "100", "123", "456", "78/9Kb"]);
    }
}
