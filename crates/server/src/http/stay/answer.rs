//! One request and its answer: the same as where sockets leave, but that none does.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{Attach, End, Heartbeat, Kind};
use fanwire_proto::ws::deflate::Agreed;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version, request};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use super::super::coming::Coming;
use super::super::listen::{self, Reply};
use super::super::negotiate::wants_websocket;
use super::super::publish::Sent;
use super::super::{engineio, handshake, once, routes, service};
use super::progress::Progress;
use super::{body, tunnel};
use crate::answer::{Answer, Dress, json, problem, put_off};
use crate::app::{App, Peer};
use crate::clock::connection_id;
use crate::dialect::Form;
use crate::engineio::Granted;
use crate::transport::{Departure, Link, Listed, PullWriter, Purpose, Signal, Unproven, promise};

/// Bytes of a refused body that are still taken, to throw away.
const LINGER_BYTES: usize = 256 * 1024;

/// A request that has arrived.
pub(in crate::http) struct Arrived {
    head: request::Parts,
    body: Coming,
    /// The stream itself, for a WebSocket that is granted.
    stream: Option<OnUpgrade>,
}

impl Arrived {
    pub(in crate::http) fn new(mut request: Request<Coming>) -> Self {
        let asks = match request.version() < Version::HTTP_2 {
            true => wants_websocket(request.headers()),
            false => request.method() == Method::CONNECT,
        };
        let can = request.extensions().get::<OnUpgrade>().is_some();
        let stream = (asks && can).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        Self { head, body, stream }
    }
}

/// What the way back needs to know of a request.
struct Asked {
    version: Version,
    /// To a HEAD.
    bare: bool,
    /// Of a WebSocket's handshake of HTTP/1.1.
    key: Option<HeaderValue>,
    progress: Arc<Progress>,
}

/// Answers one request.
pub(in crate::http) async fn answer(
    app: Arc<App>,
    peer: Arc<Peer>,
    progress: Arc<Progress>,
    arrived: Arrived,
) -> Response<body::Reply> {
    let Arrived {
        mut head,
        mut body,
        stream,
    } = arrived;
    let asked = Asked {
        version: head.version,
        bare: head.method == Method::HEAD,
        key: head.headers.get(SEC_WEBSOCKET_KEY).cloned(),
        progress,
    };
    let reply = match settle(&app, &mut head) {
        Ok(())
            if (stream.is_none() || head.version < Version::HTTP_2)
                && let Some(routes) = routes::theirs(&app, &peer, &head) =>
        {
            let answer = routes::answer(&app, &peer, routes, head, body).await;
            return match asked.bare {
                true => {
                    let head = routes::bare(answer);
                    Response::from_parts(head, body::Reply::bare(asked.progress))
                }
                false => answer.map(|body| body::Reply::own(body, asked.progress)),
            };
        }
        Ok(()) => service::judge(&app, &peer, Duration::ZERO, &head, Sent::Coming(&mut body)).await,
        Err(refusal) => {
            app.refuses(&refusal, service::who(&app, &peer, &head));
            let mut answer = problem(&refusal);
            Dress::default().put_on(answer.headers_mut());
            Reply::Answer(answer)
        }
    };
    let opens = match reply {
        // Granted, it would open a tunnel to nothing.
        Reply::Answer(answer)
            if stream.is_some()
                && head.version >= Version::HTTP_2
                && answer.status().is_success() =>
        {
            let sentence = "a WebSocket is opened at /c/CHANNEL";
            let refusal = Refusal::new(Code::BadRequest, sentence);
            app.refuses(&refusal, service::who(&app, &peer, &head));
            return asked.whole(problem(&refusal)).await;
        }
        Reply::Answer(answer) => {
            let refused = answer.status().is_client_error();
            if refused && answer.status() != StatusCode::REQUEST_TIMEOUT {
                // Who waits to be told to go on has not begun.
                if !head.headers.contains_key(EXPECT) {
                    linger(&mut body, app.config.ws.close_wait).await;
                }
            }
            return asked.whole(answer).await;
        }
        Reply::Departs(departure) => match departure.purpose {
            Purpose::WebSocket { named, agreed, .. } => Opens::Promised(departure, named, agreed),
            _ => {
                let dress = departure.dress.clone();
                return match stay(&app, *departure, &asked.progress).await {
                    Stays::Streams(mut response) => {
                        dress.put_on(response.headers_mut());
                        response
                    }
                    Stays::Answers(mut answer) => {
                        dress.put_on(answer.headers_mut());
                        asked.whole(answer).await
                    }
                };
            }
        },
        Reply::Engine(exit) => match *exit {
            engineio::Exit::Poll(ticket, dress, _) => {
                return asked.whole(ticket.answered(&dress).await).await;
            }
            engineio::Exit::WebSocket(granted) => Opens::Engine(granted),
        },
        Reply::Unproven(unproven) => Opens::Unproven(unproven),
        Reply::Says { named, words, .. } => Opens::Says(named, words),
    };
    let Some(stream) = stream else {
        let refusal = no_websocket(head.version);
        app.refuses(&refusal, service::who(&app, &peer, &head));
        return asked.whole(problem(&refusal)).await;
    };
    let progress = asked.progress.clone();
    match opens {
        Opens::Says(named, words) => {
            tunnel::say_last(app, peer, stream, words, progress);
            asked.opened(named, None, &Dress::default())
        }
        Opens::Unproven(mut unproven) => {
            unproven.head = Bytes::new();
            let response = asked.opened(unproven.named, None, &unproven.dress);
            tunnel::prove_first(app, peer, stream, *unproven, progress);
            response
        }
        Opens::Engine(granted) => {
            let response = asked.opened(false, None, granted.dress());
            tunnel::engine(app, peer, stream, granted, progress);
            response
        }
        Opens::Promised(departure, named, agreed) => {
            let (dress, who) = (departure.dress.clone(), departure.who.clone());
            let promised = match promise(app.clone(), peer, *departure) {
                // Refused later, it is counted as any stream that was opened.
                Ok(promised) => opened(promised.link()).await.map(|()| promised),
                Err(refusal) => {
                    app.refuses_kept(&refusal, &who);
                    Err(refusal)
                }
            };
            match promised {
                Ok(promised) => {
                    tunnel::open(stream, promised, progress);
                    asked.opened(named, agreed, &dress)
                }
                Err(refusal) => {
                    let mut answer = problem(&refusal);
                    dress.put_on(answer.headers_mut());
                    asked.whole(answer).await
                }
            }
        }
    }
}

