//! The simulation of core, and the proof that it would notice: every deliberate bug, a switch of
//! the test-only feature `mutants`, must make it fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Context;
use super::cargo::{cargo, test_targets, tests};
use crate::cargo_json;
use crate::process::{self, Ended, Output};
use crate::tally::Tally;

const PACKAGE: &str = "fanwire-core";
/// Its test target that knows the mutants.
const TARGET: &str = "sim";
/// Names the mutant to switch on; `list` prints the names, one a line.
const MUTANT: &str = "FANWIRE_MUTANT";
/// How many seeds a run walks.
const SEEDS: &str = "FANWIRE_SIM_SEEDS";
/// Seeds of the full run, unless the environment says otherwise.
const FULL_SEEDS: &str = "1000";
/// Seeds that must be enough to find each deliberate bug, so that the full run has room to spare.
const MUTANT_SEEDS: &str = "200";

const SIM_LIMIT: Duration = Duration::from_secs(15 * 60);
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);
const MUTANT_LIMIT: Duration = Duration::from_secs(180);

/// Whether a test target is run here and not with the unit tests.
pub(super) fn is_simulation(package: &str, target: &str) -> bool {
    package == PACKAGE && target.starts_with(TARGET)
}

/// All simulations, with the full number of seeds.
pub(super) fn sim(context: &Context) -> Tally {
    let names: Vec<String> = match test_targets(context) {
        Ok(targets) => targets
            .into_iter()
            .filter(|(package, name)| is_simulation(package, name))
            .map(|(_, name)| name)
            .collect(),
        Err(reason) => return Tally::fail(reason),
    };
    if names.is_empty() {
        return Tally::fail(format!("{PACKAGE} has no test target `{TARGET}`"));
    }
    let mut arguments = vec!["test", "--package", PACKAGE, "--no-fail-fast"];
    names
        .iter()
        .for_each(|name| arguments.extend(["--test", name]));
    let mut command = cargo(context, &arguments);
    if std::env::var_os(SEEDS).is_none() {
        command.env(SEEDS, FULL_SEEDS);
    }
    tests(command, SIM_LIMIT, "sim")
}

/// The hand-over between replay and live, with locks that try interleavings.
pub(super) fn handover(context: &Context) -> Tally {
    let arguments = [
        "test",
        "--package",
        PACKAGE,
        "--features",
        "shuttle",
        "--test",
        "handover",
    ];
    tests(cargo(context, &arguments), SIM_LIMIT, "handover")
}

/// One test for each deliberate bug, and one for the same build without any.
pub(super) fn mutants(context: &Context) -> Tally {
    let executable = match build(context) {
        Ok(executable) => executable,
        Err(reason) => return Tally::fail(reason),
    };
    let names = match list(context, &executable) {
        Ok(names) => names,
        Err(reason) => return Tally::fail(reason),
    };
    let mut tally = Tally::default();
    for name in unlisted(&core_source(&context.root.join("crates/core/src")), &names) {
        tally.add_failure(format!(
            "mutant `{name}` is in core's code and not in the list"
        ));
    }
    // Without this a build that always fails would look as if it caught everything.
    match simulate(context, &executable, None) {
        Ok((ended, _)) if ended.succeeded() => {
            println!("ok no mutant: the simulation passes");
            tally.passed += 1;
        }
        Ok((ended, text)) => {
            println!("{text}");
            tally.add_failure(format!(
                "without a mutant the simulation {}",
                ended.describe()
            ));
            return tally;
        }
        Err(reason) => return Tally::fail(reason),
    }
    for name in names {
        let start = Instant::now();
        let verdict = simulate(context, &executable, Some(&name)).and_then(judge);
        let seconds = start.elapsed().as_secs_f64();
        match verdict {
            Ok(evidence) => {
                println!("ok {name}: caught in {seconds:.1} s: {evidence}");
                tally.passed += 1;
            }
            Err(reason) => {
                println!("not ok {name}: {reason}");
                tally.add_failure(format!("mutant `{name}` {reason}"));
            }
        }
    }
    tally
}

/// Caught means: the test failed, as tests do. A crash of another kind or a hang is not taken
/// for a catch.
fn judge((ended, text): (Ended, String)) -> Result<String, String> {
    const TEST_FAILED: i32 = 101;
    match ended {
        Ended::Exited(status) if status.success() => Err("survived".to_owned()),
        Ended::Exited(status) if status.code() == Some(TEST_FAILED) => Ok(evidence(&text)),
        other => Err(format!(
            "was not judged: the simulation {}",
            other.describe()
        )),
    }
}

