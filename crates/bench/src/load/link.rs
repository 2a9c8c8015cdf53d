//! One TCP connection, with TLS and HTTP/2 where its transport has them.

use std::os::fd::OwnedFd;

use super::http2::Http2;
use crate::error::Result;
use crate::net::{OutBuffer, Session};

/// One TCP connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) fd: OwnedFd,
    /// TCP is not there yet.
    pub(super) connecting: bool,
    /// Requests may go out.
    pub(super) ready: bool,
    pub(super) out: OutBuffer,
    /// What epoll watches for: reading, writing.
    pub(super) interest: (bool, bool),
    pub(super) tls: Option<Box<Session>>,
    pub(super) http2: Option<Box<Http2>>,
}

impl Link {
    /// One whose connection is on its way.
    pub(super) fn new(fd: OwnedFd, tls: Option<Session>, http2: bool) -> Link {
        let http2 = http2.then(|| Box::new(Http2::new(tls.is_some())));
        Link {
            fd,
            connecting: true,
            ready: false,
            out: OutBuffer::default(),
            interest: (true, true),
            tls: tls.map(Box::new),
            http2,
        }
    }

    /// Writes bytes of HTTP; gives how many TCP carries for them. None: the
    /// connection is gone.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            return Ok(self.out.write(&self.fd, bytes).ok().map(|()| bytes.len()));
        };
        let mut sealed = Vec::with_capacity(bytes.len() + 64);
        tls.seal(bytes, &mut sealed)?;
        if sealed.is_empty() {
            return Ok(Some(0));
        }
        Ok(self
            .out
            .write(&self.fd, &sealed)
            .ok()
            .map(|()| sealed.len()))
    }
}
