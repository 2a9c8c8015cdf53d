//! Listening sockets, and what every accepted one is set to.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Bytes that may wait unsent in the kernel for one connection: what is beyond
/// stays in our outbox, where it is counted and can be shared.
const NOTSENT_LOWAT: u32 = 64 * 1024;

/// The kernel waits for an acknowledgement longer than a subscriber for write
/// progress, by this part of it (75 s for 60 s): it counts zero-window probes
/// too, and the server's own verdict, which says a code, should come first.
const USER_TIMEOUT_MARGIN: u32 = 4;

/// A listening socket on `address`.
///
/// # Errors
/// With the address in the text.
pub(crate) fn listen(address: SocketAddr, backlog: usize) -> io::Result<TcpListener> {
    let bound = || {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the connections of its predecessor.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into())
    };
    bound().map_err(|error| {
        let text = format!("cannot listen on {address}: {error}");
        io::Error::new(error.kind(), text)
    })
}

/// Sets an accepted socket's options. A socket that takes none of them is gone
/// already, and its first read will tell.
pub(crate) fn tune(stream: &TcpStream, write_progress: Duration) {
    let socket = SockRef::from(stream);
    let set = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_notsent_lowat(NOTSENT_LOWAT))
        .and_then(|()| {
            socket.set_tcp_user_timeout(Some(write_progress + write_progress / USER_TIMEOUT_MARGIN))
        })
        // For peers that only listen: nothing of theirs ever tells that they live.
        .and_then(|()| {
            let probes = TcpKeepalive::new()
                .with_time(Duration::from_secs(60))
                .with_interval(Duration::from_secs(15));
            socket.set_tcp_keepalive(&probes)
        });
    if let Err(error) = set {
        tracing::debug!(%error, "socket options");
    }
}
