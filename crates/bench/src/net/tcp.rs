//! TCP sockets as a load generator needs them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::error::{Error, Result};

/// Connections from one source address: below the ephemeral ports that Linux
/// has by default (28,232).
const PER_SOURCE: usize = 20_000;
/// Source addresses: 127.0.0.1 and those after it, over and over.
const SOURCES: usize = 200;
/// Waiting connections that the kernel keeps for a listener.
const BACKLOG: i32 = 4096;

/// How a connection is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect {
    /// The how-many-th it is: every 20,000 the source address changes, where
    /// the server is on loopback.
    pub(crate) index: usize,
    /// A receive buffer of this many bytes instead of the system's own.
    pub(crate) receive_buffer: Option<usize>,
}

/// Starts a connection. It is made, or failed, once the socket is writable.
///
/// The socket is reset when it is closed, so that thousands of them leave no
/// port waiting behind.
pub(crate) fn connect(to: SocketAddr, how: Connect) -> Result<OwnedFd> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let fd = net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )
    .map_err(|error| Error::from(error).doing("opening a socket"))?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    sockopt::set_socket_linger(&fd, Some(Duration::ZERO))?;
    if let Some(bytes) = how.receive_buffer {
        sockopt::set_socket_recv_buffer_size(&fd, bytes)?;
    }
    let source = how.index / PER_SOURCE % SOURCES;
    if source > 0 && to.ip().is_loopback() && to.is_ipv4() {
        let address = Ipv4Addr::new(127, 0, 0, 1 + source as u8);
        net::bind(&fd, &SocketAddrV4::new(address, 0))?;
    }
    match net::connect(&fd, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(Error::from(error).doing(format_args!("connecting to {to}"))),
    }
}

/// A listener on loopback; port 0 takes a free one. Gives it with its port.
pub(crate) fn listen(port: u16) -> Result<(OwnedFd, u16)> {
    let fd = net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    net::bind(&fd, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    net::listen(&fd, BACKLOG)?;
    let name: SocketAddr = net::getsockname(&fd)?
        .try_into()
        .map_err(|_| Error::new("the listener has no address"))?;
    Ok((fd, name.port()))
}

/// The next waiting connection, if there is one.
pub(crate) fn accept(listener: impl AsFd) -> Result<Option<OwnedFd>> {
    match net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(fd) => {
            sockopt::set_tcp_nodelay(&fd, true)?;
            Ok(Some(fd))
        }
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_source_address_changes_before_its_ports_run_out() {
        let (listener, port) = listen(0).unwrap();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let source = |index: usize| -> String {
            let how = Connect {
                index,
                receive_buffer: None,
            };
            let fd = connect(to, how).unwrap();
            let from: SocketAddr = net::getsockname(&fd).unwrap().try_into().unwrap();
            from.ip().to_string()
        };
        assert_eq!(source(PER_SOURCE - 1), "127.0.0.1");
        assert_eq!(source(PER_SOURCE), "127.0.0.2");
        assert_eq!(source(PER_SOURCE * SOURCES - 1), "127.0.0.200");
        assert_eq!(source(PER_SOURCE * SOURCES), "127.0.0.1");
        drop(listener);
    }
}
