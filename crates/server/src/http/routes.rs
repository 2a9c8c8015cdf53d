//! The application's own routes, on paths that are none of ours: admitted as any
//! request is, and then its own affair.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode, Version, request, response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tower_service::Service;

use super::coming::{BoxError, Coming};
use super::engineio;
use super::paths;
use super::service::{self, channels_of};
use crate::answer::{Dress, problem};
use crate::app::{App, Peer, too_many};
use crate::browser_client;
use crate::forwarded;
use crate::handlers::{Namespaces, caught};
use crate::limit::Place;
use crate::shutdown::Stage;

/// The body of a request to an application's own route. It fails where nothing comes
/// for `http.body_timeout`; how much of it is taken, the route says.
pub struct RequestBody {
    incoming: Coming,
    time: Duration,
    patience: Option<Pin<Box<Sleep>>>,
}

/// The address that a request to an application's own route is for: its peer's, or
/// the one that a configured proxy names. Every such request has it as an extension.
///
/// The other way round, a request to a [`MountedService`](crate::MountedService) has its
/// peer's address as this extension, where the application puts it there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client(pub IpAddr);

type Calling = Pin<Box<dyn Future<Output = Response<UnsyncBoxBody<Bytes, BoxError>>> + Send>>;

/// The routes.
#[derive(Clone)]
pub(crate) struct Routes(Arc<dyn Fn(Request<RequestBody>) -> Calling + Send + Sync>);

/// The body of what a route answers.
pub(super) struct Own {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// Of an event stream: it ends as soon as the server stops.
    stops: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Among those of the address for which a proxy speaks.
    _place: Option<Place>,
}

impl Routes {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                match poll_fn(|cx| service.poll_ready(cx)).await {
                    Ok(()) => {}
                    Err(never) => match never {},
                }
                match service.call(request).await {
                    Ok(answer) => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
                    Err(never) => match never {},
                }
            })
        }))
    }
}

/// The routes, where this request is theirs.
pub(super) fn theirs(app: &App, peer: &Peer, head: &request::Parts) -> Option<Routes> {
    let routes = app.above.get::<Routes>()?;
    let path = head.uri.path();
    let ours = peer.admin
        || !path.starts_with('/')
        || matches!(path, "/healthz" | "/readyz" | "/metrics")
        || path.starts_with("/api/")
        || channels_of(path).is_some()
        || paths::is_here(app, head)
        || engineio::is_here(app, path)
        || browser_client::is_here(app.config.socketio.path.as_str(), path);
    (!ours).then(|| routes.clone())
}

/// What they answer, or how the request is refused before it comes to them.
pub(super) async fn answer(
    app: &Arc<App>,
    peer: &Peer,
    routes: Routes,
    head: request::Parts,
    body: Coming,
) -> Response<Own> {
    peer.serves();
    let told = app.remembers(service::who(app, peer, &head));
    let answered = match admit(app, peer, &head) {
        Ok((client, place)) => called(app, routes, (client, place), head, body).await,
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|refusal| {
        app.refuses_kept(&refusal, &told);
        let mut answer = problem(&refusal);
        Dress::default().put_on(answer.headers_mut());
        answer.map(Own::of)
    })
}

async fn called(
    app: &Arc<App>,
    routes: Routes,
    (client, place): (Client, Option<Place>),
    head: request::Parts,
    body: Coming,
) -> Result<Response<Own>, Refusal> {
    let body = RequestBody {
        incoming: body,
        time: app.config.http.body_timeout,
        patience: None,
    };
    let mut request = Request::from_parts(head, body);
    request.extensions_mut().insert(client);
    let namespaces = Namespaces::new(app.spaces.clone());
    request.extensions_mut().insert(namespaces);
    let calling = async { (routes.0)(request).await };
    let fault = |_| Refusal::new(Code::Internal, "a fault of the server");
    let mut answer = caught(calling).await.map_err(fault)?;
    let streams = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    // How it goes over the wire is not the route's to say.
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        answer.headers_mut().remove(name);
    }
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let sentence = "an application's own route answers, and takes no connection over";
        return Err(Refusal::new(Code::Internal, sentence));
    }
    Ok(answer.map(|body| Own {
        body,
        stops: streams.then(|| Box::pin(app.reached(Stage::Draining)) as Pin<Box<_>>),
        _place: place,
    }))
}

/// The head of what a route answers to a HEAD. It says the length that the answer to a GET
/// has, where the route or its body does. An empty body says nothing: many routers have left
/// the real one out before (RFC 9110, 8.6).
pub(super) fn bare(answer: Response<Own>) -> response::Parts {
    let (mut head, body) = answer.into_parts();
    if let Some(length @ 1..) = body.size_hint().exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    head
}

/// By the limits of every request; about origins, the route decides.
fn admit(
    app: &App,
    peer: &Peer,
    head: &request::Parts,
) -> Result<(Client, Option<Place>), Refusal> {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let http_10 = head.version < Version::HTTP_11;
    app.access
        .admit(&head.headers, authority, peer.loopback_bind, http_10)?;
    let target = head.uri.path_and_query();
    if target.is_some_and(|target| target.as_str().len() > app.config.http.uri_bytes) {
        let sentence = "the request's target is too long";
        return Err(Refusal::new(Code::UriTooLong, sentence));
    }
    let proxied = forwarded::client(&app.config.access, peer.address, &head.headers);
    let place = proxied.map(|client| peer.place_of(client));
    if peer.over_limit || matches!(place, Some(None)) {
        return Err(peer.too_fast.clone().unwrap_or_else(too_many));
    }
    let client = Client(proxied.unwrap_or(peer.address));
    Ok((client, place.flatten()))
}

impl Own {
    fn of(body: http_body_util::Full<Bytes>) -> Self {
        Self {
            body: body.map_err(|never| match never {}).boxed_unsync(),
            stops: None,
            _place: None,
        }
    }
}

impl Body for Own {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(stops) = &mut self.stops
            && stops.as_mut().poll(cx).is_ready()
        {
            self.stops = None;
            self.body = UnsyncBoxBody::default();
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.patience = None;
            return Poll::Ready(frame);
        }
        let patience = this
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.time)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Some(Err("the request's body came too slowly".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestBody(…)")
    }
}
