//! What a namespace grants to all its verified users, on patterns in which
//! `{sub}` stands for whoever asks.
//!
//! A pattern is the name of a channel, without its namespace, compared byte by
//! byte like any other: nothing is decoded or normalised. `{sub}` may stand in it
//! once, and `*` at its very end, for any rest:
//!
//! | pattern | grants to the user `ada` | does not grant |
//! |---|---|---|
//! | `inbox-{sub}` | `inbox-ada` | `inbox-adam`, `inbox-Ada`, `inbox-ada ` |
//! | `desk-{sub}/*` | `desk-ada/`, `desk-ada/a` | `desk-ada`, `desk-adam/a` |
//! | `lobby`, `room-*` | as they read | |
//!
//! What stands for `{sub}` is text and never a pattern. **No channel is granted to
//! two users by patterns with `{sub}`**, whatever they are called: what stands
//! before `{sub}` is the same in two patterns of a namespace, or neither begins
//! like the other; `*` does not follow `{sub}` directly; and who has in their name
//! a character that directly follows `{sub}` in any of the patterns is granted
//! nothing by them (with `desk-{sub}/*`, a user `ada/x` could else write where
//! `ada` does).

use std::fmt;
use std::sync::Arc;

use crate::key::{Key, Name};
use crate::limits::MAX_NAME;

/// Patterns of one namespace, at most.
pub const MAX_PATTERNS: usize = 100;

/// The text that stands for the user.
const SUB: &str = "{sub}";

/// A pattern of names; see the module.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pattern {
    /// The whole of it, or what stands before `{sub}`.
    head: Box<str>,
    /// What stands behind `{sub}`; none: it has none.
    tail: Option<Box<str>>,
    /// Any rest may follow.
    open: bool,
}

/// Whoever asks.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// `sub`.
    pub id: &'a str,
    /// `iss`.
    pub issuer: Option<&'a str>,
}

/// What is granted to all verified users of a namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserRules {
    publish: Vec<Pattern>,
    subscribe: Vec<Pattern>,
    history: Vec<Pattern>,
    issuer: Option<Arc<str>>,
    /// What no user may have in their name for whom `{sub}` is to stand.
    separators: Vec<char>,
}

/// The patterns of a namespace, as they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patterns<'a> {
    /// Where all may publish.
    pub publish: &'a [String],
    /// Where all may listen.
    pub subscribe: &'a [String],
    /// Where all may read what was; none: as `subscribe`.
    pub history: &'a [String],
}

/// Why patterns cannot be taken; the pattern, and a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidPattern {
    /// As it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (stem, open) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        if stem.contains('*') {
            return Err("'*' stands at the end of a pattern only");
        }
        let (head, tail) = match stem.split_once(SUB) {
            Some((head, tail)) => (head, Some(tail)),
            None => (stem, None),
        };
        if [head, tail.unwrap_or_default()]
            .iter()
            .any(|part| part.contains(['{', '}']))
        {
            return Err("{sub} stands in a pattern once, and no other braces do");
        }
        if open && tail == Some("") {
            return Err(
                "'*' right behind {sub} would grant what belongs to others; put a character between",
            );
        }
        // As it would read for somebody, so that what could never match is told.
        let example = match (tail, open) {
            (Some(tail), _) => format!("{head}x{tail}"),
            (None, true) => format!("{head}x"),
            (None, false) => head.to_owned(),
        };
        if example.len() > MAX_NAME {
            return Err("a channel name has 1 to 255 bytes");
        }
        Name::new(&example).map_err(|why| why.0)?;
        Ok(Self {
            head: head.into(),
            tail: tail.map(Into::into),
            open,
        })
    }

    /// Whether it covers a name for `id`; without one, `{sub}` stands for nobody.
    fn covers(&self, id: Option<&str>, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&*self.head) else {
            return false;
        };
        let rest = match (&self.tail, id) {
            (None, _) => Some(rest),
            (Some(tail), Some(id)) => rest
                .strip_prefix(id)
                .and_then(|rest| rest.strip_prefix(&**tail)),
            (Some(_), None) => None,
        };
        rest.is_some_and(|rest| self.open || rest.is_empty())
    }
}

impl UserRules {
    /// Reads the patterns. `{sub}` stands for users of `issuer` alone, exactly as
    /// their tokens say it (none: those whose tokens say none): two issuers' users
    /// may have one name.
    ///
    /// # Errors
    /// The first pattern that breaks the rules above.
    pub fn new(issuer: Option<Arc<str>>, written: Patterns<'_>) -> Result<Self, InvalidPattern> {
        let read = |all: &[String]| {
            let parsed = all.iter().map(|text| {
                Pattern::parse(text).map_err(|why| InvalidPattern {
                    pattern: text.clone(),
                    why,
                })
            });
            parsed.collect::<Result<Vec<_>, _>>()
        };
        let (publish, subscribe) = (read(written.publish)?, read(written.subscribe)?);
        let history = match written.history {
            [] => subscribe.clone(),
            history => read(history)?,
        };
        let all = || publish.iter().chain(&subscribe).chain(&history);
        let texts = || {
            let first = written.publish.iter().chain(written.subscribe);
            first.chain(written.history)
        };
        let wrong = |text: &str, why| InvalidPattern {
            pattern: text.to_owned(),
            why,
        };
        if let Some(over) = texts().nth(MAX_PATTERNS) {
            return Err(wrong(over, "a namespace has at most 100 such patterns"));
        }
        let personal = || all().filter(|pattern| pattern.tail.is_some());
        for text in texts() {
            let Some((head, _)) = text.split_once(SUB) else {
                continue;
            };
            let clashes = |other: &&Pattern| {
                let (one, two) = (head.as_bytes(), other.head.as_bytes());
                one != two && (one.starts_with(two) || two.starts_with(one))
            };
            if personal().any(|other| clashes(&other)) {
                let why = "begins like another pattern with {sub}: one user's channel could be \
                           another's; let what stands before {sub} be the same, or differ from its start";
                return Err(wrong(text, why));
            }
        }
        let separators = personal().filter_map(|pattern| pattern.tail.as_deref()?.chars().next());
        let mut separators: Vec<char> = separators.collect();
        separators.sort_unstable();
        separators.dedup();
        Ok(Self {
            publish,
            subscribe,
            history,
            issuer,
            separators,
        })
    }

    /// Whether all users, or this one, may publish to `key`.
    pub fn publish(&self, who: Who<'_>, key: &Key) -> bool {
        self.grants(&self.publish, who, key)
    }

    /// Whether all users, or this one, may listen to `key`.
    pub fn subscribe(&self, who: Who<'_>, key: &Key) -> bool {
        self.grants(&self.subscribe, who, key)
    }

    /// Whether all users, or this one, may read what was sent to `key`.
    pub fn history(&self, who: Who<'_>, key: &Key) -> bool {
        self.grants(&self.history, who, key)
    }

    fn grants(&self, patterns: &[Pattern], who: Who<'_>, key: &Key) -> bool {
        let Key::Channel(_, name) = key else {
            return false;
        };
        let named = !who.id.is_empty()
            && who.issuer == self.issuer.as_deref()
            && !who.id.contains(&self.separators[..]);
        let id = named.then_some(who.id);
        patterns
            .iter()
            .any(|pattern| pattern.covers(id, name.as_str()))
    }
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.pattern, self.why)
    }
}

impl std::error::Error for InvalidPattern {}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
