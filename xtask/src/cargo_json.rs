//! The two facts that are needed from cargo's JSON, taken out by their keys. Cargo writes these
//! objects from structs, in one order and without spaces; paths with quotes are not supported.

/// Test targets of the workspace, from `cargo metadata --no-deps --format-version 1`:
/// `(package, target)`, in the order given.
pub(crate) fn test_targets(metadata: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut package = "";
    // A package's own name stands before its targets, and is followed by its version.
    for piece in metadata.split("{\"") {
        if piece.starts_with("name\":\"") && piece.contains("\"version\":\"") {
            package = string_after(piece, "name\":").unwrap_or_default();
        } else if piece.starts_with("kind\":[\"test\"]")
            && let Some(name) = string_after(piece, "\"name\":")
        {
            found.push((package.to_owned(), name.to_owned()));
        }
    }
    found
}

/// The executable of test target `target`, if this line of `--message-format=json` announces it.
pub(crate) fn test_executable<'a>(line: &'a str, target: &str) -> Option<&'a str> {
    let about_target = line.split_once("\"target\":{\"kind\":[\"test\"]")?.1;
    if string_after(about_target, "\"name\":")? != target {
        return None;
    }
    string_after(line, "\"executable\":")
}

fn string_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = text.split_once(key)?.1.strip_prefix('"')?;
    value.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_targets_are_found_with_their_package() {
        let metadata = r#"{"packages":[{"name":"a","version":"0.1.0","id":"x","dependencies":[{"name":"d","source":null}],"targets":[{"kind":["lib"],"crate_types":["lib"],"name":"a","src_path":"/r/a/src/lib.rs"},{"kind":["test"],"crate_types":["bin"],"name":"sim","src_path":"/r/a/tests/sim.rs"}]},{"name":"b","version":"0.1.0","targets":[{"kind":["test"],"crate_types":["bin"],"name":"wire","src_path":"/r/b/tests/wire.rs"}]}],"target_directory":"/r/target"}"#;
        assert_eq!(
            test_targets(metadata),
            [
                ("a".to_owned(), "sim".to_owned()),
                ("b".to_owned(), "wire".to_owned())
            ]
        );
    }

    #[test]
    fn the_executable_of_one_test_target_is_found() {
        let line = r#"{"reason":"compiler-artifact","package_id":"p","target":{"kind":["test"],"crate_types":["bin"],"name":"sim","src_path":"/r/tests/sim.rs"},"profile":{"test":true},"filenames":["/r/target/sim-1"],"executable":"/r/target/sim-1","fresh":true}"#;
        assert_eq!(test_executable(line, "sim"), Some("/r/target/sim-1"));
        assert_eq!(test_executable(line, "other"), None);
        let library = line.replace("[\"test\"]", "[\"lib\"]");
        assert_eq!(test_executable(&library, "sim"), None);
    }
}
