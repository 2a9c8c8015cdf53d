//! Counting what suites print: libtest's result lines and TAP lines.

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a test may go on after libtest has complained of it, a minute in: none waits for
/// anything a third as long.
const HUNG: Duration = Duration::from_secs(120);

/// What one stage came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, and stages that broke before they could count.
    pub(crate) failed: u64,
    /// Tests marked as ignored by their suite, and whole suites that lack a tool.
    pub(crate) skipped: u64,
    /// One line for each failure.
    pub(crate) failures: Vec<String>,
    /// One line for each tool that is missing and may not be installed here.
    pub(crate) missing: Vec<String>,
}

impl Tally {
    /// One pass.
    pub(crate) fn pass() -> Tally {
        Tally {
            passed: 1,
            ..Tally::default()
        }
    }

    /// One failure with its reason.
    pub(crate) fn fail(reason: impl Into<String>) -> Tally {
        let mut tally = Tally::default();
        tally.add_failure(reason);
        tally
    }

    /// A suite that did not run because something is missing.
    pub(crate) fn missing(reason: impl Into<String>) -> Tally {
        Tally {
            skipped: 1,
            missing: vec![reason.into()],
            ..Tally::default()
        }
    }

    /// Counts one more failure.
    pub(crate) fn add_failure(&mut self, reason: impl Into<String>) {
        self.failed += 1;
        self.failures.push(reason.into());
    }

    /// Adds another tally to this one.
    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.missing.extend(other.missing);
    }

    /// In CI nothing may be missing: turns each suite that was skipped for want of a tool into a
    /// failure. Tests that a suite itself ignores stay skipped.
    pub(crate) fn missing_is_failure(mut self) -> Tally {
        for reason in std::mem::take(&mut self.missing) {
            self.skipped -= 1;
            self.add_failure(format!("{reason} (CI=true: a skip is a failure)"));
        }
        self
    }

    /// Ends a task of its own: each failure, the count as the last line, and what the process
    /// ends with.
    pub(crate) fn conclude(&self) -> ExitCode {
        for failure in &self.failures {
            println!("    FAILED  {failure}");
        }
        println!("{}", self.line());
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// The counts, as the last line of the whole run gives them.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Counts libtest's output, line by line.
#[derive(Debug, Default)]
pub(crate) struct Libtest {
    tally: Tally,
    failed_names: Vec<String>,
    /// Programs that have come to their end, one way or another.
    suites: u64,
    /// Tests that passed by saying that they lack something.
    said_skipped: u64,
    /// Tests of which libtest has said that they take long, and when it did.
    slow: Vec<(String, Instant)>,
}

impl Libtest {
    /// Whether a test has taken so long that nothing will come of it. It is counted as failed,
    /// once, and whatever runs it has to be killed.
    pub(crate) fn hung(&mut self, now: Instant) -> bool {
        let hangs = |since: &Instant| now.duration_since(*since) > HUNG;
        if !self.slow.iter().any(|(_, since)| hangs(since)) {
            return false;
        }
        // All that run beside it end with it, and its program counts no more.
        self.suites += 1;
        for (name, _) in std::mem::take(&mut self.slow) {
            self.tally.failed += 1;
            self.failed_names.push(format!("{name} (hung)"));
        }
        true
    }

    /// Takes the next line of output.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(test) = line.strip_prefix("test ") {
            if let Some((name, _)) = test.split_once(" has been running for over ") {
                self.slow.push((name.to_owned(), Instant::now()));
            } else if let Some((name, _)) = test.split_once(" ... ") {
                self.slow.retain(|(slow, _)| slow != name);
            }
        }
        if let Some((passed, failed, ignored)) = result_line(line) {
            self.suites += 1;
            self.tally.passed += passed;
            self.tally.failed += failed;
            self.tally.skipped += ignored;
        } else if line.starts_with("SKIPPED ") {
            // A right that the machine does not give: nothing that could be
            // installed, so no failure in CI either.
            self.said_skipped += 1;
            self.tally.skipped += 1;
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failed_names.push(name.to_owned());
        }
    }

    /// The count, given whether the command that printed the lines succeeded. A run that failed
    /// without a failed test (it did not compile, or was killed) is one failure, and so is one
    /// that succeeded without running a single suite.
    pub(crate) fn finish(mut self, succeeded: bool, what: &str) -> Tally {
        self.tally.passed = self.tally.passed.saturating_sub(self.said_skipped);
        self.tally.failures = self
            .failed_names
            .iter()
            .map(|name| format!("{what}: {name}"))
            .collect();
        if !succeeded && self.tally.failed == 0 {
            self.tally
                .add_failure(format!("{what} broke before it could count its failures"));
        } else if self.suites == 0 {
            self.tally.add_failure(format!("{what} ran no test"));
        }
        self.tally
    }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …` → (3, 0, 1).
fn result_line(line: &str) -> Option<(u64, u64, u64)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |unit: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(unit)?.trim().parse::<u64>().ok())
    };
    Some((count("passed")?, count("failed")?, count("ignored")?))
}

/// Counts TAP: `ok …`, `not ok …`, `ok … # SKIP why`, and the plan `1..N`, which must come last
/// and match, so that a script that died half-way cannot pass.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    tally: Tally,
    plan: Option<u64>,
}

