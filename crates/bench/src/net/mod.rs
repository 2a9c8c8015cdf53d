//! Sockets without blocking, and waiting for many of them (epoll), by safe
//! wrappers of the system calls alone.

mod buffer;
mod poller;
mod tcp;

pub(crate) use buffer::OutBuffer;
pub(crate) use poller::{Poller, Ready};
pub(crate) use tcp::{Connect, accept, connect, listen};
