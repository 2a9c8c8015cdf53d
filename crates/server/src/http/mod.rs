//! HTTP: from a request's head to its answer, or to the socket's departure.
//! HTTP/1.1 leaves hyper wherever something is waited for; HTTP/2 stays, and so does
//! what somebody else's server brings.

mod api;
mod ask;
mod coming;
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
mod mount;
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
mod stay;
mod target;
mod timer;
mod wait;

pub use mount::{MountedBody, MountedService};
pub(crate) use paths::{Paths, Serves};
pub(crate) use routes::Routes;
pub use routes::{Client, RequestBody};
