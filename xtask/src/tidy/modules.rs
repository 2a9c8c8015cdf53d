//! The module tree of each package, walked from its roots the way the compiler does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::lexer::{block_end, without_words};
use super::tree::{Finding, Tree};

/// One file's place in its package.
#[derive(Debug, Default, Clone)]
pub(crate) struct Module {
    /// Its module path from its root; empty for a root.
    pub(crate) path: Vec<String>,
    /// It, or a module around it, is declared under `#[cfg(test)]`.
    pub(crate) is_test: bool,
}

/// Rust files that no root reaches: they are not compiled, and nobody notices when they rot.
pub(crate) fn dead_files(tree: &Tree) -> Vec<Finding> {
    let packages: BTreeMap<&str, _> = tree
        .packages()
        .map(|folder| (folder, reached(tree, folder)))
        .collect();
    let mut dead = Vec::new();
    for (path, _) in tree.rust_below("") {
        // The innermost package owns a file.
        let owner = packages
            .iter()
            .filter(|(folder, _)| path.starts_with(**folder))
            .max_by_key(|(folder, _)| folder.len());
        let alive = owner.is_some_and(|(_, reached)| reached.contains_key(path));
        if !alive {
            dead.push(Finding {
                path: path.to_owned(),
                line: 0,
                what: "dead file".to_owned(),
                why: "no lib.rs, main.rs or test reaches it by `mod`".to_owned(),
            });
        }
    }
    dead
}

/// Files of all packages that are compiled for tests alone.
pub(crate) fn test_files(tree: &Tree) -> BTreeSet<&str> {
    tree.packages()
        .flat_map(|folder| reached(tree, folder))
        .filter(|(_, module)| module.is_test)
        .map(|(path, _)| path)
        .collect()
}

/// The files of a package that its roots reach.
pub(crate) fn reached<'a>(tree: &'a Tree, package: &str) -> BTreeMap<&'a str, Module> {
    let mut found: BTreeMap<&str, Module> = BTreeMap::new();
    let mut open: Vec<(String, Module)> = roots(tree, package)
        .into_iter()
        .map(|root| (root, Module::default()))
        .collect();
    while let Some((path, module)) = open.pop() {
        let Some((path, file)) = tree.entry(&path) else {
            continue;
        };
        if found.contains_key(path) {
            continue;
        }
        let folder = child_folder(path, module.path.is_empty());
        for declared in declarations(&file.text) {
            let mut child = module.clone();
            child.path.extend(declared.inside.iter().cloned());
            child.path.push(declared.name.clone());
            child.is_test |= declared.is_test;
            for candidate in declared.candidates(path, &folder) {
                open.push((candidate, child.clone()));
            }
        }
        found.insert(path, module);
    }
    found
}

/// Targets that cargo finds by itself, and those that the manifest names.
fn roots(tree: &Tree, package: &str) -> BTreeSet<String> {
    let mut roots: BTreeSet<String> = ["src/lib.rs", "src/main.rs", "build.rs"]
        .iter()
        .map(|r| format!("{package}{r}"))
        .collect();
    for (path, _) in tree.rust_below(package) {
        for folder in ["src/bin/", "tests/", "examples/", "benches/"] {
            let Some(name) = path.strip_prefix(&format!("{package}{folder}")) else {
                continue;
            };
            if !name.contains('/') || name.split_once('/').is_some_and(|(_, f)| f == "main.rs") {
                roots.insert(path.to_owned());
            }
        }
    }
    let manifest = tree
        .get(&format!("{package}Cargo.toml"))
        .map_or("", |file| &file.text);
    for line in manifest.lines().filter(|line| line.starts_with("path")) {
        roots.extend(
            line.split('"')
                .nth(1)
                .map(|path| format!("{package}{path}")),
        );
    }
    roots
}

/// Where the child modules of a file are: beside a root or a `mod.rs`, else in a folder of its
/// own name.
fn child_folder(path: &str, is_root: bool) -> String {
    let folder = path
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    if is_root || path.ends_with("/mod.rs") {
        folder
    } else {
        format!("{}/", path.trim_end_matches(".rs"))
    }
}

/// `mod name;`, maybe inside inline modules, maybe with a path of its own.
struct Declared {
    name: String,
    inside: Vec<String>,
    path: Option<String>,
    is_test: bool,
}

impl Declared {
    fn candidates(&self, declaring: &str, folder: &str) -> Vec<String> {
        let inside: String = self.inside.iter().map(|name| format!("{name}/")).collect();
        match &self.path {
            // From the declaring file's own folder, and from the inline module's where it is in one.
            Some(path) => {
                let own = declaring.rsplit_once('/').map_or("", |(folder, _)| folder);
                vec![
                    normal(&format!("{own}/{path}")),
                    normal(&format!("{folder}{inside}{path}")),
                ]
            }
            None => vec![
                format!("{folder}{inside}{}.rs", self.name),
                format!("{folder}{inside}{}/mod.rs", self.name),
            ],
        }
    }
}

