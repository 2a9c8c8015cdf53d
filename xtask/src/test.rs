//! `cargo xtask test`: a table of stages, run one after the other.

mod cargo;
mod clients;
mod sim;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::soak;
use crate::tally::Tally;
use crate::tidy;

/// What every stage is given.
pub(crate) struct Context {
    /// The repository's root.
    pub(crate) root: PathBuf,
}

/// One suite. A stage never panics and never stops the run: whatever goes wrong is counted.
struct Stage {
    name: &'static str,
    about: &'static str,
    run: fn(&Context) -> Tally,
}

/// Cheap ones first: a slip in the formatting is told within a second.
const STAGES: &[Stage] = &[
    Stage {
        name: "fmt",
        about: "cargo fmt --check",
        run: cargo::fmt,
    },
    Stage {
        name: "tidy",
        about: "the house rules",
        run: |context| tidy::stage(&context.root),
    },
    Stage {
        name: "clippy",
        about: "all targets, warnings are errors",
        run: cargo::clippy,
    },
    Stage {
        name: "unit",
        about: "all tests of the workspace but the simulation",
        run: cargo::unit,
    },
    Stage {
        name: "doc",
        about: "the documentation builds without a warning",
        run: cargo::doc,
    },
    Stage {
        name: "sim",
        about: "the seeded simulation of core",
        run: sim::sim,
    },
    Stage {
        name: "handover",
        about: "subscribe against publish in every order of locks (shuttle)",
        run: sim::handover,
    },
    Stage {
        name: "mutants",
        about: "the simulation finds every deliberate bug",
        run: sim::mutants,
    },
    Stage {
        name: "soak",
        about: "a few seconds of churn (cargo xtask soak is five minutes)",
        run: |context| soak::churn(&context.root, 4, 1),
    },
    Stage {
        name: "clients",
        about: "stock clients of npm and PyPI, curl (needs node, npm, python3, curl)",
        run: clients::clients,
    },
    Stage {
        name: "chromium",
        about: "the page suite in Chromium",
        run: clients::chromium,
    },
    Stage {
        name: "demos",
        about: "the pages of `fanwire demo` in Chromium, with two people where there are two",
        run: clients::demos,
    },
    Stage {
        name: "firefox",
        about: "the page suite in Firefox ESR",
        run: clients::firefox,
    },
    Stage {
        name: "deny",
        about: "cargo deny, where it is installed",
        run: cargo::deny,
    },
];

/// Prints the stages.
pub(crate) fn list() {
    for stage in STAGES {
        println!("{:<10} {}", stage.name, stage.about);
    }
}

/// Runs the stages named in `only`, or all, and prints the summary.
pub(crate) fn run(root: &Path, only: &[String]) -> ExitCode {
    if let Some(unknown) = only
        .iter()
        .find(|name| STAGES.iter().all(|stage| stage.name != **name))
    {
        eprintln!("xtask: there is no stage `{unknown}`; the stages are:");
        list();
        return ExitCode::from(2);
    }
    let context = Context {
        root: root.to_owned(),
    };
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for stage in STAGES {
        if !only.is_empty() && only.iter().all(|name| name != stage.name) {
            continue;
        }
        println!("\n=== {}: {}", stage.name, stage.about);
        let start = Instant::now();
        let mut tally = (stage.run)(&context);
        if in_ci {
            tally = tally.missing_is_failure();
        }
        let line = format!(
            "{:<10} {}  ({:.1} s)",
            stage.name,
            tally.line(),
            start.elapsed().as_secs_f64()
        );
        println!("--- {line}");
        summary.push(line);
        summary.extend(
            tally
                .failures
                .iter()
                .map(|reason| format!("    FAILED  {reason}")),
        );
        summary.extend(
            tally
                .missing
                .iter()
                .map(|reason| format!("    SKIPPED {reason}")),
        );
        total.add(tally);
    }
    println!("\n=== summary");
    summary.iter().for_each(|line| println!("{line}"));
    println!("{}", total.line());
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
