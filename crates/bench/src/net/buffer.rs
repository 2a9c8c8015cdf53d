//! What is still to be written to a socket.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{self, SendFlags};

/// Bytes that wait for room in the socket. Empty costs no memory but itself.
#[derive(Debug, Default)]
pub(crate) struct OutBuffer {
    bytes: Vec<u8>,
    written: usize,
}

impl OutBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes `bytes` now as far as the socket takes them, and keeps the rest.
    pub(crate) fn write(&mut self, fd: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        if self.is_empty() {
            done = send(fd, bytes)?;
        }
        self.push(&bytes[done..]);
        Ok(())
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self, fd: impl AsFd) -> Result<(), Errno> {
        if !self.is_empty() {
            self.written += send(fd, &self.bytes[self.written..])?;
        }
        if self.is_empty() {
            self.written = 0;
            self.bytes.clear();
        }
        Ok(())
    }
}

/// Writes once; gives how many bytes went.
fn send(fd: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    match net::send(fd, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error),
    }
}
