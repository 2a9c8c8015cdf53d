//! One request over HTTP/2 and its answer: the same as over HTTP/1.1, where no
//! socket ever leaves.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{Attach, End, Heartbeat, Kind};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use super::super::listen::{self, Reply};
use super::super::publish::Sent;
use super::super::{engineio, handshake, once, routes, service};
use super::streams::Progress;
use super::{body, tunnel};
use crate::answer::{Answer, Dress, json, problem, put_off};
use crate::app::{App, Peer};
use crate::clock::connection_id;
use crate::dialect::Form;
use crate::transport::{Departure, Link, Listed, PullWriter, Purpose, Signal, promise};

/// Bytes of a refused body that are still taken, to throw away.
const LINGER_BYTES: usize = 256 * 1024;

/// Answers one request.
pub(super) async fn answer(
    app: Arc<App>,
    peer: Arc<Peer>,
    progress: Arc<Progress>,
    mut request: Request<Incoming>,
) -> Response<body::Reply> {
    // The stream itself, for a WebSocket that is granted.
    let stream = (request.method() == Method::CONNECT).then(|| hyper::upgrade::on(&mut request));
    let (mut head, mut body) = request.into_parts();
    let bare = head.method == Method::HEAD;
    let reply = match settle(&app, &mut head) {
        Ok(())
            if stream.is_none()
                && let Some(routes) = routes::theirs(&app, &peer, &head) =>
        {
            let answer = routes::answer(&app, &peer, routes, head, body).await;
            return answer.map(|body| body::Reply::own(body, progress));
        }
        Ok(()) => service::judge(&app, &peer, Duration::ZERO, &head, Sent::Coming(&mut body)).await,
        Err(refusal) => {
            app.refuses(&refusal, service::who(&app, &peer, &head));
            let mut answer = problem(&refusal);
            Dress::default().put_on(answer.headers_mut());
            Reply::Answer(answer)
        }
    };
    match reply {
        // Granted, it would open a tunnel to nothing.
        Reply::Answer(answer) if stream.is_some() && answer.status().is_success() => {
            let sentence = "a WebSocket is opened at /c/CHANNEL";
            let refusal = Refusal::new(Code::BadRequest, sentence);
            app.refuses(&refusal, service::who(&app, &peer, &head));
            whole(problem(&refusal), bare, progress).await
        }
        Reply::Answer(answer) => {
            if answer.status().is_client_error() && answer.status() != StatusCode::REQUEST_TIMEOUT {
                linger(&mut body, app.config.ws.close_wait).await;
            }
            whole(answer, bare, progress).await
        }
        Reply::Says { named, words, .. } => {
            let Some(stream) = stream else {
                return whole(problem(&no_websocket()), bare, progress).await;
            };
            tunnel::say_last(app, peer, stream, words, progress.clone());
            let mut response = Response::new(body::Reply::whole(Bytes::new(), progress));
            handshake::name(response.headers_mut(), named, None);
            response
        }
        Reply::Unproven(mut unproven) => {
            let Some(stream) = stream else {
                return whole(problem(&no_websocket()), bare, progress).await;
            };
            unproven.head = Bytes::new();
            let mut response = Response::new(body::Reply::whole(Bytes::new(), progress.clone()));
            handshake::name(response.headers_mut(), unproven.named, None);
            unproven.dress.put_on(response.headers_mut());
            tunnel::prove_first(app, peer, stream, *unproven, progress);
            response
        }
        Reply::Engine(exit) => match *exit {
            engineio::Exit::Poll(ticket, dress, _) => {
                whole(ticket.answered(&dress).await, bare, progress).await
            }
            engineio::Exit::WebSocket(granted) => {
                let Some(stream) = stream else {
                    return whole(problem(&no_websocket()), bare, progress).await;
                };
                let mut response =
                    Response::new(body::Reply::whole(Bytes::new(), progress.clone()));
                granted.dress().put_on(response.headers_mut());
                tunnel::engine(app, peer, stream, granted, progress);
                response
            }
        },
        Reply::Departs(departure) => {
            let dress = departure.dress.clone();
            match stay(&app, &peer, *departure, stream, &progress).await {
                Stays::Streams(mut response) => {
                    dress.put_on(response.headers_mut());
                    response
                }
                Stays::Answers(mut answer) => {
                    dress.put_on(answer.headers_mut());
                    whole(answer, bare, progress).await
                }
            }
        }
    }
}

/// Takes and drops what is left of a refused body, for a moment and within
/// bounds: the end of the answer closes the stream, and clients that are still
/// sending then fail on that and never read why.
async fn linger(body: &mut Incoming, time: Duration) {
    if body.is_end_stream() {
        return;
    }
    let rest = async {
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match body.frame().await {
                Some(Ok(frame)) => dropped += frame.data_ref().map_or(0, Bytes::len),
                _ => return,
            }
        }
    };
    // Whether all of it came makes no difference now.
    let _ = tokio::time::timeout(time, rest).await;
}

/// Makes of the head what one of HTTP/1.1 would be: `Host` is `:authority`.
///
/// # Errors
/// Where it cannot be one.
fn settle(app: &App, head: &mut request::Parts) -> Result<(), Refusal> {
    let bad = |why: &str| Err(Refusal::new(Code::BadRequest, why));
    if head.method == Method::CONNECT {
        match head.extensions.get::<Protocol>() {
            Some(protocol) if protocol.as_str() == "websocket" => handshake::translate(head),
            _ => {
                return bad(
                    "CONNECT opens a WebSocket here, by ':protocol' (RFC 8441), or nothing",
                );
            }
        }
    }
    if head.headers.len() > app.config.http.header_count {
        return Err(Refusal::new(
            Code::HeadersTooLarge,
            "the request has too many or too large headers",
        ));
    }
    let Some(authority) = head.uri.authority() else {
        return Ok(()); // Then Host must be there.
    };
    let authority = authority.as_str();
    if authority.contains('@') {
        return bad(":authority has no user information (RFC 9113, 8.3.1)");
    }
    match head.headers.get(HOST) {
        Some(host) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            bad("Host and :authority differ (RFC 9113, 8.3.1)")
        }
        Some(_) => Ok(()),
        None => {
            let Ok(host) = HeaderValue::from_str(authority) else {
                return bad(":authority is not a host");
            };
            head.headers.insert(HOST, host);
            Ok(())
        }
    }
}

