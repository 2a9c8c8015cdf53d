//! Sockets without blocking, and waiting for many of them (epoll), by safe
//! wrappers of the system calls alone; TLS for what goes over them.

mod buffer;
mod poller;
mod tcp;
mod tls;

pub(crate) use buffer::OutBuffer;
pub(crate) use poller::{Poller, Ready};
pub(crate) use tcp::{Connect, accept, connect, listen};
pub(crate) use tls::{Session, Tls};
