//! The browser client that the server serves is the one in the sources.

use super::tree::{Finding, Tree};
use crate::bundle::{self, BUNDLE, SOURCES};

/// Files that `cargo xtask bundle` would write otherwise.
pub(crate) fn current(tree: &Tree) -> Vec<Finding> {
    if !tree.files().any(|(path, _)| path.starts_with(SOURCES)) {
        return Vec::new();
    }
    let finding = |path: &str, why: String| Finding {
        path: path.to_owned(),
        line: 0,
        what: "bundle".to_owned(),
        why,
    };
    match bundle::bundle(|path| tree.get(path).map(|file| file.text.clone())) {
        Err(reason) => vec![finding(SOURCES, reason)],
        Ok(text) if tree.get(BUNDLE).is_some_and(|file| file.text == text) => Vec::new(),
        Ok(_) => {
            let why = "not current: run `cargo xtask bundle`";
            vec![finding(BUNDLE, why.to_owned())]
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bundle_of_other_sources_is_caught() {
        const IO: (&str, &str) = (
            "clients/socketio/src/io.js",
            "function io() {}\nexport { io };\n",
        );
        let made = bundle::bundle(|_| Some(IO.1.to_owned())).unwrap();
        assert_eq!(current(&Tree::of(&[IO, (BUNDLE, &made)])), []);
        let found = current(&Tree::of(&[IO, (BUNDLE, "old\n")]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, BUNDLE);
        assert_eq!(current(&Tree::of(&[IO])).len(), 1);
        let broken = (IO.0, "import x;\n");
        assert_eq!(current(&Tree::of(&[broken])).len(), 1);
        assert_eq!(current(&Tree::of(&[])), []);
    }
}
