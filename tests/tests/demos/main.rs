//! The servers of `fanwire demo`, over real sockets, with short times.
#![allow(clippy::unwrap_used)]

mod chat;
mod dashboard;
mod demos;
mod events;
mod game;
mod long_polling;
mod ticker;
mod web_socket;
