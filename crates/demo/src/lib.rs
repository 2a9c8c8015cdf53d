//! `fanwire demo`: the servers that everyone learns real-time communication from, each
//! in a file of its own, on the public API of the crate [`fanwire`] alone.
//!
//! | file | what it serves |
//! |---|---|
//! | [`long_polling`] | `/messages` |
//!
//! [`pages`] gives each a page and shows its source.

mod demo;
mod long_polling;
mod pages;
mod serve;
mod time;
mod timings;

pub use serve::{Options, start};
pub use timings::Timings;
