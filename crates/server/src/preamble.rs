//! Connections that begin with a PROXY protocol header: for whom are they?

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use fanwire_proto::proxy::{self, Origin};

use crate::accept::admit;
use crate::app::App;
use crate::forwarded::is_proxy;
use crate::limit::Slot;
use crate::transport::{Stream, with_scratch};

/// A connection taken in from a proxy, before its header.
pub(crate) struct Newcomer {
    pub(crate) stream: Stream,
    /// The proxy's own.
    pub(crate) address: IpAddr,
    pub(crate) loopback: bool,
    pub(crate) slot: Slot,
    /// There are too many in all.
    pub(crate) over: bool,
}

/// Reads the header within the time for a head and goes on as the connection of
/// whom it names. One without a good header is closed: nothing says what it is.
pub(crate) async fn await_header(app: Arc<App>, newcomer: Newcomer) {
    let Newcomer {
        mut stream,
        address,
        loopback,
        mut slot,
        mut over,
    } = newcomer;
    let header = tokio::select! {
        () = app.stopping() => return,
        header = tokio::time::timeout(app.config.http.header_timeout, read(&mut stream)) => header,
    };
    let (origin, rest) = match header {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => {
            tracing::debug!(proxy = %address, %error, "no good PROXY header");
            return;
        }
        Err(_) => {
            tracing::debug!(proxy = %address, "the PROXY header came too slowly");
            return;
        }
    };
    let client = match origin {
        Origin::Own => address,
        Origin::Client { source, .. } => source.ip().to_canonical(),
    };
    // A proxy before this one says the rest in its requests.
    if !is_proxy(&app.config.access, client) {
        over |= slot.belongs_to(client).is_some();
    }
    admit(&app, stream, client, loopback, (slot, over), rest);
}

/// The header, and what came behind it.
async fn read(stream: &mut Stream) -> io::Result<(Origin, Bytes)> {
    let mut all = Vec::new();
    loop {
        let read = |cx: &mut Context<'_>| {
            with_scratch(|buffer| {
                let count = std::task::ready!(stream.poll_read(cx, buffer))?;
                all.extend_from_slice(&buffer[..count]);
                std::task::Poll::Ready(io::Result::Ok(count))
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
