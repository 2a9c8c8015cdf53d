//! Every dependency says why it is there.

use super::tree::{Finding, Tree};

/// Dependency lines without a reason: in the root manifest each carries or follows a comment; in
/// a package's own manifest those that are not taken from the root do.
pub(crate) fn reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in tree
        .files()
        .filter(|(path, _)| path.ends_with("Cargo.toml"))
    {
        let mut in_dependencies = false;
        let mut before = "";
        for (index, line) in file.text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                in_dependencies = line.trim_end_matches(']').ends_with("dependencies");
            } else if in_dependencies && needs_reason(line) && !before.starts_with('#') {
                let name = line.split(['=', ' ']).next().unwrap_or_default();
                findings.push(Finding {
                    path: path.to_owned(),
                    line: index + 1,
                    what: name.to_owned(),
                    why: "say why it is needed, in a comment on its line or above".to_owned(),
                });
            }
            before = line;
        }
    }
    findings
}

/// A line that starts a dependency from a registry and has no comment. Our own crates and those
/// taken from the root manifest need none.
fn needs_reason(line: &str) -> bool {
    let starts_one = line.starts_with(|c: char| c.is_ascii_alphabetic()) && line.contains('=');
    starts_one
        && !line.contains('#')
        && !line.contains("path =")
        && !line.contains("workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_caught() {
        let text = "[workspace.dependencies]\nours = { path = \"a\" }\nbytes = \"1\" # frames\n# the runtime\ntokio = \"1\"\nrand = \"0.9\"\n\n[lints]\nx = 1\n";
        let findings = reasons(&Tree::of(&[("Cargo.toml", text)]));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].line, findings[0].what.as_str()), (6, "rand"));
    }

    #[test]
    fn a_package_that_takes_from_the_root_needs_none() {
        let text = "[dependencies]\nbytes.workspace = true\ntokio = { workspace = true, features = [\"rt\"] }\n[dev-dependencies]\nws = \"1\"\n";
        let findings = reasons(&Tree::of(&[("crates/a/Cargo.toml", text)]));
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}
