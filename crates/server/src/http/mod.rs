//! HTTP/1.1: from a request's head to its answer, or to the socket's departure.

pub(crate) mod connection;
/// For the fuzz targets; nothing that serves calls it.
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod handshake;
mod listen;
mod negotiate;
mod next;
mod once;
mod publish;
mod service;
mod target;
