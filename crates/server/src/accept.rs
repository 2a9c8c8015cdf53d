//! The accept loop: takes connections in, within the limits, and survives the
//! want of descriptors.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::clock::Clock as _;
use fanwire_core::error::{Code, Refusal};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::app::{App, Peer, too_many};
use crate::clock::random;
use crate::forwarded::is_proxy;
use crate::http::connection;
use crate::limit::{Counts, Slot};
use crate::listen::tune;
use crate::preamble;
use crate::refused::{Via, Who};
use crate::shutdown::Stage;
use crate::tls::{self, Tls};
use crate::transport::Stream;

/// Connections over the limit that are still told so; more are just closed.
const TOLD: usize = 256;

/// Complaints about the same want are this far apart in the log.
const QUIET: Duration = Duration::from_secs(10);

/// Why a connection is not to be served.
enum Over {
    No,
    /// There are too many.
    Limit,
    /// They come too fast.
    TooFast(Refusal),
}

impl Over {
    fn is_over(&self) -> bool {
        !matches!(self, Self::No)
    }

    /// Where nothing is wrong yet: whether `address` connects too often.
    fn or_too_fast(self, app: &App, slot: &mut Slot, address: IpAddr) -> Self {
        if self.is_over() {
            return self;
        }
        match app.rates.connects(address, app.clock.now()) {
            Ok(()) => Self::No,
            Err(refusal) => {
                slot.is_over();
                Self::TooFast(refusal)
            }
        }
    }
}

/// What the connections of one listener have in common.
struct Door {
    app: Arc<App>,
    counts: Arc<Counts>,
    /// They speak TLS.
    tls: Option<Arc<Tls>>,
    /// They come by a loopback address.
    loopback: bool,
    /// They are operators': not in the way of anyone else, nor anyone in theirs.
    admin: bool,
}

/// Accepts from `listener` until the server stops. What waits to be accepted
/// then is taken in, to be told so; then the listener is closed.
pub(crate) async fn accept(
    app: Arc<App>,
    listener: TcpListener,
    counts: Arc<Counts>,
    tls: Option<Arc<Tls>>,
) {
    let door = Door::of(app, &listener, counts, tls, false);
    serve(&door, &listener, Stage::Draining).await;
    // Closing the listener would reset them.
    for (stream, from) in waiting(listener, door.app.config.listen.backlog) {
        take_in(&door, stream, from);
    }
}

/// The same for an address of operators, until all else is over: they may watch.
/// `counts` holds them alone.
pub(crate) async fn accept_operators(app: Arc<App>, listener: TcpListener, counts: Arc<Counts>) {
    let door = Door::of(app, &listener, counts, None, true);
    serve(&door, &listener, Stage::Over).await;
}

impl Door {
    fn of(
        app: Arc<App>,
        listener: &TcpListener,
        counts: Arc<Counts>,
        tls: Option<Arc<Tls>>,
        admin: bool,
    ) -> Arc<Self> {
        let address = listener.local_addr();
        Arc::new(Self {
            app,
            counts,
            tls,
            loopback: address.is_ok_and(|address| address.ip().to_canonical().is_loopback()),
            admin,
        })
    }
}

/// Takes in who comes, until the server's end has come to `last`.
async fn serve(door: &Arc<Door>, listener: &TcpListener, last: Stage) {
    let (app, counts) = (&door.app, &door.counts);
    let mut complained: Option<Instant> = None;
    let mut stopping = std::pin::pin!(app.reached(last));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => take_in(door, stream, from),
            Err(error) if is_want(&error) => {
                if complained.is_none_or(|at| at.elapsed() > QUIET) {
                    complained = Some(Instant::now());
                    tracing::error!(
                        %error,
                        connections = counts.total(),
                        "cannot accept; trying again until descriptors are free"
                    );
                } else {
                    tracing::debug!(%error, "still cannot accept");
                }
                tokio::select! {
                    () = &mut stopping => break,
                    () = tokio::time::sleep(back_off()) => {}
                }
            }
            // This one connection died before it was accepted.
            Err(error) => tracing::debug!(%error, "accept"),
        }
    }
}

/// The connections that wait to be accepted, at most `most`.
fn waiting(listener: TcpListener, most: usize) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    // The system is asked itself: the runtime may not have heard of them yet.
    let listener = listener.into_std().ok();
    let next = move || {
        let (stream, from) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, from))
    };
    std::iter::from_fn(next).take(most)
}

