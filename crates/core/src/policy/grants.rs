//! What a token, or a namespace's rules, let a user do: rights on patterns.

use std::fmt;

use crate::key::{InvalidKey, Key, Name, Namespace};

/// Patterns of one subject, at most; a token with more is refused.
pub const MAX_GRANTS: usize = 1_000;

/// One thing that can be granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Right {
    /// Send messages.
    Publish,
    /// Hear live.
    Subscribe,
    /// Read what was: history, resume, rewind. Of use together with
    /// [`Right::Subscribe`] only.
    History,
    /// See who is there.
    Presence,
    /// Ask the server's own code.
    Call,
}

/// Which keys: one, all whose name begins so, or every channel of a namespace.
///
/// The text form is a key's own (see [`Key::parse`]), compared byte by byte:
/// case counts, nothing is decoded or normalised, `/`, `..`, `#` and blanks mean
/// nothing. A `*` at the very end stands for any rest, also none:
///
/// | text | matches | does not match |
/// |---|---|---|
/// | `news` | `news` | `news2`, `News`, `chat:news` |
/// | `news-*` | `news-`, `news-a`, `news-a/../b` | `news`, `chat:news-a` |
/// | `chat:*` | every channel of `chat` | `chat:@all`, `chat2:a`, `chat/x:a` |
/// | `*` | every channel of the default namespace | `@all`, `chat:a` |
/// | `*:*` | every channel of every namespace | any `@all` |
/// | `chat:@all` | everyone in `chat` | any channel |
///
/// A `*` anywhere else is refused; so a channel whose own name ends with `*` can
/// be granted by a prefix only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// One key.
    Exactly(Key),
    /// Channels of a namespace whose name begins so; the empty text is all.
    Prefix(Namespace, Box<str>),
    /// Every channel.
    Everything,
}

/// Patterns, each with its rights. The order does not matter: there is nothing
/// that takes a right away again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grants(Vec<(Rights, Pattern)>);

/// A set of [`Right`].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u8);

/// Why grants cannot be taken over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidGrant {
    /// A pattern breaks the rules above.
    Pattern(InvalidKey),
    /// More than [`MAX_GRANTS`].
    TooMany,
}

impl Right {
    /// All rights, in the order in which they are documented.
    pub const ALL: [Self; 5] = [
        Self::Publish,
        Self::Subscribe,
        Self::History,
        Self::Presence,
        Self::Call,
    ];

    /// The word in a claim and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Call => "call",
        }
    }

    /// The right of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == word)
    }
}

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);

    /// Also this one.
    #[must_use]
    pub fn and(self, right: Right) -> Self {
        Self(self.0 | 1 << right as u8)
    }

    /// Whether it is among them.
    pub fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Right::ALL.into_iter().filter(|right| self.has(*right));
        f.debug_set().entries(words.map(Right::as_str)).finish()
    }
}

impl Pattern {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`InvalidKey`] with a sentence for whoever wrote it.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let Some(stem) = text.strip_suffix('*') else {
            if text.contains('*') {
                return Err(InvalidKey("'*' stands at the end of a pattern only"));
            }
            return Key::parse(text.as_bytes()).map(Self::Exactly);
        };
        if stem == "*:" {
            return Ok(Self::Everything);
        }
        if stem.contains('*') {
            return Err(InvalidKey("'*' stands at the end of a pattern only"));
        }
        let (namespace, prefix) = match stem.split_once(':') {
            Some(("", prefix)) => (Namespace::root(), prefix),
            Some((namespace, prefix)) => (Namespace::new(namespace)?, prefix),
            None => (Namespace::root(), stem),
        };
        // Any beginning of a legal name: what could never match is a mistake.
        if !prefix.is_empty() && !matches!(prefix, "." | "..") {
            Name::new(prefix)?;
        }
        Ok(Self::Prefix(namespace, prefix.into()))
    }

    /// Whether it covers `key`.
    pub fn covers(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::Exactly(one), key) => one == key,
            (Self::Prefix(namespace, prefix), Key::Channel(of, name)) => {
                namespace == of && name.as_str().as_bytes().starts_with(prefix.as_bytes())
            }
            (Self::Everything, Key::Channel(..)) => true,
            (Self::Prefix(..) | Self::Everything, Key::All(_) | Key::Socket(..)) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(key) => key.fmt(f),
            Self::Everything => f.write_str("*:*"),
            Self::Prefix(namespace, prefix) if namespace.is_root() && !prefix.contains(':') => {
                write!(f, "{prefix}*")
            }
            Self::Prefix(namespace, prefix) => write!(f, "{}:{prefix}*", namespace.as_str()),
        }
    }
}

