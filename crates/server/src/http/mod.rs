//! HTTP: from a request's head to its answer, or to the socket's departure.
//! HTTP/1.1 leaves hyper wherever something is waited for; HTTP/2 stays.

mod api;
mod ask;
pub(crate) mod connection;
mod engineio;
/// For the fuzz targets; nothing that serves calls it.
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod handshake;
mod http2;
mod listen;
mod listing;
mod negotiate;
mod next;
mod once;
mod paths;
mod pour;
mod publish;
mod reload;
mod routes;
mod service;
mod sniff;
mod target;
mod timer;
mod wait;

pub(crate) use paths::{Paths, Serves};
pub(crate) use routes::Routes;
pub use routes::{Client, RequestBody};
