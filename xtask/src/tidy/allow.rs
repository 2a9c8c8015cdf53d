//! Exceptions to the rules: `RULE PATH WHAT -- reason`, one a line; a PATH that ends in `/` means
//! everything below. An exception without a reason, or one that is needed no more, is itself a
//! finding.

use super::tree::Finding;

#[derive(Debug)]
struct Allowance {
    line: usize,
    rule: String,
    path: String,
    what: String,
    has_reason: bool,
    used: bool,
}

/// All exceptions, and which of them were used.
#[derive(Debug)]
pub(crate) struct Allowances(Vec<Allowance>);

impl Allowances {
    /// Reads the file; blank lines and lines that start with `#` say nothing.
    pub(crate) fn parse(text: &str) -> Allowances {
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        Allowances(
            lines
                .map(|(line, text)| {
                    let (rule, reason) = text.split_once("--").unwrap_or((text, ""));
                    let mut words = rule.split_whitespace().map(str::to_owned);
                    Allowance {
                        line,
                        rule: words.next().unwrap_or_default(),
                        path: words.next().unwrap_or_default(),
                        what: words.collect::<Vec<_>>().join(" "),
                        has_reason: !reason.trim().is_empty(),
                        used: false,
                    }
                })
                .collect(),
        )
    }

    /// Whether an exception covers this finding.
    pub(crate) fn allows(&mut self, rule: &str, finding: &Finding) -> bool {
        let mut allowed = false;
        for one in &mut self.0 {
            let covers = if one.path.ends_with('/') {
                finding.path.starts_with(&one.path)
            } else {
                finding.path == one.path
            };
            if one.rule == rule && covers && one.what == finding.what && one.has_reason {
                one.used = true;
                allowed = true;
            }
        }
        allowed
    }

    /// Exceptions that say no reason, or that cover nothing (any more).
    pub(crate) fn faults(&self, path: &str) -> Vec<Finding> {
        let faulty = self.0.iter().filter(|one| !one.used);
        faulty
            .map(|one| Finding {
                path: path.to_owned(),
                line: one.line,
                what: format!("{} {} {}", one.rule, one.path, one.what),
                why: if one.has_reason {
                    "nothing needs it any more: take it out".to_owned()
                } else {
                    "say why, after `--`".to_owned()
                },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str, what: &str) -> Finding {
        Finding {
            path: path.to_owned(),
            line: 1,
            what: what.to_owned(),
            why: String::new(),
        }
    }

    #[test]
    fn an_exception_covers_its_file_or_folder_and_nothing_else() {
        let mut all =
            Allowances::parse("# why\nbans a/b.rs mpsc -- one queue\nbans c/ sleep( -- x\n");
        assert!(all.allows("bans", &finding("a/b.rs", "mpsc")));
        assert!(!all.allows("bans", &finding("a/b.rs", "sleep(")));
        assert!(!all.allows("other", &finding("a/b.rs", "mpsc")));
        assert!(all.allows("bans", &finding("c/d/e.rs", "sleep(")));
        assert_eq!(all.faults("f"), []);
    }

    #[test]
    fn an_exception_without_a_reason_or_without_use_is_a_finding() {
        let mut all = Allowances::parse("bans a.rs mpsc\nbans b.rs mpsc -- needed once\n");
        assert!(!all.allows("bans", &finding("a.rs", "mpsc")));
        let faults = all.faults("f");
        assert_eq!(faults.len(), 2);
        assert!(faults[0].why.contains("why") && faults[1].why.contains("take it out"));
    }
}
