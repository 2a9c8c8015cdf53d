//! The load: one thread, one epoll, thousands of clients. It is lean enough to
//! drive a server to the limit of its core, because it looks for markers in
//! what it receives and parses next to nothing.
//!
//! | file | what it does |
//! |---|---|
//! | [`engine`] | the loop; opening, cutting, stalling clients |
//! | [`wire`] | connections: made, read, written, lost |
//! | [`link`] [`http2`] | one TCP connection, with TLS and HTTP/2 where there are |
//! | [`send`] | requests, messages and posts |
//! | [`receive`] | heads, frames, streams and polls |
//! | [`walk`] | frames of a WebSocket, as far as pings need it |
//! | [`ledger`] | who has heard what: lost, doubled, out of order |
//! | [`meter`] | what is counted, and the window in which it counts |
//! | [`schedule`] | what is due when |

mod client;
mod engine;
mod http2;
mod ledger;
mod link;
mod meter;
mod receive;
mod schedule;
mod send;
mod walk;
mod wire;

pub(crate) use engine::{Engine, Open, Setup};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use http2::told;
pub(crate) use meter::{Spent, histogram, micros};
pub(crate) use schedule::Schedule;
