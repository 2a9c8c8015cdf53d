//! Imports run one way: proto and core know neither each other nor sockets nor clocks, the
//! server introduces the two, the client and the load generator know the wire alone.

use super::modules;
use super::tree::{Finding, Tree};
use super::uses::named_paths;

/// What the code of one crate must not name.
struct Direction {
    /// Its folder.
    folder: &'static str,
    /// Paths, by their leading segments.
    paths: &'static [&'static str],
    /// Calls and types that may come in under another path: matched as the path's end.
    ends: &'static [&'static str],
    /// Packages that its manifest must not depend on.
    packages: &'static [&'static str],
    why: &'static str,
}

const DIRECTIONS: &[Direction] = &[
    Direction {
        folder: "crates/proto/",
        paths: &[
            "fanwire_core",
            "fanwire",
            "fanwire_client",
            "tokio",
            "std::net",
            "std::fs",
            "std::thread",
            "getrandom",
            "rand",
            "hyper",
        ],
        ends: &["Instant", "Instant::now", "SystemTime", "SystemTime::now"],
        packages: &[
            "fanwire-core",
            "fanwire",
            "fanwire-client",
            "tokio",
            "hyper",
            "getrandom",
            "rand",
        ],
        why: "proto says what bytes mean: no sockets, no clock, no randomness, nothing of core",
    },
    Direction {
        folder: "crates/core/",
        paths: &[
            "fanwire_proto",
            "fanwire",
            "fanwire_client",
            "tokio",
            "std::net",
            "std::thread",
            "hyper",
        ],
        ends: &["Instant::now", "SystemTime", "SystemTime::now"],
        packages: &[
            "fanwire-proto",
            "fanwire",
            "fanwire-client",
            "tokio",
            "hyper",
        ],
        why: "core says what messages mean: no runtime, no sockets, `now` is an argument, \
              nothing of proto",
    },
    Direction {
        folder: "crates/client/",
        paths: &["fanwire_core", "fanwire"],
        ends: &[],
        packages: &["fanwire-core", "fanwire"],
        why: "the client knows the wire (proto) alone",
    },
    Direction {
        folder: "crates/bench/",
        paths: &["fanwire_core", "fanwire"],
        ends: &[],
        packages: &["fanwire-core", "fanwire"],
        why: "the load generator knows the wire (proto) alone",
    },
    Direction {
        folder: "crates/demo/",
        paths: &["fanwire_core", "fanwire_proto", "fanwire_client"],
        ends: &[],
        packages: &["fanwire-core", "fanwire-proto", "fanwire-client"],
        why: "the demos show what the public library can do, and use nothing else",
    },
];

/// Addresses are values; only sockets are banned.
const ADDRESSES: &[&str] = &[
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
];

/// Paths that a crate's code must not name. Its tests under `tests/` may.
pub(crate) fn direction(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tests = modules::test_files(tree);
    for rule in DIRECTIONS {
        let sources = tree
            .rust_below(&format!("{}src/", rule.folder))
            .collect::<Vec<_>>();
        for (path, file) in sources
            .into_iter()
            .filter(|(path, _)| !tests.contains(path))
        {
            for named in named_paths(&file.code) {
                let by_head = rule.paths.iter().find(|ban| starts_with(&named.path, ban));
                let by_end = rule.ends.iter().find(|ban| ends_with(&named.path, ban));
                if ADDRESSES
                    .iter()
                    .any(|address| starts_with(&named.path, address))
                {
                    continue;
                }
                if let Some(ban) = by_head.or(by_end) {
                    findings.push(Finding {
                        path: path.to_owned(),
                        line: named.line,
                        what: (*ban).to_owned(),
                        why: rule.why.to_owned(),
                    });
                }
            }
        }
    }
    findings
}

/// Packages that a crate's manifest must not depend on; for its tests it may.
pub(crate) fn dependencies(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in DIRECTIONS {
        let path = format!("{}Cargo.toml", rule.folder);
        let Some(file) = tree.get(&path) else {
            continue;
        };
        let mut in_dependencies = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies") && !line.contains("dev-");
            }
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if in_dependencies && rule.packages.contains(&name) {
                findings.push(Finding {
                    path: path.clone(),
                    line: index + 1,
                    what: name.to_owned(),
                    why: rule.why.to_owned(),
                });
            }
        }
    }
    findings
}

/// `use crate::Thing` hides from which module a thing comes, and so which way imports run.
pub(crate) fn root_reexports(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in tree
        .rust_below("")
        .filter(|(path, _)| path.contains("src/"))
    {
        for named in named_paths(&file.code) {
            let Some(first) = named.path.strip_prefix("crate::") else {
                continue;
            };
            if first.starts_with(char::is_uppercase) {
                findings.push(Finding {
                    path: path.to_owned(),
                    line: named.line,
                    what: named.path.clone(),
                    why: "name the module that it lives in, not the crate's root".to_owned(),
                });
            }
        }
    }
    findings
}

fn starts_with(path: &str, head: &str) -> bool {
    path.strip_prefix(head)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn ends_with(path: &str, end: &str) -> bool {
    path.strip_suffix(end)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        direction(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn core_and_proto_that_import_each_other_are_caught() {
        assert_eq!(
            found("crates/core/src/a.rs", "use fanwire_proto::ws::Frame;\n"),
            1
        );
        assert_eq!(
            found(
                "crates/proto/src/a.rs",
                "use fanwire_core::{key::Key, message};\n"
            ),
            2
        );
        assert_eq!(
            found(
                "crates/server/src/a.rs",
                "use fanwire_core::key;\nuse fanwire_proto::ws;\n"
            ),
            0
        );
    }

    #[test]
    fn sockets_and_clocks_in_core_are_caught_under_any_spelling() {
        for bad in [
            "use tokio::sync::Mutex;",
            "use std::{net::TcpStream, sync::Arc};",
            "fn f() { std::thread::spawn(g); }",
            "fn f() { let t = Instant::now(); }",
            "fn f() { let t = std::time::Instant::now(); }",
            "use std::time::{Duration, SystemTime};",
        ] {
            assert_eq!(found("crates/core/src/a.rs", bad), 1, "{bad}");
        }
    }

    #[test]
    fn an_instant_that_is_handed_in_and_words_in_comments_are_fine() {
        let good = "use std::time::Instant;\nuse std::net::{IpAddr};\n// never tokio::spawn\nfn f(now: Instant) { g(\"std::net::x\") }\n";
        assert_eq!(found("crates/core/src/a.rs", good), 0);
        assert_eq!(
            found("crates/core/tests/a.rs", "use tokio::sync::Mutex;"),
            0
        );
    }

    #[test]
    fn the_client_knows_the_wire_alone() {
        assert_eq!(
            found(
                "crates/client/src/a.rs",
                "use fanwire_core::key;\nuse fanwire::serve;\n"
            ),
            2
        );
        assert_eq!(
            found("crates/client/src/a.rs", "use fanwire_proto::ws;\n"),
            0
        );
    }

    #[test]
    fn a_manifest_that_turns_the_direction_is_caught() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nfanwire-core.workspace = true\ntokio = \"1\"\n[dev-dependencies]\ntokio = \"1\"\n";
        let findings = dependencies(&Tree::of(&[("crates/proto/Cargo.toml", manifest)]));
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(findings[0].line, 4);
    }

    #[test]
    fn a_root_reexport_is_caught() {
        let bad = "use crate::{Message, key::Key};\nfn f() { crate::helper(); }\n";
        let findings = root_reexports(&Tree::of(&[("crates/core/src/a.rs", bad)]));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].what, "crate::Message");
    }
}
