//! Rules about text: length, white space, and places that do not belong into the product.

use super::tree::{Finding, Tree};

/// Longest source file, in lines.
const MAX_LINES: usize = 600;
/// A crate's `lib.rs` is a table of contents.
const MAX_LIB_LINES: usize = 150;
const SOURCES: &[&str] = &[".rs", ".mjs", ".js", ".ts", ".py", ".html", ".css", ".sh"];

/// Files that grew too long.
pub(crate) fn length(tree: &Tree) -> Vec<Finding> {
    tree.files()
        .filter(|(path, _)| SOURCES.iter().any(|end| path.ends_with(end)))
        .filter_map(|(path, file)| {
            let lines = file.text.lines().count();
            let limit = if path.ends_with("/src/lib.rs") {
                MAX_LIB_LINES
            } else {
                MAX_LINES
            };
            (lines > limit).then(|| Finding {
                path: path.to_owned(),
                line: 0,
                what: "length".to_owned(),
                why: format!("{lines} lines, at most {limit}: find the seam and split it there"),
            })
        })
        .collect()
}

/// Spaces at the end of a line, tabs in Rust, carriage returns, a missing last line break.
pub(crate) fn white_space(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in tree.files() {
        let mut report = |line: usize, what: &str, why: &str| {
            findings.push(Finding {
                path: path.to_owned(),
                line,
                what: what.to_owned(),
                why: why.to_owned(),
            });
        };
        for (index, line) in file.text.split('\n').enumerate() {
            if line.ends_with('\r') {
                report(
                    index + 1,
                    "carriage return",
                    "lines end with a line feed alone",
                );
            } else if line.ends_with([' ', '\t']) {
                report(
                    index + 1,
                    "trailing space",
                    "nothing stands after the last word",
                );
            }
            if path.ends_with(".rs") && line.starts_with('\t') {
                report(index + 1, "tab", "cargo fmt indents with spaces");
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            report(0, "last line", "a file ends with a line feed");
        }
    }
    findings
}

/// Hosts of package registries: where packages come from is the matter of each one's own client.
/// In pieces, because this file is checked too.
const FOREIGN: &[&str] = &[
    concat!("registry", ".npmjs"),
    concat!("npmjs", ".com"),
    concat!("npmjs", ".org"),
    concat!("yarnpkg", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("//crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("/home", "/"),
    concat!("/root", "/"),
    concat!("/Users", "/"),
    concat!("/tmp", "/wt"),
    concat!("/work", "/"),
    concat!("/opt", "/wheels"),
];

/// Hosts and paths of one machine.
pub(crate) fn foreign_places(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in tree.files() {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(place) = FOREIGN.iter().find(|place| line.contains(**place)) {
                findings.push(Finding {
                    path: path.to_owned(),
                    line: index + 1,
                    what: (*place).to_owned(),
                    why: "a place of one machine or registry: leave it to the tool's own settings"
                        .to_owned(),
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_one_line_over_the_limit_is_caught() {
        let (full, over) = ("x\n".repeat(MAX_LINES), "x\n".repeat(MAX_LINES + 1));
        assert_eq!(length(&Tree::of(&[("crates/a/src/b.rs", &full)])), []);
        assert_eq!(length(&Tree::of(&[("crates/a/src/b.rs", &over)])).len(), 1);
        assert_eq!(
            length(&Tree::of(&[("tests/browser/a.mjs", &over)])).len(),
            1
        );
        assert_eq!(length(&Tree::of(&[("NOTES.md", &over)])), []);
        assert_eq!(
            length(&Tree::of(&[("crates/a/src/lib.rs", &full)])).len(),
            1
        );
    }

    #[test]
    fn white_space_is_caught() {
        for bad in ["a \n", "a\t\nb\n", "a\r\n", "a"] {
            assert_eq!(
                white_space(&Tree::of(&[("README.md", bad)])).len(),
                1,
                "{bad:?}"
            );
        }
        assert_eq!(white_space(&Tree::of(&[("a.rs", "\tx\n")])).len(), 1);
        assert_eq!(
            white_space(&Tree::of(&[("a.rs", "x\n\ny\n"), ("empty.py", "")])),
            []
        );
    }

    #[test]
    fn places_of_one_machine_are_caught() {
        for place in FOREIGN {
            let text = format!("see https:{place} here\n");
            assert_eq!(
                foreign_places(&Tree::of(&[("README.md", &text)])).len(),
                1,
                "{place}"
            );
        }
        assert_eq!(
            foreign_places(&Tree::of(&[("README.md", "crates.io and /etc/hosts\n")])),
            []
        );
    }
}
