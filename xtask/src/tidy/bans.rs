//! Calls that must not stand where a connection is served, and marks of unfinished work.

use super::modules;
use super::tree::{Finding, Tree};
use super::uses::named_paths;

/// A word that must not stand in the code below some folders.
struct Ban {
    folders: &'static [&'static str],
    word: &'static str,
    why: &'static str,
}

/// Where a line of code runs once for each connection.
const PER_CONNECTION: &[&str] = &["crates/server/src/transport/", "crates/core/src/"];
const PRODUCT: &[&str] = &["crates/"];

const BANS: &[Ban] = &[
    Ban {
        folders: PER_CONNECTION,
        word: "mpsc",
        why: "no queue of channels per connection: post a command to the shard, or fill the \
              subscriber's bounded outbox",
    },
    Ban {
        folders: PER_CONNECTION,
        word: "time::interval",
        why: "no timer per connection: the shard's wheel has the deadlines",
    },
    Ban {
        folders: PER_CONNECTION,
        word: "interval_at",
        why: "no timer per connection: the shard's wheel has the deadlines",
    },
    Ban {
        folders: PER_CONNECTION,
        word: "sleep(",
        why: "no timer per connection: the shard's wheel has the deadlines",
    },
    Ban {
        folders: PER_CONNECTION,
        word: "sleep_until(",
        why: "no timer per connection: the shard's wheel has the deadlines",
    },
    Ban {
        folders: PRODUCT,
        word: "axum::serve",
        why: "it has no time-out for headers: our own accept loop does",
    },
    Ban {
        folders: PRODUCT,
        word: "thread::sleep",
        why: "it blocks a worker of the runtime",
    },
    Ban {
        folders: PRODUCT,
        word: "unbounded_channel",
        why: "every queue has a bound and a behaviour at it",
    },
];

/// Calls that have a replacement.
pub(crate) fn calls(tree: &Tree) -> Vec<Finding> {
    let tests = modules::test_files(tree);
    let mut findings = Vec::new();
    for (path, file) in tree
        .rust_below("crates/")
        .filter(|(path, _)| path.contains("/src/") && !tests.contains(path))
    {
        let named = named_paths(&file.code);
        for ban in BANS
            .iter()
            .filter(|ban| ban.folders.iter().any(|f| path.starts_with(f)))
        {
            let lines = file.code.lines().enumerate();
            let by_line = lines
                .filter(|(_, line)| has_word(line, ban.word))
                .map(|(i, _)| i + 1);
            // Paths written out as well: `use tokio::{time::{interval}}` names it too.
            let by_path = named
                .iter()
                .filter(|n| has_word(&n.path, ban.word))
                .map(|n| n.line);
            let mut lines: Vec<usize> = by_line.chain(by_path).collect();
            lines.sort_unstable();
            lines.dedup();
            findings.extend(lines.into_iter().map(|line| Finding {
                path: path.to_owned(),
                line,
                what: ban.word.to_owned(),
                why: ban.why.to_owned(),
            }));
        }
    }
    findings
}

/// Marks of work that is not done. In pieces, because this file is checked too.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("HA", "CK:"),
];
const UNFINISHED_MACROS: &[&str] = &[concat!("to", "do!"), concat!("unimple", "mented!")];

/// Work that was left undone.
pub(crate) fn unfinished(tree: &Tree) -> Vec<Finding> {
    const SOURCES: &[&str] = &[
        ".rs", ".toml", ".mjs", ".js", ".ts", ".py", ".html", ".css", ".md", ".sh",
    ];
    let mut findings = Vec::new();
    for (path, file) in tree.files() {
        if !SOURCES.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        let mut look = |text: &str, marks: &[&str]| {
            for (index, line) in text.lines().enumerate() {
                if let Some(mark) = marks.iter().find(|mark| has_word(line, mark)) {
                    findings.push(Finding {
                        path: path.to_owned(),
                        line: index + 1,
                        what: (*mark).to_owned(),
                        why: "finish it, or say in the documents that it is not there".to_owned(),
                    });
                }
            }
        };
        look(&file.text, UNFINISHED);
        look(&file.code, UNFINISHED_MACROS);
    }
    findings
}

/// Whether `line` has `word` with no letter, digit or `_` before it, nor (unless it ends in
/// punctuation) after it. Declaring a function of that name is not calling it.
fn has_word(line: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let is_declared = line[..at].trim_end().ends_with("fn");
        !is_declared
            && !before.is_some_and(in_word)
            && (!word.ends_with(in_word) || !after.is_some_and(in_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str, text: &str) -> usize {
        calls(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_queue_or_a_timer_per_connection_is_caught() {
        for bad in [
            "let (tx, rx) = tokio::sync::mpsc::channel(8);",
            "use std::sync::mpsc;",
            "let mut t = tokio::time::interval(d);",
            "use tokio::{net, time::{Duration, interval}};",
            "tokio::time::sleep(d).await;",
            "sleep_until(t).await;",
        ] {
            assert_eq!(call("crates/server/src/transport/ws.rs", bad), 1, "{bad}");
        }
        assert_eq!(
            call("crates/core/src/hub/shard.rs", "use std::sync::mpsc;"),
            1
        );
    }

    #[test]
    fn elsewhere_and_in_tests_they_may_stand() {
        assert_eq!(
            call(
                "crates/server/src/shutdown.rs",
                "tokio::time::sleep(d).await;"
            ),
            0
        );
        assert_eq!(call("crates/core/tests/a.rs", "use std::sync::mpsc;"), 0);
        let tests = "#[cfg(test)]\nmod tests {\n    use std::sync::mpsc;\n}\n";
        assert_eq!(call("crates/core/src/a.rs", tests), 0);
        assert_eq!(
            call("crates/core/src/a.rs", "fn asleep(x: u8) {} // mpsc\n"),
            0
        );
        let declared = "    fn sleep(&self, time: Duration);\n";
        assert_eq!(call("crates/core/src/a.rs", declared), 0);
        let called = "    runtime.sleep(time).await;\n";
        assert_eq!(call("crates/core/src/a.rs", called), 1);
    }

    #[test]
    fn calls_without_a_bound_are_caught_anywhere() {
        assert_eq!(
            call("crates/server/src/listen.rs", "axum::serve(l, r).await"),
            1
        );
        assert_eq!(call("crates/cli/src/sub.rs", "std::thread::sleep(d);"), 1);
        assert_eq!(
            call(
                "crates/client/src/a.rs",
                "let x = mpsc::unbounded_channel();"
            ),
            1
        );
    }

    #[test]
    fn unfinished_work_is_caught() {
        let comment = format!("// {}: later\n", UNFINISHED[0]);
        let call = format!("fn f() {{ {}() }}\n", UNFINISHED_MACROS[1]);
        for bad in [comment.as_str(), call.as_str()] {
            assert_eq!(
                unfinished(&Tree::of(&[("crates/core/src/a.rs", bad)])).len(),
                1,
                "{bad}"
            );
        }
        assert_eq!(unfinished(&Tree::of(&[("README.md", &comment)])).len(), 1);
        let fine = "// mastodon, TODOS\nlet s = \"fixme\";\n";
        assert_eq!(unfinished(&Tree::of(&[("crates/core/src/a.rs", fine)])), []);
    }
}
