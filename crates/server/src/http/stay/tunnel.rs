//! A WebSocket's stream, which hyper gives away once the answer is out: a stream of
//! HTTP/2 (RFC 8441), or a connection that was upgraded. Bytes in both directions, as a
//! socket's.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::rt::{Read as _, ReadBuf as HyperBuf, Write as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;
use crate::app::{App, Peer};
use crate::engineio::{self, Granted};
use crate::transport::{Promised, Stream, Unproven, linger, prove};

/// Bytes handed to hyper at once, which keeps two such pieces for a peer whose
/// window is shut.
const PIECE: usize = 16 * 1024;

/// The stream, once hyper has said yes on it.
struct Tunnel {
    upgraded: Upgraded,
    progress: Arc<Progress>,
}

impl Drop for Tunnel {
    /// hyper still holds what it was given, until the peer takes it.
    fn drop(&mut self) {
        self.progress.abandon();
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = HyperBuf::new(buffer.initialize_unfilled());
        ready!(Pin::new(&mut self.upgraded).poll_read(cx, inner.unfilled()))?;
        let count = inner.filled().len();
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        Pin::new(&mut self.upgraded).poll_write(cx, piece)
    }

    /// Small units become one frame.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [] => Poll::Ready(Ok(0)),
            [one] => self.poll_write(cx, one),
            many => {
                let mut piece = Vec::with_capacity(PIECE);
                for slice in many {
                    let room = PIECE - piece.len();
                    piece.extend_from_slice(&slice[..slice.len().min(room)]);
                }
                self.poll_write(cx, &piece)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.upgraded).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.upgraded).poll_shutdown(cx)
    }
}

/// Goes on with a WebSocket as soon as the answer is out. Where none goes out,
/// its subscriber is let go.
pub(super) fn open(stream: OnUpgrade, promised: Promised, progress: Arc<Progress>) {
    tokio::spawn(async move {
        if let Some(stream) = arrived(stream, progress).await {
            promised.on(stream).await;
        }
    });
}

/// The same for a WebSocket that is to show in its first frame whose it is.
pub(super) fn prove_first(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: OnUpgrade,
    unproven: Unproven,
    progress: Arc<Progress>,
) {
    tokio::spawn(async move {
        if let Some(stream) = arrived(stream, progress).await {
            prove(app, peer, stream, Bytes::new(), unproven);
        }
    });
}

/// The same for a WebSocket of an Engine.IO session.
pub(super) fn engine(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: OnUpgrade,
    granted: Granted,
    progress: Arc<Progress>,
) {
    tokio::spawn(async move {
        if let Some(stream) = arrived(stream, progress).await {
            engineio::serve(app, peer, stream, &[], granted.without_head()).await;
        }
    });
}

/// Says a WebSocket's last words as soon as the answer is out.
pub(super) fn say_last(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: OnUpgrade,
    words: Bytes,
    progress: Arc<Progress>,
) {
    tokio::spawn(async move {
        let wait = app.config.ws.close_wait;
        let Some(mut stream) = arrived(stream, progress).await else {
            return;
        };
        let written = tokio::time::timeout(wait, stream.write_all(&words)).await;
        if matches!(written, Ok(Ok(()))) {
            linger(stream, wait).await;
        }
        drop(peer);
    });
}

async fn arrived(stream: OnUpgrade, progress: Arc<Progress>) -> Option<Stream> {
    let upgraded = stream.await.ok()?;
    Some(Stream::Other(Box::pin(Tunnel { upgraded, progress })))
}
