//! Every dependency says why it is there, and some may not be.

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

/// Packages in Cargo.lock that `deny.toml` bans, so that its most important table holds where
/// cargo-deny is not installed too.
pub(crate) fn banned_packages(tree: &Tree) -> Vec<Finding> {
    const BANS: &str = "deny.toml";
    let bans = tree.get(BANS).map_or("", |file| &file.text);
    let banned = bans
        .lines()
        .filter_map(|line| line.split_once("crate = \"")?.1.split_once('"'));
    let mut findings = Vec::new();
    for (name, _) in banned {
        let line = format!("name = \"{name}\"");
        if let Some(index) = tree.lock().lines().position(|found| found == line) {
            findings.push(Finding {
                path: "Cargo.lock".to_owned(),
                line: index + 1,
                what: name.to_owned(),
                why: format!("banned in {BANS}, which says why (cargo tree -i {name})"),
            });
        }
    }
    findings
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

    #[test]
    fn a_banned_package_is_caught() {
        let bans = "[bans]\ndeny = [\n    { crate = \"ring\", reason = \"x\" },\n]\n";
        let lock = "[[package]]\nname = \"bytes\"\n[[package]]\nname = \"ring\"\n";
        let findings = banned_packages(&Tree::of(&[("deny.toml", bans), ("Cargo.lock", lock)]));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].line, findings[0].what.as_str()), (4, "ring"));
        let fine = Tree::of(&[("deny.toml", bans), ("Cargo.lock", "name = \"bring\"\n")]);
        assert_eq!(banned_packages(&fine), []);
    }
}