/// A whole answer, with nothing in it that speaks of connections (RFC 9113,
/// 8.2.2). `bare`: to a HEAD, so without its body.
async fn whole(answer: Answer, bare: bool, progress: Arc<Progress>) -> Response<body::Reply> {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(CONNECTION);
    head.headers.remove(UPGRADE);
    let bytes = match body.collect().await {
        Ok(bytes) => bytes.to_bytes(),
        Err(never) => match never {},
    };
    let bytes = if bare {
        head.headers.insert(CONTENT_LENGTH, bytes.len().into());
        Bytes::new()
    } else {
        bytes
    };
    Response::from_parts(head, body::Reply::whole(bytes, progress))
}

/// What becomes of a request whose socket would leave HTTP/1.1.
enum Stays {
    Streams(Response<body::Reply>),
    Answers(Answer),
}

async fn stay(
    app: &Arc<App>,
    peer: &Arc<Peer>,
    departure: Departure,
    stream: Option<OnUpgrade>,
    progress: &Arc<Progress>,
) -> Stays {
    let refused = match departure.purpose {
        Purpose::Sse { envelope, .. } => match events(app, departure, envelope, progress).await {
            Ok(response) => return Stays::Streams(response),
            // An EventSource gives up for good on any answer but 200.
            Err(refusal) if refusal.code.retry() => {
                return Stays::Answers(put_off(app.put_off_ms()));
            }
            Err(refusal) => refusal,
        },
        Purpose::Poll { wait, limit, .. } => {
            let (permit, start) = (departure.permit, departure.start);
            let who = departure.who;
            let opened = departure.purpose.opened();
            let listed = Listed::new(app, opened, departure.client, who.clone());
            // Held while it waits.
            let _place = departure.place;
            match once::once(app, permit, start, wait, limit, listed).await {
                Ok(body) => return Stays::Answers(json(body)),
                Err(refusal) => {
                    app.refuses_kept(&refusal, &who);
                    refusal
                }
            }
        }
        Purpose::WebSocket { named, agreed, .. } => {
            let Some(stream) = stream else {
                return Stays::Answers(problem(&no_websocket()));
            };
            let who = departure.who.clone();
            let promised = match promise(app.clone(), peer.clone(), departure) {
                Ok(promised) => opened(promised.link()).await.map(|()| promised),
                Err(refusal) => {
                    app.refuses_kept(&refusal, &who);
                    Err(refusal)
                }
            };
            match promised {
                Ok(promised) => {
                    tunnel::open(stream, promised, progress.clone());
                    let body = body::Reply::whole(Bytes::new(), progress.clone());
                    let mut response = Response::new(body);
                    handshake::name(response.headers_mut(), named, agreed);
                    return Stays::Streams(response);
                }
                Err(refusal) => refusal,
            }
        }
    };
    Stays::Answers(problem(&refused))
}

/// To what needs `Upgrade`, which makes a request of HTTP/2 malformed before it
/// comes here.
fn no_websocket() -> Refusal {
    Refusal::new(
        Code::BadRequest,
        "over HTTP/2 a WebSocket is opened by CONNECT (RFC 8441)",
    )
}

/// Waits for a stream's opening block. The head waits for it: both go out at
/// once, what a stream begins with is decided before its reader goes on, and
/// whom the hub refuses meanwhile gets a proper answer.
async fn opened(link: &Link) -> Result<(), Refusal> {
    poll_fn(|cx| match link.look(cx) {
        _ if link.has_written() => Poll::Ready(Ok(())),
        Signal::Ended(End::Refused(refusal)) => Poll::Ready(Err(refusal)),
        Signal::Ended(_) => Poll::Ready(Ok(())),
        _ => Poll::Pending,
    })
    .await
}

/// An event stream, as soon as it has something to say.
async fn events(
    app: &Arc<App>,
    departure: Departure,
    envelope: bool,
    progress: &Arc<Progress>,
) -> Result<Response<body::Reply>, Refusal> {
    let link = Link::new(app.clock.clone());
    let chunked = false;
    let who = departure.who;
    let opened_as = departure.purpose.opened();
    let listed = Listed::new(app, opened_as, departure.client, who.clone());
    let attached = app.hub.attach(Attach {
        permit: departure.permit,
        start: departure.start,
        since: Default::default(),
        form: Form::Sse { envelope, chunked }.id(),
        preface: Bytes::new(),
        kind: Kind::Stream,
        conn: connection_id(),
        writer: Box::new(PullWriter::new(link.clone()).listed(listed)),
        heartbeat: Some(Heartbeat {
            interval: app.comment_interval(),
            timeout: None,
        }),
        shard: None,
    });
    // Refused later, it is counted as any stream that was opened.
    let subscriber = attached.inspect_err(|refusal| app.refuses_kept(refusal, &who))?;
    opened(&link).await?;
    let body = body::Reply::events(link, subscriber, departure.place, progress.clone());
    let mut response = Response::new(body);
    listen::event_stream(response.headers_mut());
    Ok(response)
}
