//! Connections that begin with a PROXY protocol header: for whom are they?

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fanwire_proto::proxy::{self, Origin};

use crate::transport::{Stream, with_scratch};

/// Whose a connection is, as its header says, and what came behind that.
/// `address` is the proxy's own, which counts where the proxy speaks for itself
/// or cannot say for whom.
///
/// # Errors
/// A header that is none, or ends early, or is not whole within `time`: the
/// connection has to be closed, because nothing says what it is.
pub(crate) async fn client(
    stream: &mut Stream,
    address: IpAddr,
    time: Duration,
) -> io::Result<(IpAddr, Bytes)> {
    let (origin, rest) = tokio::time::timeout(time, read(stream)).await??;
    let client = match origin {
        Origin::Own => address,
        Origin::Client { source, .. } => source.ip().to_canonical(),
    };
    Ok((client, rest))
}

/// The header, and what came behind it.
async fn read(stream: &mut Stream) -> io::Result<(Origin, Bytes)> {
    let mut all = Vec::new();
    loop {
        let read = |cx: &mut Context<'_>| {
            with_scratch(|buffer| {
                let count = std::task::ready!(stream.poll_read(cx, buffer))?;
                all.extend_from_slice(&buffer[..count]);
                Poll::Ready(io::Result::Ok(count))
            })
        };
        if std::future::poll_fn(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match proxy::decode(&all) {
            Ok(None) => {}
            Ok(Some((origin, length))) => {
                return Ok((origin, Bytes::copy_from_slice(&all[length..])));
            }
            Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}
