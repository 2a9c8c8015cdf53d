//! `fanwire demo`: the servers that everyone learns real-time communication from, each
//! in a file of its own, on the public API of the crate [`fanwire`] alone.
//!
//! | file | what it serves |
//! |---|---|
//! | `one_order` | one channel by every transport: `/c/relay:all` |
//! | `long_polling` | `/messages` |
//! | `events` | `/events…`, `/broadcast` |
//! | `chat` | Socket.IO at `/` |
//! | `web_socket` | WebSockets at `/` |
//! | `dashboard` | `/dashboard/…` |
//! | `game` | `/c/game:arena` |
//! | `ticker` | `/ticker` |
//!
//! `pages` gives each a page and shows its source.

mod chat;
mod cors;
mod dashboard;
mod demo;
mod events;
pub mod game;
mod log_tail;
mod long_polling;
mod one_order;
mod pages;
mod problem;
mod recent;
mod serve;
mod ticker;
mod time;
mod timings;
mod web_socket;

pub use log_tail::LogTail;
pub use serve::{Options, start};
pub use timings::Timings;
