//! A connection's bytes, before and after hyper.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of the buffer that all connections of a thread read into.
const SCRATCH: usize = 16 * 1024;

/// Bytes that a closing connection still takes from its peer, to throw away.
const LINGER_BYTES: usize = 256 * 1024;

/// Any stream of bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A connection's byte stream.
pub(crate) enum Stream {
    /// Plain TCP: shared, so that a shard can write while the task reads.
    Tcp(Arc<TcpStream>),
    /// TLS, a stream of HTTP/2, or anything else.
    Other(Pin<Box<dyn Duplex>>),
}

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// Lends the thread's read buffer: a connection keeps none while it is idle.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    READ.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => work(&mut scratch),
        // Lent already, further up this thread's stack.
        Err(_) => work(&mut [0; 1024]),
    })
}

impl Stream {
    /// Reads what is there; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => loop {
                ready!(tcp.poll_read_ready(cx))?;
                // What did not fill the buffer emptied the socket: saying so to
                // the runtime here spares a second call that finds nothing. The
                // kernel tells of whatever comes later, and an end that came
                // along is not forgotten.
                let mut emptied = None;
                let read = tcp.try_io(Interest::READABLE, || {
                    let count = rustix::io::read(&**tcp, &mut *buffer)?;
                    if (1..buffer.len()).contains(&count) {
                        emptied = Some(count);
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    Ok(count)
                });
                match (read, emptied) {
                    (Err(_), Some(count)) => return Poll::Ready(Ok(count)),
                    (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => {}
                    (result, _) => return Poll::Ready(result),
                }
            },
            Self::Other(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(stream.as_mut().poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// Writes what the peer takes.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => loop {
                ready!(tcp.poll_write_ready(cx))?;
                match tcp.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Other(stream) => stream.as_mut().poll_write_vectored(cx, slices),
        }
    }

    /// Pushes on what the stream itself holds back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Other(stream) => stream.as_mut().poll_flush(cx),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Poll::Ready(socket2::SockRef::from(&**tcp).shutdown(Shutdown::Write)),
            Self::Other(stream) => stream.as_mut().poll_shutdown(cx),
        }
    }

    /// Says that nothing more will be written, where that can be said at once:
    /// for ends that wait for nobody. A plain socket says so by its close.
    pub(crate) fn say_goodbye(&mut self) {
        if let Self::Other(stream) = self {
            let cx = &mut Context::from_waker(Waker::noop());
            let _ = stream.as_mut().poll_shutdown(cx);
        }
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let slice = [IoSlice::new(bytes)];
            let taken = std::future::poll_fn(|cx| self.poll_write(cx, &slice)).await?;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[taken..];
        }
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }
}

/// Ends a connection so that its last bytes arrive: closing a socket whose
/// receive buffer is not empty resets it, and a reset may overtake what was
/// written. So: no more from us, then what the peer still sends is read and
/// dropped until it ends too, for at most `time`.
pub(crate) async fn linger(mut stream: Stream, time: Duration) {
    let goodbye = async {
        std::future::poll_fn(|cx| stream.poll_shutdown(cx)).await?;
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            let read = |cx: &mut Context<'_>| with_scratch(|buffer| stream.poll_read(cx, buffer));
            match std::future::poll_fn(read).await? {
                0 => break,
                count => dropped += count,
            }
        }
        io::Result::Ok(())
    };
    // Whether it ended well makes no difference now.
    let _ = tokio::time::timeout(time, goodbye).await;
}
