//! What carries bytes once a socket has left hyper: event streams, parked
//! polls and WebSockets.
//!
//! A connection has one task. In *shard-writes* mode (plain TCP) that task only
//! reads and waits for room; the shard writes. In *pull* mode the task writes
//! too, from a bounded outbox that the shard fills. [`port::Port`] is the one
//! place where the two differ.

mod depart;
mod link;
mod listed;
mod park;
mod port;
mod prove;
mod publish;
mod publishing;
mod renew;
mod rest;
mod stream;
mod web_socket;

pub(crate) use depart::{
    Answering, Back, Departure, Judged, Promised, Purpose, Said, depart, promise, refused_by_code,
    rest, wait,
};
pub(crate) use link::{Link, PullWriter, Signal, send};
pub(crate) use listed::Listed;
pub(crate) use prove::{Unproven, prove};
pub(crate) use stream::{Stream, linger, with_scratch};
pub(crate) use web_socket::{Assembly, poll_echo};
