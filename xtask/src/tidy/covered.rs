//! The table of bad inputs: every test that it names exists, and no entry was left out.

use std::collections::BTreeMap;

use super::tree::{Finding, Tree};

const TABLE: &str = "docs/bad-inputs.md";

/// Rows whose tests do not exist, and groups whose entries have a hole.
///
/// A row is `| H1 | what | tests |`; a test is written `` `file.rs::name` `` in the last
/// column, where `file.rs` is the end of a path. A row without a test has to say why.
pub(crate) fn table(tree: &Tree) -> Vec<Finding> {
    let Some(table) = tree.get(TABLE) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut report = |line: usize, what: &str, why: &str| {
        findings.push(Finding {
            path: TABLE.to_owned(),
            line,
            what: what.to_owned(),
            why: why.to_owned(),
        });
    };
    let mut groups: BTreeMap<char, u32> = BTreeMap::new();
    for (index, line) in table.text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", entry, _, by, ""] = cells.as_slice() else {
            continue;
        };
        let Some((group, number)) = numbered(entry) else {
            continue;
        };
        let last = groups.entry(group).or_insert(0);
        if number != *last + 1 {
            report(
                index + 1,
                entry,
                "entries of a group stand in order, without a hole",
            );
        }
        *last = number;
        if by.is_empty() {
            report(index + 1, entry, "name the test, or say why there is none");
        }
        for test in by
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|part| part.contains("::"))
        {
            if !exists(tree, test) {
                report(index + 1, test, "there is no such test");
            }
        }
    }
    findings
}

/// `H12`: its group and its number.
fn numbered(entry: &str) -> Option<(char, u32)> {
    let group = entry.chars().next().filter(char::is_ascii_uppercase)?;
    Some((group, entry[1..].parse().ok()?))
}

fn exists(tree: &Tree, test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else {
        return false;
    };
    let definition = format!("fn {name}(");
    let end = format!("/{file}");
    tree.files()
        .any(|(path, file)| path.ends_with(&end) && file.text.contains(&definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_tests_that_exist_and_no_entry_is_left_out() {
        let rows = "| entry | what | tests |\n|---|---|---|\n\
                    | H1 | a | `ws/a.rs::h1_x` and `b.rs::h1_y` |\n\
                    | H2 | b | `b.rs::h2_gone` |\n\
                    | H4 | c | left: no TLS |\n\
                    | F1 | d | |\n";
        let tree = Tree::of(&[
            (TABLE, rows),
            ("tests/ws/a.rs", "async fn h1_x(variant: Variant) {}\n"),
            ("tests/b.rs", "fn h1_y() {}\nfn h2_gone_elsewhere() {}\n"),
        ]);
        let found: Vec<(usize, String)> = table(&tree)
            .into_iter()
            .map(|finding| (finding.line, finding.what))
            .collect();
        let expected = [(4, "b.rs::h2_gone"), (5, "H4"), (6, "F1")];
        assert_eq!(found, expected.map(|(line, what)| (line, what.to_owned())));
    }
}