/// Out of descriptors or memory: accepting at once again would only spin.
fn is_want(error: &io::Error) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    matches!(
        error.raw_os_error(),
        Some(ENOMEM | ENFILE | EMFILE | ENOBUFS)
    )
}

/// 50 to 100 ms.
fn back_off() -> Duration {
    Duration::from_millis(50 + random().unwrap_or_default() % 51)
}

fn take_in(door: &Arc<Door>, stream: TcpStream, from: SocketAddr) {
    let (app, counts) = (&door.app, &door.counts);
    let address = from.ip().to_canonical();
    if door.admin {
        let (slot, over) = counts.take_unknown();
        if over.is_none() {
            tune(&stream, app.config.limits.write_progress);
            let stream = Stream::Tcp(Arc::new(stream));
            admit(door, stream, address, (slot, Over::No), Bytes::new());
        } else {
            untold(app, address, Over::Limit);
        }
        return;
    }
    let by_proxy = is_proxy(&app.config.access, address);
    let (mut slot, over) = match by_proxy {
        true => counts.take_unknown(),
        false => counts.take(address),
    };
    let mut over = match over {
        Some(_) => Over::Limit,
        None => Over::No,
    };
    if !by_proxy {
        over = over.or_too_fast(app, &mut slot, address);
    }
    if over.is_over() && slot.too_many_told(TOLD) {
        return untold(app, address, over);
    }
    tune(&stream, app.config.limits.write_progress);
    let stream = Stream::Tcp(Arc::new(stream));
    if by_proxy && app.config.listen.proxy_protocol {
        tokio::spawn(take_in_for(door.clone(), stream, address, (slot, over)));
        return;
    }
    admit(door, stream, address, (slot, over), Bytes::new());
}

/// The same for a connection whose header says for whom a proxy brings it.
async fn take_in_for(
    door: Arc<Door>,
    mut stream: Stream,
    proxy: IpAddr,
    (mut slot, mut over): (Slot, Over),
) {
    let app = &door.app;
    let time = app.config.http.header_timeout;
    let client = tokio::select! {
        () = app.reached(Stage::Closing) => return,
        client = preamble::client(&mut stream, proxy, time) => client,
    };
    match client {
        Ok((client, read)) => {
            // A proxy before this one says the rest in its requests.
            if !is_proxy(&app.config.access, client) {
                if slot.belongs_to(client).is_some() {
                    over = Over::Limit;
                }
                over = over.or_too_fast(app, &mut slot, client);
            }
            admit(&door, stream, client, (slot, over), read);
        }
        Err(error) => {
            tracing::debug!(%proxy, %error, "no good PROXY header");
            let (code, sentence) = match error.kind() {
                io::ErrorKind::TimedOut => (Code::RequestTimeout, "no PROXY header came in time"),
                _ => (Code::BadRequest, "the connection has no good PROXY header"),
            };
            app.refuses(&Refusal::new(code, sentence), Who::new(proxy, Via::Accept));
        }
    }
}

/// Starts to serve a connection of `address`, of which `read` has come. With its
/// place goes whether it is over a limit.
fn admit(door: &Door, stream: Stream, address: IpAddr, (slot, over): (Slot, Over), read: Bytes) {
    if over.is_over() {
        tracing::debug!(%address, "too many connections, in all or of this address, or too fast");
        if slot.too_many_told(TOLD) {
            return untold(&door.app, address, over);
        }
    }
    let is_over = over.is_over();
    let why = match over {
        Over::TooFast(refusal) => Some(refusal),
        Over::No | Over::Limit => None,
    };
    let app = door.app.clone();
    let mut peer = Peer::new(address, door.loopback, is_over, slot).told(why);
    peer.admin = door.admin;
    match &door.tls {
        Some(tls) => tls::start(app, tls.clone(), peer, stream, read),
        None => connection::start(app, Arc::new(peer), stream, read),
    }
}

/// A connection over a limit is closed without a word.
fn untold(app: &App, address: IpAddr, over: Over) {
    let refusal = match over {
        Over::TooFast(refusal) => refusal,
        Over::No | Over::Limit => too_many(),
    };
    app.refuses(&refusal, Who::new(address, Via::Accept));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x8_want_of_descriptors_backs_off_50_to_100_ms() {
        assert!(is_want(&io::Error::from_raw_os_error(24)));
        assert!(!is_want(&io::ErrorKind::ConnectionAborted.into()));
        for _ in 0..100 {
            let wait = back_off();
            assert!((50..=100).contains(&wait.as_millis()), "{wait:?}");
        }
    }
}