/// Takes out `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn declarations(text: &str) -> Vec<Declared> {
    let code = without_words(text);
    let mut found = Vec::new();
    let mut around = Around::default();
    collect(text, &code, 0..code.len(), &mut around, &mut found);
    found
}

/// The inline modules around a declaration.
#[derive(Default)]
struct Around {
    inside: Vec<String>,
    is_test: bool,
}

fn collect(
    text: &str,
    code: &str,
    range: Range<usize>,
    around: &mut Around,
    found: &mut Vec<Declared>,
) {
    let mut at = range.start;
    while let Some(start) = code[at..range.end].find("mod ").map(|offset| at + offset) {
        at = start + "mod ".len();
        let before = code[..start].chars().next_back();
        let is_word = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let rest = code[at..range.end].trim_start();
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let after = rest[name.len()..].trim_start();
        if !is_word || name.is_empty() {
            continue;
        }
        let attributes = attributes(text, code, start);
        let is_test = around.is_test || attributes.contains("#[cfg(test)]");
        if after.starts_with(';') {
            let path = path_attribute(&attributes);
            found.push(Declared {
                name,
                inside: around.inside.clone(),
                path,
                is_test,
            });
        } else if after.starts_with('{') {
            let open = range.end - after.len();
            let end = block_end(code, open).min(range.end);
            let was_test = std::mem::replace(&mut around.is_test, is_test);
            around.inside.push(name);
            collect(text, code, open + 1..end, around, found);
            around.inside.pop();
            around.is_test = was_test;
            at = end;
        }
    }
}

/// The attributes (and comments) right before a declaration, read from the text itself because
/// literals are blanked in the code.
fn attributes(text: &str, code: &str, declaration: usize) -> String {
    let start = code[..declaration]
        .rfind([';', '}', '{'])
        .map_or(0, |at| at + 1);
    text.get(start..declaration).unwrap_or_default().to_owned()
}

/// `#[path = "…"]` among attributes.
fn path_attribute(attributes: &str) -> Option<String> {
    let (_, rest) = attributes.split_once("#[path")?;
    rest.split('"').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nothing_reaches_is_caught() {
        let tree = Tree::of(&[
            ("crates/a/Cargo.toml", "[package]\n"),
            (
                "crates/a/src/lib.rs",
                "mod one;\npub mod two { mod deep; }\n// mod dead;\n",
            ),
            (
                "crates/a/src/one.rs",
                "#[path = \"other/name.rs\"]\nmod three;\n",
            ),
            ("crates/a/src/two/deep.rs", ""),
            ("crates/a/src/other/name.rs", ""),
            ("crates/a/src/dead.rs", "mod child;"),
            ("crates/a/src/dead/child.rs", ""),
            ("crates/a/tests/sim.rs", "mod world;"),
            ("crates/a/tests/world/mod.rs", ""),
            ("crates/a/tests/world/lost.rs", ""),
        ]);
        let dead: Vec<String> = dead_files(&tree)
            .into_iter()
            .map(|finding| finding.path)
            .collect();
        assert_eq!(
            dead,
            [
                "crates/a/src/dead.rs",
                "crates/a/src/dead/child.rs",
                "crates/a/tests/world/lost.rs"
            ]
        );
    }

    #[test]
    fn targets_that_the_manifest_names_are_roots() {
        let tree = Tree::of(&[
            (
                "tests/Cargo.toml",
                "[lib]\npath = \"src/lib.rs\"\n[[test]]\nname = \"b\"\npath = \"behaviour/main.rs\"\n",
            ),
            ("tests/src/lib.rs", ""),
            ("tests/behaviour/main.rs", "mod ws;"),
            ("tests/behaviour/ws.rs", ""),
            ("tests/lost.rs", ""),
        ]);
        let dead: Vec<String> = dead_files(&tree)
            .into_iter()
            .map(|finding| finding.path)
            .collect();
        assert_eq!(dead, ["tests/lost.rs"]);
    }

    #[test]
    fn a_module_knows_its_path_and_whether_it_is_for_tests_alone() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", ""),
            (
                "a/src/lib.rs",
                "mod hub;\n#[cfg(test)]\nmod tests;\nmod last;\n",
            ),
            (
                "a/src/hub.rs",
                "mod shard;\n#[cfg(test)]\nmod tests { mod deep; }\n",
            ),
            ("a/src/hub/shard.rs", ""),
            ("a/src/hub/tests/deep.rs", ""),
            ("a/src/last.rs", ""),
            ("a/src/tests.rs", "mod child;"),
            ("a/src/tests/child.rs", ""),
        ]);
        assert_eq!(
            reached(&tree, "a/")["a/src/hub/shard.rs"].path,
            ["hub", "shard"]
        );
        let tests: Vec<&str> = test_files(&tree).into_iter().collect();
        assert_eq!(
            tests,
            [
                "a/src/hub/tests/deep.rs",
                "a/src/tests.rs",
                "a/src/tests/child.rs"
            ]
        );
    }
}
