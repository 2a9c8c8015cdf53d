//! Requests under the Engine.IO path.
//!
//! Refusals are a status and a numbered JSON body, which clients know; every answer
//! carries what a page needs to read it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::clock::Clock as _;
use fanwire_core::error::{Code, Refusal as Refused};
use fanwire_core::policy::Subject;
use fanwire_proto::engineio::query::{Ask, Query, Refusal};
use fanwire_proto::engineio::session::{Output, PostId, Source};
use fanwire_proto::engineio::{Payload, PayloadLimits};
use fanwire_proto::ws::{CloseCode, close_frame};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use http::{Method, StatusCode, request};

use super::handshake;
use super::negotiate::{wants_close, wants_websocket};
use super::publish::{Sent, read};
use crate::access::origin_denied;
use crate::answer::{Answer, Dress, empty, full, problem};
use crate::app::{self, App, Peer};
use crate::engineio::{
    Engine, Granted, Handshake, Host, Opening, Serving, Sid, Ticket, packets, serve,
};
use crate::limit::Place;
use crate::rates::{Account, Payer};
use crate::refused::{Via, Who};
use crate::shown::Shown;
use crate::transport::{Answering, Back, Stream, wait};

/// A request for the Engine.IO path, with what is known of who sent it.
pub(super) struct Asked<'a> {
    pub(super) head: &'a request::Parts,
    pub(super) subject: Subject,
    pub(super) client: std::net::IpAddr,
    pub(super) account: Account,
    /// Its page may not use the server.
    pub(super) foreign: bool,
    /// The time that its head took to come.
    pub(super) took: Duration,
    /// The client's place, where a proxy speaks for it: none left is too many.
    pub(super) place: Option<Option<Place>>,
}

/// What becomes of it.
pub(super) enum Said {
    Answer(Answer),
    Leaves(Box<Exit>),
    /// A WebSocket's answer, and its only words.
    Closes(Bytes, Bytes),
}

/// What a request leaves HTTP as.
pub(super) enum Exit {
    /// A poll; where it closes its connection, that is said.
    Poll(Ticket, Dress, bool),
    /// A WebSocket.
    WebSocket(Granted),
}

impl Exit {
    /// What a poll waits for; none for what is none.
    pub(super) fn waits(self) -> Option<Answering> {
        match self {
            Self::Poll(ticket, dress, closes) => Some(ticket.said(dress, closes)),
            Self::WebSocket(_) => None,
        }
    }
}

/// Whether sessions are served at this path.
pub(super) fn is_here(app: &App, path: &str) -> bool {
    host(app, path).is_some()
}

fn host<'a>(app: &'a App, path: &str) -> Option<&'a Arc<dyn Host>> {
    Serving::of(app).host(path)
}

/// Whether a GET is a poll of a session: what can be judged without hyper.
pub(super) fn is_poll(head: &request::Parts) -> bool {
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let upgrade = wants_websocket(&head.headers);
    query.is_ok_and(|query| matches!(query.ask(head.method.as_str(), upgrade), Ok(Ask::Poll(_))))
}

/// Answers a request.
pub(super) async fn answer(
    app: &Arc<App>,
    peer: &Peer,
    asked: Asked<'_>,
    body: Option<Sent<'_>>,
    dress: &Dress,
) -> Said {
    let (head, client) = (asked.head, asked.client);
    if head.method == Method::OPTIONS {
        return Said::Answer(options(&head.headers, dress));
    }
    let (why, said) = match serve_request(app, peer, asked, body, dress).await {
        Ok(said @ Said::Closes(..)) => (in_words(Refusal::BadRequest), said),
        Ok(said) => return said,
        Err(No::Refused(refusal)) => (in_words(refusal), Said::Answer(refused(refusal))),
        Err(No::Denied(refusal)) => (refusal, Said::Answer(refused(Refusal::Forbidden))),
        Err(No::Busy(refusal)) => {
            let said = Said::Answer(busy(&refusal));
            (refusal, said)
        }
        Err(No::Problem(refusal)) => {
            let said = Said::Answer(problem(&refusal));
            (refusal, said)
        }
    };
    app.refuses(&why, Who::new(client, Via::EngineIo).by(head));
    said
}

/// A refusal by its number, as one of the table of errors.
fn in_words(refusal: Refusal) -> Refused {
    let code = match refusal {
        Refusal::Forbidden => Code::Forbidden,
        _ => Code::BadRequest,
    };
    Refused::new(code, refusal.message())
}

