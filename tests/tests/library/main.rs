//! The library from outside: what code of a server's own does for the clients of
//! every transport.
#![allow(clippy::unwrap_used)]

mod around;
mod events;
mod examples;
mod extractors;
mod greeting;
mod heads;
mod history;
mod mounted;
mod paths;
mod posts;
mod refused;
mod routes;
mod streams;
mod visits;
