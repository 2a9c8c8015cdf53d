//! The module tree of each package, walked from its roots the way the compiler does.

use std::collections::{BTreeMap, BTreeSet};

use super::lexer::{block_end, without_words};
use super::tree::{Finding, Tree};

/// Rust files that no root reaches: they are not compiled, and nobody notices when they rot.
pub(crate) fn dead_files(tree: &Tree) -> Vec<Finding> {
    let mut dead = Vec::new();
    let packages: Vec<&str> = tree.packages().collect();
    for (path, _) in tree.rust_below("") {
        // The innermost package owns a file.
        let owner = packages
            .iter()
            .filter(|folder| path.starts_with(**folder))
            .max_by_key(|f| f.len());
        let alive = owner.is_some_and(|folder| reached(tree, folder).contains_key(path));
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

/// The files of a package that its roots reach, with each one's module path from its root
/// (empty for a root).
pub(crate) fn reached<'a>(tree: &'a Tree, package: &str) -> BTreeMap<&'a str, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut open: Vec<(String, Vec<String>)> = roots(tree, package)
        .into_iter()
        .map(|root| (root, Vec::new()))
        .collect();
    while let Some((path, module)) = open.pop() {
        let Some((path, file)) = tree.rust_below(&path).find(|(known, _)| *known == path) else {
            continue;
        };
        if found.contains_key(path) {
            continue;
        }
        let folder = child_folder(path, module.is_empty());
        for declared in declarations(&file.text) {
            let mut child = module.clone();
            child.extend(declared.inside.iter().cloned());
            child.push(declared.name.clone());
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
    collect(text, &code, 0, code.len(), &mut Vec::new(), &mut found);
    found
}

fn collect(
    text: &str,
    code: &str,
    from: usize,
    to: usize,
    inside: &mut Vec<String>,
    found: &mut Vec<Declared>,
) {
    let mut at = from;
    while let Some(start) = code[at..to].find("mod ").map(|offset| at + offset) {
        at = start + "mod ".len();
        let is_word = code[..start]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let rest = code[at..to].trim_start();
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let after = rest[name.len()..].trim_start();
        if !is_word || name.is_empty() {
            continue;
        }
        if after.starts_with(';') {
            found.push(Declared {
                path: path_attribute(text, start),
                name,
                inside: inside.clone(),
            });
        } else if after.starts_with('{') {
            let open = to - after.len();
            let end = block_end(code, open).min(to);
            inside.push(name);
            collect(text, code, open + 1, end, inside, found);
            inside.pop();
            at = end;
        }
    }
}

/// `#[path = "…"]` among the attributes that stand right before a declaration. The literal is
/// read from the text itself, because it is blanked in the code.
fn path_attribute(text: &str, declaration: usize) -> Option<String> {
    let before = text.get(..declaration)?;
    let start = before.rfind([';', '}', '{']).map_or(0, |at| at + 1);
    let (_, rest) = before[start..].split_once("#[path")?;
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
    fn a_module_knows_its_path() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "mod hub;"),
            ("a/src/hub.rs", "mod shard;"),
            ("a/src/hub/shard.rs", ""),
        ]);
        assert_eq!(reached(&tree, "a/")["a/src/hub/shard.rs"], ["hub", "shard"]);
    }
}
