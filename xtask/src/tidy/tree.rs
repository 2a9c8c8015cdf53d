//! The repository's text files, in memory, so that every rule can be tried on a bad example.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::lexer;

/// Folders that hold nothing of ours.
const FOREIGN_FOLDERS: &[&str] = &[
    "target",
    ".git",
    ".cache",
    "node_modules",
    "__pycache__",
    ".venv",
    // Inputs of the fuzz targets: any bytes at all.
    "corpus",
];
/// Files that tools write (`.git` is a file in a linked work tree).
const WRITTEN_BY_TOOLS: &[&str] = &["package-lock.json", ".git"];
/// Cargo's lock file: written by a tool too, but one rule reads it.
const LOCK: &str = "Cargo.lock";

/// One text file.
#[derive(Debug)]
pub(crate) struct File {
    /// As it stands on disk.
    pub(crate) text: String,
    /// For Rust: the text with comments, literals and test-only modules blanked out, line for
    /// line. Empty for anything else.
    pub(crate) code: String,
}

/// All text files by path from the root, with `/` between folders.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, File>,
    lock: String,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// From the root.
    pub(crate) path: String,
    /// From 1; 0 means the whole file.
    pub(crate) line: usize,
    /// What was found, as an allowance names it.
    pub(crate) what: String,
    /// Why it is wrong and what to do instead.
    pub(crate) why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            path,
            line,
            what,
            why,
        } = self;
        match line {
            0 => write!(out, "{path}: `{what}`: {why}"),
            _ => write!(out, "{path}:{line}: `{what}`: {why}"),
        }
    }
}

impl Tree {
    /// Reads every text file below `root`.
    pub(crate) fn read(root: &Path) -> Result<Tree, String> {
        let mut tree = Tree::default();
        tree.read_folder(root, "")
            .map_err(|error| error.to_string())?;
        Ok(tree)
    }

    /// A tree of these files: the bad examples of the tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        files
            .iter()
            .for_each(|(path, text)| tree.insert((*path).to_owned(), (*text).to_owned()));
        tree
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_dir() && !FOREIGN_FOLDERS.contains(&name.as_str()) {
                self.read_folder(&entry.path(), &format!("{prefix}{name}/"))?;
            } else if kind.is_file() && !WRITTEN_BY_TOOLS.contains(&name.as_str()) {
                // What is not UTF-8 is not text, and no rule speaks of it.
                if let Ok(text) = String::from_utf8(std::fs::read(entry.path())?) {
                    self.insert(format!("{prefix}{name}"), text);
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: String, text: String) {
        if path == LOCK {
            self.lock = text;
            return;
        }
        let code = if path.ends_with(".rs") {
            lexer::product_code(&text)
        } else {
            String::new()
        };
        self.files.insert(path, File { text, code });
    }

    /// What cargo resolved.
    pub(crate) fn lock(&self) -> &str {
        &self.lock
    }

    /// One file.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// One file with its path as the tree holds it.
    pub(crate) fn entry(&self, path: &str) -> Option<(&str, &File)> {
        self.files
            .get_key_value(path)
            .map(|(path, file)| (path.as_str(), file))
    }

    /// All files in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Rust files below a folder, which is given with its last `/`.
    pub(crate) fn rust_below(&self, folder: &str) -> impl Iterator<Item = (&str, &File)> {
        self.files()
            .filter(move |(path, _)| path.starts_with(folder) && path.ends_with(".rs"))
    }

    /// The folders (with their last `/`) of all packages.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.files().filter_map(|(path, _)| {
            path.strip_suffix("Cargo.toml")
                .filter(|folder| !folder.is_empty())
        })
    }
}