impl Tap {
    /// Takes the next line of output.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("not ok ") {
            self.tally.add_failure(rest);
        } else if let Some(rest) = line.strip_prefix("ok ") {
            match rest.split_once("# SKIP") {
                None => self.tally.passed += 1,
                Some((name, why)) => {
                    self.tally.skipped += 1;
                    self.tally.missing.push(format!("{}:{why}", name.trim()));
                }
            }
        } else if let Some(count) = line.strip_prefix("1..") {
            self.plan = count.trim().parse().ok();
        }
    }

    /// The count, given whether the script that printed the lines succeeded.
    pub(crate) fn finish(mut self, succeeded: bool, what: &str) -> Tally {
        let seen = self.tally.passed + self.tally.failed + self.tally.skipped;
        match self.plan {
            None => self
                .tally
                .add_failure(format!("{what} ended before its plan (`1..N`)")),
            Some(plan) if plan != seen || seen == 0 => {
                self.tally
                    .add_failure(format!("{what} planned {plan} tests and ran {seen}"));
            }
            Some(_) if !succeeded && self.tally.failed == 0 => {
                self.tally
                    .add_failure(format!("{what} exited with an error"));
            }
            Some(_) => {}
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libtest(lines: &[&str], succeeded: bool) -> Tally {
        let mut count = Libtest::default();
        lines.iter().for_each(|line| count.line(line));
        count.finish(succeeded, "unit")
    }

    fn tap(lines: &[&str], succeeded: bool) -> Tally {
        let mut count = Tap::default();
        lines.iter().for_each(|line| count.line(line));
        count.finish(succeeded, "clients")
    }

    #[test]
    fn result_lines_of_several_suites_add_up() {
        let tally = libtest(
            &[
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                "test a::b ... FAILED",
                "test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
            ],
            false,
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (7, 1, 1));
        assert_eq!(tally.failures, ["unit: a::b"]);
    }

    #[test]
    fn a_test_that_says_what_it_lacks_is_skipped_and_not_passed() {
        let lines = [
            "SKIPPED peers: not root",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured",
        ];
        let tally = libtest(&lines, true);
        assert_eq!((tally.passed, tally.skipped), (2, 1));
        assert_eq!(tally.missing_is_failure().failed, 0);
    }

    #[test]
    fn a_test_that_hangs_is_named_once_and_one_that_is_merely_slow_is_not() {
        let mut count = Libtest::default();
        for line in [
            "test hangs has been running for over 60 seconds",
            "test slow has been running for over 60 seconds",
            "test slow ... ok",
        ] {
            count.line(line);
        }
        let begin = Instant::now();
        assert!(!count.hung(begin));
        assert!(count.hung(begin + HUNG + HUNG));
        assert!(!count.hung(begin + HUNG + HUNG));
        let tally = count.finish(false, "unit");
        assert_eq!(tally.failures, ["unit: hangs (hung)"]);
        assert_eq!(tally.failed, 1);
    }

    #[test]
    fn a_run_that_did_not_compile_is_a_failure() {
        assert_eq!(libtest(&[], false).failed, 1);
    }

    #[test]
    fn a_run_without_a_single_suite_is_a_failure() {
        assert_eq!(libtest(&["nothing to do"], true).failed, 1);
    }

    #[test]
    fn an_ignored_test_stays_skipped_in_ci_and_a_missing_tool_does_not() {
        let ignored = libtest(
            &["test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured"],
            true,
        )
        .missing_is_failure();
        assert_eq!((ignored.failed, ignored.skipped), (0, 1));
        let missing = Tally::missing("chromium is not installed").missing_is_failure();
        assert_eq!((missing.failed, missing.skipped), (1, 0));
        assert!(missing.failures[0].contains("chromium"));
    }

    #[test]
    fn tap_lines_are_counted() {
        let tally = tap(
            &["ok a", "not ok b # late", "ok c # SKIP no python", "1..3"],
            false,
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 1));
        assert_eq!(tally.failures, ["b # late"]);
        assert_eq!(tally.missing, ["c: no python"]);
    }

    #[test]
    fn a_script_that_dies_half_way_fails() {
        assert_eq!(tap(&["ok a"], true).failed, 1);
        assert_eq!(tap(&["ok a", "1..2"], true).failed, 1);
        assert_eq!(tap(&["1..0"], true).failed, 1);
        assert_eq!(tap(&["ok a", "1..1"], false).failed, 1);
        assert_eq!(tap(&["ok a", "1..1"], true).failed, 0);
    }

    #[test]
    fn the_last_line_has_its_form() {
        let mut tally = Tally::pass();
        tally.add(Tally::fail("x"));
        tally.add(Tally::missing("y"));
        assert_eq!(tally.line(), "1 passed, 1 failed, 1 skipped");
    }
}
