//! What the pages know of a demo.

/// A demo, as the index shows it.
pub(crate) struct Demo {
    /// Its path: `/demo/<name>`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What it shows, in one sentence.
    pub(crate) shows: &'static str,
    /// What it speaks: requests, transports.
    pub(crate) by: &'static str,
    /// What stands between header and footer of its page.
    pub(crate) body: &'static str,
    /// A module of JavaScript.
    pub(crate) script: &'static str,
    /// Its Rust, by file name, the one to be read first in front.
    pub(crate) source: &'static [(&'static str, &'static str)],
}