/// Why a request is not served.
enum No {
    /// As the protocol numbers it.
    Refused(Refusal),
    /// For what the protocol has no number of its own: it is Forbidden there.
    Denied(Refused),
    /// For now.
    Busy(Refused),
    /// As everything else is.
    Problem(Refused),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Refused> for No {
    fn from(refusal: Refused) -> Self {
        match refusal.code.retry() {
            true => Self::Busy(refusal),
            false => Self::Denied(refusal),
        }
    }
}

async fn serve_request(
    app: &Arc<App>,
    peer: &Peer,
    asked: Asked<'_>,
    body: Option<Sent<'_>>,
    dress: &Dress,
) -> Result<Said, No> {
    let head = asked.head;
    if asked.foreign {
        return Err(No::Denied(origin_denied()));
    }
    let websocket = wants_websocket(&head.headers);
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    // Whether there is such a session comes before whether the method fits it.
    let engine = match query.sid {
        Some(sid) => Some(
            Serving::of(app)
                .engines
                .find(sid)
                .ok_or(Refusal::SessionUnknown)?,
        ),
        None => None,
    };
    let ask = query.ask(head.method.as_str(), websocket)?;
    if engine.is_none() {
        may_open(app, peer, &asked)?;
    }
    let answer = match (ask, engine) {
        (Ask::Poll(_), Some(engine)) => {
            let closes = wants_close(&head.headers) || head.version < http::Version::HTTP_11;
            return match engine.input(|session, now| session.poll(now)) {
                Some(Output::ServePoll { id, ping, idle }) => {
                    let ticket = Ticket::new(engine, id, ping, idle);
                    Ok(Said::Leaves(Box::new(Exit::Poll(
                        ticket,
                        dress.clone(),
                        closes,
                    ))))
                }
                Some(Output::RefusePoll(refusal)) => Err(refusal.into()),
                _ => Err(Refusal::SessionUnknown.into()),
            };
        }
        (Ask::Post(_), Some(engine)) => match body {
            Some(body) => post((app, peer), &engine, &head.headers, body).await?,
            None => return Err(Refusal::BadRequest.into()),
        },
        (Ask::Upgrade(_), Some(engine)) => {
            let key = check(app, &asked)?;
            return match engine.input(|session, now| session.ws_open(now)) {
                Some(Output::TakeWs(id)) => {
                    let head = handshake::switching(&key, false, None, dress);
                    let place = asked.place.flatten();
                    let granted = Granted::new(engine, id, Some(head), dress.clone(), place);
                    Ok(Said::Leaves(Box::new(Exit::WebSocket(granted))))
                }
                // Clients without a handler for a failed handshake hear a close.
                Some(Output::RefuseWs(Refusal::BadRequest)) => Ok(Said::Closes(
                    handshake::switching(&key, false, None, dress),
                    close_frame(Some(CloseCode::NORMAL), ""),
                )),
                Some(Output::RefuseWs(refusal)) => Err(refusal.into()),
                _ => Err(Refusal::SessionUnknown.into()),
            };
        }
        (Ask::OpenWebSocket, _) => {
            let key = check(app, &asked)?;
            let words = match head.version < http::Version::HTTP_2 && !peer.mounted {
                true => handshake::switching(&key, false, None, dress),
                false => Bytes::new(),
            };
            let (engine, id) = open(app, &asked, Opening::WebSocket(words))?;
            let Some(id) = id else {
                return Err(Refusal::BadRequest.into());
            };
            let place = asked.place.flatten();
            let granted = Granted::new(engine, id, None, dress.clone(), place);
            return Ok(Said::Leaves(Box::new(Exit::WebSocket(granted))));
        }
        (Ask::OpenPolling, _) => {
            // A session without a connection of its own has a place all the same.
            let place = peer.place_of(asked.client).ok_or_else(too_many)?;
            let (engine, _) = open(app, &asked, Opening::Polling(Some(place)))?;
            let mut words = Vec::with_capacity(128);
            engine.hello(true).write(&mut words);
            packets(words)
        }
        // A session was asked for and found, above.
        (Ask::Poll(_) | Ask::Post(_) | Ask::Upgrade(_), None) => {
            return Err(Refusal::SessionUnknown.into());
        }
    };
    Ok(Said::Answer(answer))
}

fn too_many() -> No {
    No::Busy(app::too_many())
}

/// Whether one more session may be opened at all.
fn may_open(app: &App, peer: &Peer, asked: &Asked<'_>) -> Result<(), No> {
    if let Some(refusal) = &peer.too_fast {
        return Err(No::Busy(refusal.clone()));
    }
    let full = Serving::of(app).engines.len() >= app.config.limits.connections;
    if peer.over_limit || full || matches!(asked.place, Some(None)) {
        return Err(too_many());
    }
    if app.is_stopping() {
        let sentence = "the server is shutting down; come back shortly";
        return Err(No::Busy(Refused::new(Code::Unavailable, sentence)));
    }
    Ok(())
}

fn check(app: &App, asked: &Asked<'_>) -> Result<HeaderValue, No> {
    let head = asked.head;
    if asked.took > app.config.ws.handshake {
        return Err(Refusal::BadRequest.into());
    }
    handshake::check(&head.method, head.version, &head.headers)
        .map_err(|_| Refusal::BadRequest.into())
}

fn open(
    app: &Arc<App>,
    asked: &Asked<'_>,
    opening: Opening,
) -> Result<(Arc<Engine>, Option<fanwire_proto::engineio::session::WsId>), No> {
    let unguessable = |_| {
        let sentence = "the system has no randomness to give; try again";
        No::Busy(Refused::new(Code::Unavailable, sentence))
    };
    let sid = Sid::new().map_err(unguessable)?;
    let handshake = Handshake {
        subject: asked.subject.clone(),
        client: asked.client,
        account: asked.account,
        request: Shown::of(asked.head),
        who: app.remembers(Who::new(asked.client, Via::SocketIo).by(asked.head)),
    };
    let host = host(app, asked.head.uri.path()).ok_or(Refusal::BadRequest)?;
    Ok(Engine::open(app, handshake, sid, opening, &**host))
}

/// Takes the packets of a POST in.
async fn post(
    (app, peer): (&App, &Peer),
    engine: &Arc<Engine>,
    headers: &HeaderMap,
    body: Sent<'_>,
) -> Result<Answer, No> {
    let id = match engine.input(|session, now| session.post(now)) {
        Some(Output::TakePost(id)) => id,
        Some(Output::RefusePost(refusal)) => return Err(refusal.into()),
        _ => return Err(Refusal::SessionUnknown.into()),
    };
    let mut under_way = UnderWay {
        engine,
        id,
        done: false,
    };
    let from = Source::Post(id);
    let payer = Payer {
        buckets: &peer.buckets,
        account: engine.handshake.account,
    };
    if let Err(refusal) = app.rates.controls(payer, engine.app.clock.now()) {
        under_way.done = true;
        engine.input(|session, now| session.post_refused(now, id));
        return Err(No::Busy(refusal));
    }
    let binary = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/octet-stream"));
    if binary {
        // Version 4 has none: bytes are base64 there.
        under_way.done = true;
        engine.input(|session, now| session.malformed(now, from));
        return Err(Refusal::BadRequest.into());
    }
    let limit = app.config.socketio.max_payload;
    let read = read(app, headers, body, limit).await;
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(refusal) if refusal.code == Code::TooLarge => {
            under_way.done = true;
            engine.input(|session, now| session.post_refused(now, id));
            return Err(No::Problem(refusal));
        }
        Err(refusal) if refusal.code == Code::RequestTimeout => return Err(No::Problem(refusal)),
        Err(_) => return Err(Refusal::BadRequest.into()),
    };
    let understood = take_in(engine, from, &bytes).await;
    under_way.done = true;
    match understood {
        true => engine.input(|session, now| session.post_done(now, id)),
        false => engine.input(|session, now| session.malformed(now, from)),
    };
    match engine.outcome_of(id) {
        Some(None) => Ok(full(StatusCode::OK, "text/html", "ok")),
        Some(Some(refusal)) => Err(refusal.into()),
        None => Err(Refusal::SessionUnknown.into()),
    }
}