/// The line after the first panic's place: what the simulation said.
fn evidence(text: &str) -> String {
    let mut lines = text
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    lines
        .nth(1)
        .unwrap_or("no message")
        .trim()
        .chars()
        .take(160)
        .collect()
}

fn build(context: &Context) -> Result<PathBuf, String> {
    let mut command = cargo(
        context,
        &[
            "test",
            "--package",
            PACKAGE,
            "--features",
            "mutants",
            "--test",
            TARGET,
            "--no-run",
            "--message-format=json-render-diagnostics",
        ],
    );
    let mut executable = None;
    let ended = process::run(&mut command, Output::Stdout, BUILD_LIMIT, |line| {
        if let Some(path) = cargo_json::test_executable(line, TARGET) {
            executable = Some(PathBuf::from(path));
        }
    })?;
    match executable {
        Some(executable) if ended.succeeded() => Ok(executable),
        _ => Err(format!(
            "{PACKAGE}'s `{TARGET}` with feature `mutants`: the build {}",
            ended.describe()
        )),
    }
}

fn list(context: &Context, executable: &PathBuf) -> Result<Vec<String>, String> {
    let (ended, text) = simulate(context, executable, Some("list"))?;
    let names = names(&text);
    if !ended.succeeded() || names.is_empty() {
        return Err(format!(
            "{MUTANT}=list names no mutant ({}): {text}",
            ended.describe()
        ));
    }
    Ok(names)
}

/// The mutants in what `list` printed between libtest's own lines: `mutant: NAME`, or a line that
/// is one word.
fn names(text: &str) -> Vec<String> {
    let is_name = |word: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        word.len() > 1 && word.chars().all(is_part)
    };
    let mut names: Vec<String> = text
        .lines()
        .map(|line| {
            line.split_once("mutant: ")
                .map_or(line, |(_, name)| name)
                .trim()
                .to_owned()
        })
        .filter(|name| is_name(name))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Switches that core's code asks for and the list does not name: nobody would try them.
fn unlisted(source: &str, names: &[String]) -> Vec<String> {
    let mut missing: Vec<String> = source
        .split("mutant::active(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !names.contains(name))
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

/// All of core's code as one text.
fn core_source(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text.push_str(&core_source(&path));
        } else {
            text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
    text
}

fn simulate(
    context: &Context,
    executable: &PathBuf,
    mutant: Option<&str>,
) -> Result<(Ended, String), String> {
    let mut command = Command::new(executable);
    command
        .arg("--nocapture")
        .current_dir(context.root.join("crates/core"))
        .env(SEEDS, MUTANT_SEEDS)
        .env_remove(MUTANT);
    if let Some(mutant) = mutant {
        command.env(MUTANT, mutant);
    }
    process::capture(&mut command, MUTANT_LIMIT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shell(script: &str) -> (Ended, String) {
        let mut command = Command::new("sh");
        process::capture(command.args(["-c", script]), Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn a_mutant_that_passes_has_survived() {
        assert_eq!(judge(shell("exit 0")).unwrap_err(), "survived");
    }

    #[test]
    fn a_failed_test_has_caught_it_and_a_crash_has_not() {
        let said = "echo \"thread 'a' panicked at b.rs:1:\"; echo P1 broken; exit 101";
        assert_eq!(judge(shell(said)).unwrap(), "P1 broken");
        assert!(judge(shell("exit 2")).unwrap_err().contains("not judged"));
        assert!(
            judge((Ended::TimedOut, String::new()))
                .unwrap_err()
                .contains("not judged")
        );
    }

    #[test]
    fn mutants_are_listed_between_the_lines_of_libtest() {
        let text = "\nrunning 1 test\nmutant: ignore_epoch\nmutant: reuse_seq\ntest walks ... ok\n";
        assert_eq!(names(text), ["ignore_epoch", "reuse_seq"]);
        assert_eq!(
            names("running 1 test\nskip-it\ntest walks ... ok\n"),
            ["skip-it"]
        );
        assert!(names("\nrunning 1 test\ntest walks ... ok\n.\n").is_empty());
    }

    #[test]
    fn a_switch_that_is_not_in_the_list_is_found() {
        let source = "if mutant::active(\"a-b\") {}\nif !crate::mutant::active(\"c\") {}";
        assert_eq!(unlisted(source, &["a-b".to_owned()]), ["c"]);
    }
}