impl Grants {
    /// Grants nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds these rights on a pattern.
    ///
    /// # Errors
    /// A pattern that is none, or one more than [`MAX_GRANTS`].
    pub fn grant(&mut self, rights: Rights, pattern: &str) -> Result<(), InvalidGrant> {
        let pattern = Pattern::parse(pattern).map_err(InvalidGrant::Pattern)?;
        if self.0.len() >= MAX_GRANTS {
            return Err(InvalidGrant::TooMany);
        }
        self.0.push((rights, pattern));
        Ok(())
    }

    /// Whether `right` is granted on `key`.
    pub fn allow(&self, right: Right, key: &Key) -> bool {
        self.0
            .iter()
            .any(|(rights, pattern)| rights.has(right) && pattern.covers(key))
    }

    /// Each pattern with its rights.
    pub fn iter(&self) -> impl Iterator<Item = (Rights, &Pattern)> {
        self.0.iter().map(|(rights, pattern)| (*rights, pattern))
    }
}

impl fmt::Display for InvalidGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(why) => write!(f, "not a pattern of channels: {why}"),
            Self::TooMany => write!(f, "more than {MAX_GRANTS} patterns"),
        }
    }
}

impl std::error::Error for InvalidGrant {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn covers(pattern: &str, key: &str) -> bool {
        let key = Key::parse(key.as_bytes()).unwrap();
        Pattern::parse(pattern).unwrap().covers(&key)
    }

    #[test]
    fn a16_a_pattern_covers_exactly_what_its_table_says() {
        for (pattern, yes, no) in [
            (
                "news",
                &["news"][..],
                &["news2", "News", "new", "chat:news"][..],
            ),
            (
                "news-*",
                &["news-", "news-a", "news-a/../b", "news-é"],
                &["news", "News-a", "chat:news-a"],
            ),
            (
                "chat:*",
                &["chat:a"],
                &["chat:@all", "chat2:a", "chat/x:a", "a"],
            ),
            ("*", &["a", ":a:b"], &["@all", "chat:a"]),
            ("*:*", &["a", "chat:a"], &["@all", "chat:@all"]),
            ("chat:@all", &["chat:@all"], &["chat:all", "@all"]),
            (":user:*", &[":user:5"], &["user:5", ":users"]),
        ] {
            for key in yes {
                assert!(covers(pattern, key), "{pattern} {key}");
            }
            for key in no {
                assert!(!covers(pattern, key), "{pattern} {key}");
            }
        }
    }

    #[test]
    fn a16_lookalikes_are_other_names() {
        // NFC and NFD, a trailing blank, what a URL would decode once more.
        for (pattern, key) in [
            ("caf\u{e9}", "cafe\u{301}"),
            ("news", "news "),
            ("a/b", "a%2fb"),
            ("news", "#news"),
            ("news", "$news"),
        ] {
            assert!(!covers(pattern, key), "{pattern} {key}");
        }
    }

    #[test]
    fn a16_a_star_elsewhere_is_refused_not_taken_for_a_name() {
        for wrong in [
            "*a", "a*b", "a**", "*:a", "*:a*", "**", "", "chat:", "@x", "@*", "a\n*",
        ] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read() {
        for text in [
            "news",
            "news-*",
            "chat:*",
            "*",
            "*:*",
            "chat:@all",
            ":user:*",
            ":a:b",
        ] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_right_on_one_pattern_is_none_on_another() {
        let mut grants = Grants::none();
        let both = Rights::NONE.and(Right::Subscribe).and(Right::History);
        grants.grant(both, "news").unwrap();
        grants
            .grant(Rights::NONE.and(Right::Publish), "box-*")
            .unwrap();
        let ask = |right, key: &str| grants.allow(right, &Key::parse(key.as_bytes()).unwrap());
        assert!(ask(Right::Subscribe, "news") && ask(Right::History, "news"));
        assert!(!ask(Right::Publish, "news") && !ask(Right::Subscribe, "box-a"));
        assert!(ask(Right::Publish, "box-a") && !ask(Right::Presence, "news"));
    }

    #[test]
    fn grants_are_bounded() {
        let mut grants = Grants::none();
        for n in 0..MAX_GRANTS {
            grants.grant(Rights::NONE, &format!("c{n}")).unwrap();
        }
        assert_eq!(grants.grant(Rights::NONE, "x"), Err(InvalidGrant::TooMany));
    }
}