/// Hands the packets over in order, as fast as they are taken; false where one is not
/// understood.
async fn take_in(engine: &Arc<Engine>, from: Source, bytes: &Bytes) -> bool {
    let limits = PayloadLimits::of(bytes.len());
    let Ok(payload) = Payload::new(bytes, limits) else {
        return false;
    };
    for packet in payload {
        use fanwire_proto::engineio::Packet;
        let Ok(packet) = packet else {
            return false;
        };
        if !engine.packet(from, &packet) {
            continue;
        }
        let Some(talk) = engine.talk() else {
            return false;
        };
        std::future::poll_fn(|cx| talk.poll_room(cx)).await;
        let understood = match &packet {
            Packet::Text(text) => talk.text(bytes.slice_ref(text.as_bytes())),
            Packet::Binary(data) => talk.binary(Bytes::copy_from_slice(data)),
            _ => true,
        };
        if !understood {
            return false;
        }
    }
    true
}

/// A POST that is not answered yet: cut off, its session ends.
struct UnderWay<'a> {
    engine: &'a Arc<Engine>,
    id: PostId,
    done: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.done {
            let id = self.id;
            self.engine
                .input(|session, now| session.post_aborted(now, id));
        }
    }
}

fn refused(refusal: Refusal) -> Answer {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    full(status, "application/json", refusal.body())
}

/// A refusal that time mends, with the number that stands for no session.
fn busy(refusal: &Refused) -> Answer {
    let text = serde_json::json!({"code": 3, "message": refusal.detail}).to_string();
    let code = refusal.code;
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut answer = full(status, "application/json", text);
    if let Some(after) = problem(refusal).headers().get(RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, after.clone());
    }
    answer
}

/// `OPTIONS`: to an allowed page, that it may send what it asks to send.
fn options(asked: &HeaderMap, dress: &Dress) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    if dress.origin.is_some() {
        let headers = answer.headers_mut();
        let methods = HeaderValue::from_static("GET, POST, OPTIONS");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    answer
}

/// Goes on outside hyper, in a task of its own. `read` is what came behind the request.
pub(super) fn leave(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: &[u8],
    exit: Exit,
    back: &'static Back,
) {
    match exit {
        Exit::Poll(ticket, dress, closes) => {
            wait(app, peer, stream, read, (ticket.said(dress, closes), back));
        }
        Exit::WebSocket(granted) => {
            tokio::spawn(serve(app, peer, stream, read, granted));
        }
    }
}
