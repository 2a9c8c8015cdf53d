//! `cargo xtask bundle`: the modules of the browser client for Socket.IO as one file.
//!
//! No bundler and no minifier: modules are put one after the other, what they import first;
//! comments, indentation and needless spaces go, and private names become short. That asks a
//! little of the sources, and says so where it isn't given: imports and literals end on their
//! line, and no two modules have a name of the same spelling at their top.

mod squeeze;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use self::squeeze::Squeezer;

/// The modules.
pub(crate) const SOURCES: &str = "clients/socketio/src/";
/// The module that exports what the client is.
const ENTRY: &str = "io.js";
/// Where the server takes it from: a package of its own has it within. It makes of it what
/// `<script src>` loads, too.
pub(crate) const BUNDLE: &str = "crates/server/src/assets/socket.io.esm.js";
/// The first line.
const NOTICE: &str = "/* Fanwire's client for Socket.IO. MIT OR Apache-2.0 */\n";

/// Writes the file.
pub(crate) fn run(root: &Path) -> ExitCode {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let written = bundle(read).and_then(|text| {
        std::fs::write(root.join(BUNDLE), &text).map_err(|error| format!("{BUNDLE}: {error}"))?;
        println!("{BUNDLE}: {} bytes", text.len());
        Ok(())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Puts the modules together to one; its last line exports. `read` gives the text of a file
/// by its path from the root.
pub(crate) fn bundle(read: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut modules = Modules::default();
    modules.add(ENTRY, &read)?;
    if modules.exports.is_empty() {
        return Err(format!("{SOURCES}{ENTRY} exports nothing"));
    }
    let Modules { code, exports, .. } = modules;
    Ok(format!("{NOTICE}{code}{exports}\n"))
}

#[derive(Default)]
struct Modules {
    /// Those that were begun.
    known: BTreeSet<String>,
    /// Who has a name at its top.
    names: BTreeMap<String, String>,
    squeezer: Squeezer,
    code: String,
    /// The entry's `export { … };`.
    exports: String,
}

impl Modules {
    /// Adds a module after those that it imports.
    fn add(&mut self, file: &str, read: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
        if !self.known.insert(file.to_owned()) {
            return Ok(());
        }
        let path = format!("{SOURCES}{file}");
        let text = read(&path).ok_or_else(|| format!("{path} cannot be read"))?;
        let mut code = String::new();
        let mut in_comment = false;
        for (index, line) in text.lines().enumerate() {
            let at = |what: &str| format!("{path}:{}: {what}", index + 1);
            let line_of_code = line.trim();
            if line.starts_with("export ") && line.starts_with("export {") != (file == ENTRY) {
                return Err(at(
                    "the entry exports by a list, the others where they declare",
                ));
            }
            if in_comment || line_of_code.starts_with("/*") {
                in_comment = !line_of_code.ends_with("*/");
            } else if let Some(import) = line.strip_prefix("import ") {
                let from = import.split_once(" from './").map(|(_, from)| from);
                let from = from.and_then(|from| from.strip_suffix("';"));
                self.add(
                    from.ok_or_else(|| at("an import stands on one line"))?,
                    read,
                )?;
            } else if line.starts_with("export {") {
                line.clone_into(&mut self.exports);
            } else {
                let line_of_code = line_of_code.strip_prefix("export ").unwrap_or(line_of_code);
                if let Some(name) = declared(line)
                    && let Some(other) = self.names.insert(name.to_owned(), path.clone())
                {
                    return Err(at(&format!("`{name}` is a name of {other} too")));
                }
                let squeezed = self.squeezer.line(line_of_code);
                let squeezed = squeezed.map_err(|reason| at(&reason))?;
                if !squeezed.is_empty() {
                    code.push_str(&squeezed);
                    code.push('\n');
                }
            }
        }
        self.code.push_str(&code);
        Ok(())
    }
}

/// The name that a line declares at a module's top.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = ["const ", "let ", "class ", "function "]
        .iter()
        .find_map(|keyword| line.strip_prefix(keyword))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some(&rest[..end.unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(files: &[(&str, &str)]) -> Result<String, String> {
        bundle(|path| {
            let file = path.strip_prefix(SOURCES)?;
            let found = files.iter().find(|(name, _)| *name == file);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    const IO: &str = "// What a page calls.\n\nimport { a } from './a.js';\n\
        import { b } from './b.js';\n\n/**\n * Both.\n */\nfunction io() {\n  \
        return a + b;\n}\n\nexport { io as default };\n";

    #[test]
    fn modules_stand_after_what_they_import_and_once() {
        let a = "import { b } from './b.js';\n\nexport const a = b * 2; // twice\n";
        let bundle = of(&[
            ("io.js", IO),
            ("a.js", a),
            ("b.js", "export const b = 1;\n"),
        ])
        .unwrap();
        let code = "const b=1;\nconst a=b*2;\nfunction io(){\nreturn a+b;\n}\n";
        assert_eq!(
            bundle,
            format!("{NOTICE}{code}export {{ io as default }};\n")
        );
    }

    #[test]
    fn what_cannot_be_put_together_is_named() {
        let fails = |a: &str| of(&[("io.js", IO), ("a.js", a), ("b.js", "\n")]).unwrap_err();
        assert!(fails("import {\n  x,\n} from './b.js';\n").contains("a.js:1: an import"));
        assert!(fails("const x = `\n`;\n").contains("a.js:1"));
        assert!(fails("export { x };\n").contains("a.js:1: the entry exports"));
        let twice = of(&[
            ("io.js", IO),
            ("a.js", "const x = 1;\n"),
            ("b.js", "export class x {\n"),
        ]);
        assert!(twice.unwrap_err().contains("`x` is a name of"));
        assert!(
            of(&[("io.js", IO)])
                .unwrap_err()
                .contains("a.js cannot be read")
        );
        assert!(
            of(&[("io.js", "const x = 1;\n")])
                .unwrap_err()
                .contains("exports nothing")
        );
    }
}
