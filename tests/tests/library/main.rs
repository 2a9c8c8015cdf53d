//! The library from outside: what code of a server's own does for the clients of
//! every transport.
#![allow(clippy::unwrap_used)]

mod events;
mod examples;
<<<<<<< HEAD
mod refused;
=======
mod extractors;
>>>>>>> 55a0bc7 (x)
mod routes;
mod streams;
