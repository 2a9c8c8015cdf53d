//! Which namespaces are meant.

use std::fmt;

use fanwire_core::key::{InvalidKey, Namespace};

/// One namespace, or all whose name begins so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Pattern {
    Exactly(Namespace),
    Prefix(Box<str>),
}

impl Pattern {
    /// Reads `/`, `/chat` or `/room-*`.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidKey> {
        if let Some(stem) = text.strip_suffix('*') {
            let stem = stem.strip_prefix('/').unwrap_or(stem);
            let prefix = match stem {
                "" => "",
                stem => {
                    Namespace::new(stem)?;
                    stem
                }
            };
            return Ok(Self::Prefix(prefix.into()));
        }
        namespace(text).map(Self::Exactly)
    }

    /// Whether `namespace` is meant. No pattern means the default one.
    pub(crate) fn covers(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Exactly(one) => one == namespace,
            Self::Prefix(prefix) => {
                !namespace.is_root() && namespace.as_str().starts_with(&**prefix)
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(namespace) => write!(f, "/{}", namespace.as_str()),
            Self::Prefix(prefix) => write!(f, "/{prefix}*"),
        }
    }
}

/// Reads `/` or `/chat`.
pub(crate) fn namespace(text: &str) -> Result<Namespace, InvalidKey> {
    match text.strip_prefix('/').unwrap_or(text) {
        "" => Ok(Namespace::root()),
        name => Namespace::new(name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pattern_covers_names_that_begin_so_and_never_the_default_namespace() {
        let covers = |pattern: &str, name: &str| {
            let name = namespace(name).unwrap();
            Pattern::parse(pattern).unwrap().covers(&name)
        };
        assert!(covers("/", "/") && !covers("/", "/a"));
        assert!(covers("/chat", "/chat") && !covers("/chat", "/chat2"));
        assert!(covers("/room-*", "/room-1") && covers("/room-*", "/room-"));
        assert!(!covers("/room-*", "/rooms") && !covers("/room-*", "/"));
        assert!(covers("/*", "/x") && !covers("/*", "/"));
        assert!(Pattern::parse("/a b").is_err() && Pattern::parse("/a*b").is_err());
    }
}