/// The answer to a request that is not even looked at.
pub(in crate::http) async fn refuse(
    refusal: &Refusal,
    progress: Arc<Progress>,
) -> Response<body::Reply> {
    let mut answer = problem(refusal);
    Dress::default().put_on(answer.headers_mut());
    let asked = Asked {
        version: Version::HTTP_2,
        bare: false,
        key: None,
        progress,
    };
    asked.whole(answer).await
}

/// What goes on with a WebSocket's stream.
enum Opens {
    Promised(Box<Departure>, bool, Option<Agreed>),
    Unproven(Box<Unproven>),
    Engine(Granted),
    Says(bool, Bytes),
}

impl Asked {
    /// The answer that grants a WebSocket.
    fn opened(self, named: bool, agreed: Option<Agreed>, dress: &Dress) -> Response<body::Reply> {
        let mut response = Response::new(body::Reply::whole(Bytes::new(), self.progress));
        if let Some(key) = self.key.filter(|_| self.version < Version::HTTP_2) {
            handshake::switch(&mut response, &key);
        }
        handshake::name(response.headers_mut(), named, agreed);
        dress.put_on(response.headers_mut());
        response
    }

    /// A whole answer; over HTTP/2 with nothing in it that speaks of connections
    /// (RFC 9113, 8.2.2).
    async fn whole(self, answer: Answer) -> Response<body::Reply> {
        let (mut head, body) = answer.into_parts();
        if self.version >= Version::HTTP_2 {
            head.headers.remove(CONNECTION);
            head.headers.remove(UPGRADE);
        }
        let bytes = match body.collect().await {
            Ok(bytes) => bytes.to_bytes(),
            Err(never) => match never {},
        };
        if self.bare && !bytes.is_empty() {
            head.headers.insert(CONTENT_LENGTH, bytes.len().into());
        }
        // These have no length either (RFC 9110, 8.6).
        let without = matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let body = match self.bare || without {
            true => body::Reply::bare(self.progress),
            false => body::Reply::whole(bytes, self.progress),
        };
        Response::from_parts(head, body)
    }
}

/// Takes and drops what is left of a refused body, for a moment and within
/// bounds: the end of the answer closes the stream, and clients that are still
/// sending then fail on that and never read why.
async fn linger(body: &mut Coming, time: Duration) {
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

/// Makes of a head of HTTP/2 what one of HTTP/1.1 would be: `Host` is `:authority`.
///
/// # Errors
/// Where it cannot be one.
fn settle(app: &App, head: &mut request::Parts) -> Result<(), Refusal> {
    let bad = |why: &str| Err(Refusal::new(Code::BadRequest, why));
    if head.version < Version::HTTP_2 {
        return Ok(());
    }
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

/// What becomes of a request whose socket would leave HTTP/1.1.
enum Stays {
    Streams(Response<body::Reply>),
    Answers(Answer),
}

async fn stay(app: &Arc<App>, departure: Departure, progress: &Arc<Progress>) -> Stays {
    if let Purpose::Poll { wait, limit, .. } = departure.purpose {
        let (permit, start) = (departure.permit, departure.start);
        let opened = departure.purpose.opened();
        let who = departure.who;
        let listed = Listed::new(app, opened, departure.client, who.clone());
        // Held while it waits.
        let _place = departure.place;
        let answer = match once::once(app, permit, start, wait, limit, listed).await {
            Ok(body) => json(body),
            Err(refusal) => {
                app.refuses_kept(&refusal, &who);
                problem(&refusal)
            }
        };
        return Stays::Answers(answer);
    }
    let envelope = matches!(departure.purpose, Purpose::Sse { envelope: true, .. });
    match events(app, departure, envelope, progress).await {
        Ok(response) => Stays::Streams(response),
        // An EventSource gives up for good on any answer but 200.
        Err(refusal) if refusal.code.retry() => Stays::Answers(put_off(app.put_off_ms())),
        Err(refusal) => Stays::Answers(problem(&refusal)),
    }
}

/// To a WebSocket for which there is no stream. Over HTTP/2 `Upgrade` makes a request
/// malformed before it comes here.
fn no_websocket(version: Version) -> Refusal {
    let sentence = match version < Version::HTTP_2 {
        true => "the server that brought this request takes no upgrades to WebSocket",
        false => "over HTTP/2 a WebSocket is opened by CONNECT (RFC 8441)",
    };
    Refusal::new(Code::BadRequest, sentence)
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
        greeting: Duration::ZERO,
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
