//! Fanwire within an application's own HTTP server: a service that answers one request
//! at a time and owns no connection.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use http::{Request, Response};
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tower_service::Service;

use super::coming::{BoxError, Coming};
use super::routes::Client;
use super::service;
use super::stay::{Arrived, Progress, Reply, answer, refuse};
use crate::app::{App, Peer};
use crate::forwarded::is_proxy;
use crate::limit::Counts;
use crate::shutdown::Stage;

/// A server as a tower service, see [`Server::mount`](crate::Server::mount). Clones are
/// the same server.
#[derive(Clone)]
pub struct MountedService(Arc<Mount>);

struct Mount {
    app: Arc<App>,
    counts: Arc<Counts>,
}

/// The body of an answer of a [`MountedService`]. Dropped, its stream is let go.
pub struct MountedBody(Holding);

enum Holding {
    Whole(Reply),
    /// Its stream is let go too where its reader takes nothing.
    Stream {
        held: Arc<Mutex<Option<Stream>>>,
        watch: JoinHandle<()>,
    },
}

/// A stream, and its place among the requests.
struct Stream {
    reply: Reply,
    _peer: Arc<Peer>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<MountedBody>, Infallible>> + Send>>;

impl MountedService {
    pub(crate) fn new(app: Arc<App>, counts: Arc<Counts>) -> Self {
        Self(Arc::new(Mount { app, counts }))
    }
}

impl<B> Service<Request<B>> for MountedService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<MountedBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let mount = self.0.clone();
        let request = request.map(Coming::brought);
        Box::pin(async move { Ok(mount.serve(request).await) })
    }
}

impl Mount {
    async fn serve(&self, request: Request<Coming>) -> Response<MountedBody> {
        let app = &self.app;
        let peer = Arc::new(self.peer(&request));
        let progress = Arc::new(Progress::default());
        let answer = match self.admit(&peer) {
            Ok(()) => {
                let arrived = Arrived::new(request);
                let answer = answer(app.clone(), peer.clone(), progress.clone(), arrived);
                tokio::select! {
                    biased;
                    () = app.reached(Stage::Over) => refuse(&stopped(), progress.clone()).await,
                    answer = answer => answer,
                }
            }
            Err(refusal) => {
                let (head, _) = request.into_parts();
                app.refuses(&refusal, service::who(app, &peer, &head));
                refuse(&refusal, progress.clone()).await
            }
        };
        answer.map(|reply| MountedBody::new(app, peer, &progress, reply))
    }

    /// Who sends a request, by what the application says of it.
    fn peer(&self, request: &Request<Coming>) -> Peer {
        let known = request.extensions().get::<Client>();
        let known = known.map(|client| client.0.to_canonical());
        // Nobody's, and no machine's: no limit of addresses knows it.
        let address = known.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let by_proxy = is_proxy(&self.app.config.access, address);
        let (slot, over) = match by_proxy || known.is_none() {
            true => self.counts.take_unknown(),
            false => self.counts.take(address),
        };
        let local = address.is_loopback() && !by_proxy;
        let mut peer = Peer::new(address, local, over.is_some(), slot);
        peer.mounted = true;
        peer
    }

    /// Whether a request is heard at all.
    fn admit(&self, peer: &Peer) -> Result<(), Refusal> {
        let app = &self.app;
        if *app.stop.borrow() >= Stage::Closing {
            return Err(stopped());
        }
        // Our own listeners are on loopback then. Of another's we know nothing.
        if app.config.is_unconfigured() && !peer.loopback_bind {
            let sentence = "there is no API key and no issuer, and access.open is off: programs of \
                            this machine alone may come in, and the application has to say that \
                            this is one (fanwire::Client)";
            return Err(Refusal::new(Code::Forbidden, sentence));
        }
        Ok(())
    }
}

fn stopped() -> Refusal {
    let sentence = "the server is shutting down; come back shortly";
    Refusal::new(Code::Unavailable, sentence)
}

impl MountedBody {
    fn new(app: &Arc<App>, peer: Arc<Peer>, progress: &Arc<Progress>, reply: Reply) -> Self {
        if reply.is_whole() {
            return Self(Holding::Whole(reply));
        }
        let held = Arc::new(Mutex::new(Some(Stream { reply, _peer: peer })));
        let watch = tokio::spawn({
            let (held, progress) = (held.clone(), progress.clone());
            let (over, time) = (app.reached(Stage::Over), app.config.limits.write_progress);
            async move {
                tokio::select! {
                    () = over => {}
                    () = progress.stalls(time) => {}
                }
                let stream = held.lock().take();
                drop(stream);
            }
        });
        Self(Holding::Stream { held, watch })
    }
}

impl Drop for MountedBody {
    fn drop(&mut self) {
        if let Holding::Stream { held, watch } = &self.0 {
            watch.abort();
            let stream = held.lock().take();
            drop(stream);
        }
    }
}

impl Body for MountedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.0 {
            Holding::Whole(reply) => Pin::new(reply).poll_frame(cx),
            Holding::Stream { held, .. } => match &mut *held.lock() {
                Some(stream) => Pin::new(&mut stream.reply).poll_frame(cx),
                None => {
                    let sentence = "the stream was let go: it was not read, or the server stopped";
                    return Poll::Ready(Some(Err(sentence.into())));
                }
            },
        };
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Holding::Whole(reply) => reply.is_end_stream(),
            Holding::Stream { held, .. } => match &*held.lock() {
                Some(stream) => stream.reply.is_end_stream(),
                None => false,
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Holding::Whole(reply) => reply.size_hint(),
            Holding::Stream { held, .. } => match &*held.lock() {
                Some(stream) => stream.reply.size_hint(),
                None => SizeHint::default(),
            },
        }
    }
}

impl std::fmt::Debug for MountedService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MountedService(…)")
    }
}

impl std::fmt::Debug for MountedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MountedBody(…)")
    }
}
