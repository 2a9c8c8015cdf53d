//! Every decoder under arbitrary bytes.
//!
//! A target is a plain function that panics where a property does not hold:
//! no input panics, what was cut anywhere reads as in one piece, what was
//! written reads back, another implementation says the same. `cargo xtask fuzz`
//! runs them under libFuzzer; the tests of this package replay the committed
//! corpus and mutations of it.
//!
//! | module | what it is |
//! |---|---|
//! | [`targets`] | the targets |
//! | [`input`] | bytes turned into what a target needs |
//! | [`peer`] | the same work done by another implementation |

pub mod input;
pub mod peer;
pub mod targets;

pub use targets::{TARGETS, Target};
