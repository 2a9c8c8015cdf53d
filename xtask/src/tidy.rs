//! The house rules, as tests: each is a function from the tree's files to what is wrong with
//! them. Exceptions stand in `xtask/tidy.allow`, each with its reason.

mod allow;
mod bans;
mod bundled;
mod covered;
mod cycles;
mod imports;
mod lexer;
mod manifest;
mod modules;
mod text;
mod tree;
mod uses;

use std::path::Path;
use std::process::ExitCode;

use self::allow::Allowances;
use self::tree::{Finding, Tree};
use crate::tally::Tally;

/// The exceptions, from the root.
const ALLOW_FILE: &str = "xtask/tidy.allow";

/// One rule.
struct Check {
    name: &'static str,
    find: fn(&Tree) -> Vec<Finding>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "import_direction",
        find: imports::direction,
    },
    Check {
        name: "crate_dependencies",
        find: imports::dependencies,
    },
    Check {
        name: "root_reexports",
        find: imports::root_reexports,
    },
    Check {
        name: "import_circles",
        find: cycles::circles,
    },
    Check {
        name: "banned_calls",
        find: bans::calls,
    },
    Check {
        name: "unfinished",
        find: bans::unfinished,
    },
    Check {
        name: "dead_files",
        find: modules::dead_files,
    },
    Check {
        name: "file_length",
        find: text::length,
    },
    Check {
        name: "white_space",
        find: text::white_space,
    },
    Check {
        name: "foreign_places",
        find: text::foreign_places,
    },
    Check {
        name: "banned_packages",
        find: manifest::banned_packages,
    },
    Check {
        name: "dependency_reasons",
        find: manifest::reasons,
    },
    Check {
        name: "bundles_current",
        find: bundled::current,
    },
    Check {
        name: "bad_inputs_covered",
        find: covered::table,
    },
];

/// `cargo xtask tidy`.
pub(crate) fn run(root: &Path) -> ExitCode {
    let tally = stage(root);
    println!("{}", tally.line());
    if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The stage of `cargo xtask test`: each rule is one test.
pub(crate) fn stage(root: &Path) -> Tally {
    match Tree::read(root) {
        Ok(tree) => check(&tree),
        Err(reason) => Tally::fail(format!("tidy: {reason}")),
    }
}

fn check(tree: &Tree) -> Tally {
    let mut allowances = Allowances::parse(tree.get(ALLOW_FILE).map_or("", |file| &file.text));
    let mut tally = Tally::default();
    for check in CHECKS {
        let findings: Vec<Finding> = (check.find)(tree)
            .into_iter()
            .filter(|finding| !allowances.allows(check.name, finding))
            .collect();
        judge(check.name, &findings, &mut tally);
    }
    judge("allowances", &allowances.faults(ALLOW_FILE), &mut tally);
    tally
}

fn judge(name: &str, findings: &[Finding], tally: &mut Tally) {
    if findings.is_empty() {
        println!("ok {name}");
        tally.passed += 1;
        return;
    }
    println!("not ok {name}");
    findings
        .iter()
        .for_each(|finding| println!("    {finding}"));
    tally.add_failure(format!(
        "{name}: {} (and {} more)",
        findings[0],
        findings.len() - 1
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_fails_its_rule_and_an_allowance_with_a_reason_lifts_it() {
        let bad = (
            "crates/core/src/lib.rs",
            "fn f() {\n    let t = Instant::now();\n}\n",
        );
        let manifest = ("crates/core/Cargo.toml", "[package]\n");
        let tally = check(&Tree::of(&[manifest, bad]));
        assert_eq!(tally.failed, 1, "{:?}", tally.failures);
        assert!(
            tally.failures[0].contains("crates/core/src/lib.rs:2"),
            "{:?}",
            tally.failures
        );
        let allow =
            "import_direction crates/core/src/lib.rs Instant::now -- the clock is born here\n";
        let tally = check(&Tree::of(&[manifest, bad, (ALLOW_FILE, allow)]));
        assert_eq!(tally.failed, 0, "{:?}", tally.failures);
    }
}
