//! Engine.IO (version 4): sessions over long polling and WebSocket, with the upgrade from
//! one to the other. `fanwire_proto::engineio` says what bytes mean and what a session
//! does; here are its sockets.

mod echo;
mod engine;
mod outlet;
mod poll;
mod reason;
mod registry;
mod talk;
mod web_socket;

pub(crate) use echo::Echo;
pub(crate) use engine::{Engine, Handshake, Opening};
pub(crate) use poll::{Ticket, packets};
pub(crate) use reason::Reason;
pub(crate) use registry::{Serving, Sid, drain};
pub(crate) use talk::{Host, Talk};
pub(crate) use web_socket::{Granted, serve};
