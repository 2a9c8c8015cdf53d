//! No circles between the top-level modules of a crate: each can be read knowing only those
//! below it.

use std::collections::{BTreeMap, BTreeSet};

use super::modules;
use super::tree::{Finding, Tree};
use super::uses::named_paths;

/// From a module to those it names, with one place as evidence.
type Graph = BTreeMap<String, BTreeMap<String, (String, usize)>>;

/// Each circle once, at the place where it closes.
pub(crate) fn circles(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let packages: Vec<&str> = tree.packages().collect();
    for package in packages {
        let graph = graph(tree, package);
        let mut done = BTreeSet::new();
        for start in graph.keys() {
            walk(&graph, &mut vec![start.clone()], &mut done, &mut findings);
        }
    }
    findings
}

fn walk(
    graph: &Graph,
    way: &mut Vec<String>,
    done: &mut BTreeSet<String>,
    findings: &mut Vec<Finding>,
) {
    let here = way[way.len() - 1].clone();
    if done.contains(&here) {
        return;
    }
    for (next, (path, line)) in graph.get(&here).into_iter().flatten() {
        if let Some(first) = way.iter().position(|module| module == next) {
            let mut circle = way[first..].to_vec();
            circle.push(next.clone());
            findings.push(Finding {
                path: path.clone(),
                line: *line,
                what: circle.join(" -> "),
                why: "imports between modules run one way: move what both need below both"
                    .to_owned(),
            });
        } else {
            way.push(next.clone());
            walk(graph, way, done, findings);
            way.pop();
        }
    }
    done.insert(here);
}

fn graph(tree: &Tree, package: &str) -> Graph {
    let reached = modules::reached(tree, package);
    let source = format!("{package}src/");
    let bins = format!("{source}bin/");
    let files: Vec<(&str, &[String])> = reached
        .iter()
        .filter(|(path, module)| {
            // Code for tests may look anywhere.
            path.starts_with(&source) && !path.starts_with(&bins) && !module.is_test
        })
        .map(|(path, module)| (*path, module.path.as_slice()))
        .collect();
    let top: BTreeSet<&String> = files
        .iter()
        .filter_map(|(_, module)| module.first())
        .collect();
    let mut graph = Graph::new();
    for (path, module) in &files {
        let Some(from) = module.first() else { continue };
        let Some(file) = tree.get(path) else { continue };
        for named in named_paths(&file.code) {
            let Some(to) = target(&named.path, module) else {
                continue;
            };
            if to != *from && top.contains(&to) {
                let evidence = ((*path).to_owned(), named.line);
                graph
                    .entry(from.clone())
                    .or_default()
                    .entry(to)
                    .or_insert(evidence);
            }
        }
    }
    graph
}

/// The top-level module that a path leads to, seen from `module`; none for other crates.
fn target(path: &str, module: &[String]) -> Option<String> {
    let mut segments = path.split("::").peekable();
    if segments.peek() == Some(&"crate") {
        return segments.nth(1).map(str::to_owned);
    }
    let mut above = 0;
    while segments.next_if_eq(&"super").is_some() {
        above += 1;
    }
    // Inline modules are not told apart, so only a path right up to the root counts.
    (above > 0 && above == module.len())
        .then(|| segments.next().map(str::to_owned))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> Vec<Finding> {
        let mut all = vec![
            ("a/Cargo.toml", ""),
            ("a/src/lib.rs", "mod one;\nmod two;\nmod three;\n"),
        ];
        all.extend(files);
        circles(&Tree::of(&all))
    }

    #[test]
    fn a_circle_of_two_is_caught_once() {
        let findings = crate_of(&[
            ("a/src/one.rs", "use crate::two::Two;\n"),
            ("a/src/two.rs", "fn f() { crate::one::f() }\n"),
            ("a/src/three.rs", "use crate::one::One;\n"),
        ]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].what, "one -> two -> one");
    }

    #[test]
    fn a_circle_through_a_child_and_super_is_caught() {
        let findings = crate_of(&[
            ("a/src/one.rs", "mod child;\n"),
            ("a/src/one/child.rs", "use super::super::two;\n"),
            ("a/src/two.rs", "use super::{three::T};\n"),
            ("a/src/three.rs", "use crate::{one::One};\n"),
        ]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].what, "one -> two -> three -> one");
    }

    #[test]
    fn one_way_is_fine_and_tests_may_look_anywhere() {
        let findings = crate_of(&[
            ("a/src/one.rs", "use crate::two::Two;\nuse crate::three;\n"),
            (
                "a/src/two.rs",
                "use crate::three::T;\n#[cfg(test)]\nmod tests { use crate::one; }\n",
            ),
            ("a/src/three.rs", "use std::fmt;\n"),
        ]);
        assert_eq!(findings, []);
    }
}
