//! `use` trees written out: `use a::{b, c::{self, d}};` is `a::b`, `a::c`, `a::c::d`.

use super::lexer::block_end;

/// A path that code names, and the line it starts on (from 1).
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Named {
    /// Segments joined by `::`, without a leading `::`.
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
}

/// Every path that blanked code names: the branches of its `use` declarations, and paths of two
/// segments and more in its other lines.
pub(crate) fn named_paths(code: &str) -> Vec<Named> {
    let mut found = Vec::new();
    let mut rest_of_code = code.to_owned();
    let mut from = 0;
    while let Some(start) = next_use(&rest_of_code, from) {
        let body = start + "use ".len();
        let end = rest_of_code[body..]
            .find(';')
            .map_or(rest_of_code.len(), |length| body + length);
        let line = 1 + code[..start].matches('\n').count();
        flatten(&rest_of_code[body..end], "", &mut |path| {
            found.push(Named { path, line });
        });
        let blank: String = rest_of_code[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        rest_of_code.replace_range(start..end, &blank);
        from = end;
    }
    for (index, line) in rest_of_code.lines().enumerate() {
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for word in line.split(|c| !is_path(c)) {
            let path = word.trim_matches(':');
            if path.contains("::") {
                found.push(Named {
                    path: path.to_owned(),
                    line: index + 1,
                });
            }
        }
    }
    found
}

/// The next `use` that starts a declaration.
fn next_use(code: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let start = at + code.get(at..)?.find("use ")?;
        let before = code[..start].trim_end_matches([' ', '\t']);
        let starts_item = before.is_empty()
            || before.ends_with(['\n', ';', '{', '}', ')', ']'])
            || before.ends_with("pub");
        if starts_item {
            return Some(start);
        }
        at = start + 1;
    }
}

fn flatten(tree: &str, prefix: &str, give: &mut impl FnMut(String)) {
    for branch in branches(tree) {
        let branch = branch.trim().trim_start_matches("::");
        if branch.is_empty() {
            continue;
        }
        if let Some((head, group)) = branch.split_once('{') {
            let head = join(prefix, head.trim().trim_end_matches("::"));
            flatten(
                group.trim_end().strip_suffix('}').unwrap_or(group),
                &head,
                give,
            );
            continue;
        }
        let name = branch.split_whitespace().next().unwrap_or_default();
        give(if name == "self" {
            prefix.to_owned()
        } else {
            join(prefix, name)
        });
    }
}

fn join(prefix: &str, rest: &str) -> String {
    match (prefix, rest) {
        ("", _) => rest.to_owned(),
        (_, "") => prefix.to_owned(),
        _ => format!("{prefix}::{rest}"),
    }
}

/// Splits at the commas that are in no braces.
fn branches(tree: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(byte) = tree.as_bytes().get(at) {
        match byte {
            b'{' => at = block_end(tree, at),
            b',' => {
                found.push(&tree[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    found.push(&tree[start..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str) -> Vec<String> {
        named_paths(code)
            .into_iter()
            .map(|named| named.path)
            .collect()
    }

    #[test]
    fn trees_are_written_out() {
        assert_eq!(
            paths("pub use std::{fmt, net::{self, TcpStream as S}, sync::*};\nuse ::a as b;\n"),
            [
                "std::fmt",
                "std::net",
                "std::net::TcpStream",
                "std::sync::*",
                "a"
            ]
        );
    }

    #[test]
    fn paths_in_code_are_found_with_their_line() {
        let named = named_paths("use a::b;\nfn f() -> std::io::Result<()> {\n    std::net::x()\n}");
        let expected = [("a::b", 1), ("std::io::Result", 2), ("std::net::x", 3)];
        let found: Vec<(&str, usize)> = named.iter().map(|n| (n.path.as_str(), n.line)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn trees_over_several_lines_are_one() {
        assert_eq!(
            paths("pub(crate) use crate::{\n    a::B,\n    c,\n};"),
            ["crate::a::B", "crate::c"]
        );
    }
}
