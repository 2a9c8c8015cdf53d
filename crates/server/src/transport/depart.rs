//! Out of hyper: the head is parsed, nothing is owed to the peer, and the
//! socket goes on under a task of its own.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{Attach, Heartbeat, Kind, Start, Subscriber};
use fanwire_core::key::SocketId;
use fanwire_core::policy::Permit;
use fanwire_proto::ws::deflate::Agreed;
use fanwire_proto::ws::{CloseCode, Opcode, close_frame, frame};

use super::link::{Link, PullWriter};
use super::listed::Listed;
use super::port::Port;
use super::stream::{Stream, linger};
use super::{park, web_socket};
use crate::answer::{Dress, raw_problem, raw_put_off};
use crate::app::{App, Peer};
use crate::clock::connection_id;
use crate::dialect::Form;
use crate::handlers::{ConnectRefusal, Hears, Visit};
use crate::limit::Place;
use crate::metrics::Opened;
use crate::rates::Account;
use crate::refused::Kept;

/// A request whose answer is written outside hyper.
pub(crate) struct Departure {
    /// The right to listen.
    pub(crate) permit: Permit,
    /// From where.
    pub(crate) start: Start,
    /// The response's head; a poll's without its length; empty where it is out.
    pub(crate) head: Bytes,
    /// For a refusal that comes after all.
    pub(crate) dress: Dress,
    /// As what the socket goes on.
    pub(crate) purpose: Purpose,
    /// Where a poll's socket goes back to.
    pub(crate) back: &'static Back,
    /// Who pays for what comes by it.
    pub(crate) account: Account,
    /// The place of the client for whom a proxy sent the request.
    pub(crate) place: Option<Box<Place>>,
    /// For whom it is, shown to operators.
    pub(crate) client: Option<IpAddr>,
    /// Who is refused, should it be.
    pub(crate) who: Kept,
    /// A WebSocket as code sees it, where any serves.
    pub(crate) visit: Option<Box<Visit>>,
}

impl Departure {
    /// How long messages wait for what code says first.
    fn greeting(&self, app: &App) -> Duration {
        match &self.visit {
            Some(visit) if visit.greets() => app.config.http.on_connected_wait,
            _ => Duration::ZERO,
        }
    }

    /// The connection's public id.
    fn conn(&self) -> SocketId {
        let visit = self.visit.as_ref();
        visit.map_or_else(connection_id, |visit| visit.id().clone())
    }
}

/// Where a poll's socket goes after its answer.
pub(crate) struct Back {
    /// Takes the socket back, with what has been read of it since it left.
    pub(crate) start: fn(Arc<App>, Arc<Peer>, Stream, Bytes),
    /// Judges what has been read: where it begins with one more plain poll or
    /// message, all of it, what becomes of that, and its length.
    pub(crate) next: Judge,
}

/// See [`Back::next`].
pub(crate) type Judge = fn(&Arc<App>, &Arc<Peer>, &Bytes) -> Option<(Judged, usize)>;

/// What becomes of a request that was read without hyper.
pub(crate) enum Judged {
    /// A poll begins to wait.
    Poll(Box<Departure>),
    /// A message is being published.
    Publishes(Answering),
    /// A session's packets are waited for.
    Waits(Answering),
}

/// An answer on its way.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Said> + Send>>;

/// A whole answer.
pub(crate) struct Said {
    /// Head and body.
    pub(crate) words: Vec<u8>,
    /// It is the connection's last.
    pub(crate) closes: bool,
}

/// As what a socket goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A WebSocket. `named`: its subprotocol is. `agreed`: on compression.
    WebSocket {
        envelope: bool,
        named: bool,
        agreed: Option<Agreed>,
    },
    /// An event stream; not chunked: ended by close.
    Sse { envelope: bool, chunked: bool },
    /// One answer within `wait`; then HTTP again, unless `close`.
    Poll {
        wait: Duration,
        limit: usize,
        close: bool,
    },
}

impl Purpose {
    fn form(self) -> Form {
        match self {
            Self::WebSocket {
                envelope, agreed, ..
            } => Form::Ws {
                envelope,
                deflate: agreed.map(|agreed| agreed.window()),
            },
            Self::Sse { envelope, chunked } => Form::Sse { envelope, chunked },
            Self::Poll { .. } => Form::Poll,
        }
    }

    /// What it counts as.
    pub(crate) fn opened(self) -> Opened {
        match self {
            Self::WebSocket { .. } => Opened::WebSocket,
            Self::Sse { .. } => Opened::Sse,
            Self::Poll { .. } => Opened::Poll,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Poll { wait, limit, .. } => Kind::Once {
                deadline: wait,
                limit,
            },
            _ => Kind::Stream,
        }
    }

    fn heartbeat(self, app: &App) -> Option<Heartbeat> {
        match self {
            Self::WebSocket { .. } => Some(Heartbeat {
                interval: app.config.ws.ping,
                timeout: Some(app.config.ws.timeout),
            }),
            Self::Sse { .. } => Some(Heartbeat {
                interval: app.comment_interval(),
                timeout: None,
            }),
            Self::Poll { .. } => None,
        }
    }
}

/// The close frame of a WebSocket that is refused.
pub(super) fn closing(refusal: &Refusal) -> Vec<u8> {
    let code = refusal.code.close().map_or(CloseCode::INTERNAL, CloseCode);
    close_frame(Some(code), &refusal.to_string()).to_vec()
}

/// The last words to a WebSocket whose client code refuses: all of the refusal to who
/// reads envelopes, then the close frame.
pub(crate) fn refused_by_code(hears: Hears, why: &ConnectRefusal) -> Vec<u8> {
    let refusal = why.as_refusal();
    let mut words = Vec::new();
    if hears == Hears::Envelope {
        let mut data = serde_json::json!({
            "code": refusal.code.as_str(),
            "message": why.message,
        });
        if let Some(more) = &why.data {
            data["data"] = more.clone();
        }
        let told = serde_json::json!({ "event": "$error", "data": data });
        words.extend_from_slice(&frame(Opcode::Text, told.to_string().as_bytes()));
    }
    let code = refusal.code.close().or(Code::Forbidden.close());
    words.extend_from_slice(&close_frame(code.map(CloseCode), &why.message));
    words
}

/// Takes a socket on, in a task of its own: the HTTP task is much larger.
/// `read` is what hyper had read beyond the request. Where the hub refuses, the
/// refusal is the HTTP answer, because no head has been written.
pub(crate) fn depart(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: &[u8],
    mut departure: Departure,
) {
    let mut port = Port::new(stream, app.clock.clone(), app.config.debug.force_pull);
    let (purpose, account) = (departure.purpose, departure.account);
    let (conn, greeting) = (departure.conn(), departure.greeting(&app));
    let visit = departure.visit.take();
    // The head of a WebSocket may be out already.
    let switched = departure.head.is_empty();
    let (permit, dress, back) = (
        departure.permit.clone(),
        departure.dress.clone(),
        departure.back,
    );
    let who = departure.who.clone();
    let subscriber = match attach(&app, &mut port, departure, (conn, greeting)) {
        Ok(subscriber) => subscriber,
        Err(refusal) => {
            app.refuses_kept(&refusal, &who);
            let words = match purpose {
                // An EventSource gives up for good on any answer but 200.
                Purpose::Sse { .. } if refusal.code.retry() => {
                    raw_put_off(app.put_off_ms(), &dress)
                }
                Purpose::WebSocket { .. } if switched => closing(&refusal),
                _ => raw_problem(&refusal, &dress),
            };
            tokio::spawn(refuse(app, peer, port, words));
            return;
        }
    };
    match purpose {
        Purpose::WebSocket {
            envelope, agreed, ..
        } => {
            let deflated = agreed.is_some();
            let socket =
                web_socket::Socket::new(app, peer, port, subscriber, permit, envelope, deflated);
            let socket = socket.charged_to(account).told_of(who).with_read(read);
            tokio::spawn(socket.visiting(visit));
        }
        Purpose::Sse { .. } => {
            tokio::spawn(park::Parked::stream(app, peer, port, subscriber));
        }
        Purpose::Poll { close, .. } => {
            let after = Box::new(park::AfterPoll {
                // Behind a poll the next request may stand.
                kept: read.to_vec(),
                dress,
                back: (!close).then_some(back),
                alarm: None,
                who,
            });
            tokio::spawn(park::Parked::poll(app, peer, port, subscriber, after));
        }
    }
}

/// A WebSocket whose bytes begin once its answer is out (RFC 8441): what it is to
/// hear waits meanwhile.
pub(crate) struct Promised {
    app: Arc<App>,
    peer: Arc<Peer>,
    link: Arc<Link>,
    subscriber: Subscriber,
    permit: Permit,
    place: Option<Box<Place>>,
    who: Kept,
    envelope: bool,
    deflated: bool,
    visit: Option<Box<Visit>>,
}

/// Attaches a WebSocket before there is a stream for it.
///
/// # Errors
/// What the hub refuses with.
pub(crate) fn promise(
    app: Arc<App>,
    peer: Arc<Peer>,
    departure: Departure,
) -> Result<Promised, Refusal> {
    let (purpose, conn) = (departure.purpose, departure.conn());
    let greeting = departure.greeting(&app);
    let (envelope, deflated) = match purpose {
        Purpose::WebSocket {
            envelope, agreed, ..
        } => (envelope, agreed.is_some()),
        _ => (false, false),
    };
    let link = Link::new(app.clock.clone());
    let who = departure.who;
    let listed = Listed::new(&app, purpose.opened(), departure.client, who.clone());
    let subscriber = app.hub.attach(Attach {
        permit: departure.permit.clone(),
        start: departure.start,
        since: Default::default(),
        form: purpose.form().id(),
        greeting,
        // Dropped once it is there: it tells when the stream has opened, which
        // raw ones do without a word.
        preface: departure.head,
        kind: purpose.kind(),
        conn,
        writer: Box::new(PullWriter::new(link.clone()).listed(listed)),
        heartbeat: purpose.heartbeat(&app),
        shard: None,
    })?;
    Ok(Promised {
        app,
        peer,
        link,
        subscriber,
        permit: departure.permit,
        place: departure.place,
        who,
        envelope,
        deflated,
        visit: departure.visit,
    })
}

impl Promised {
    /// What it is to hear waits here.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Goes on, in this task, on the stream that has come.
    pub(crate) async fn on(self, stream: Stream) {
        self.link.skip();
        let mut port = Port::pulling(stream, self.link);
        port.hold(self.place);
        web_socket::Socket::new(
            self.app,
            self.peer,
            port,
            self.subscriber,
            self.permit,
            self.envelope,
            self.deflated,
        )
        .told_of(self.who)
        .visiting(self.visit)
        .await;
    }
}

/// Lets a socket wait for its next request outside hyper, in a task of its own.
/// `read` is what has been read of that.
pub(crate) fn rest(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: &[u8],
    back: &'static Back,
) {
    let after = Box::new(park::AfterPoll {
        kept: read.to_vec(),
        dress: Dress::default(),
        back: Some(back),
        alarm: None,
        who: Kept::default(),
    });
    tokio::spawn(park::Parked::resting(app, peer, stream, after));
}

/// Answers with what `future` gives, outside hyper and in a task of its own; then rests.
/// Where the peer goes before, the future is dropped. `read` is what came behind the request.
pub(crate) fn wait(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: &[u8],
    (future, back): (Answering, &'static Back),
) {
    let after = Box::new(park::AfterPoll {
        kept: read.to_vec(),
        dress: Dress::default(),
        back: Some(back),
        alarm: None,
        who: Kept::default(),
    });
    tokio::spawn(park::Parked::waiting(app, peer, stream, after, future));
}

/// Attaches what is to be written to `port`, which holds the client's place.
pub(super) fn attach(
    app: &Arc<App>,
    port: &mut Port,
    departure: Departure,
    (conn, greeting): (SocketId, Duration),
) -> Result<Subscriber, Refusal> {
    port.hold(departure.place);
    let purpose = departure.purpose;
    let listed = Listed::new(app, purpose.opened(), departure.client, departure.who);
    app.hub.attach(Attach {
        permit: departure.permit,
        start: departure.start,
        since: Default::default(),
        form: purpose.form().id(),
        greeting,
        preface: departure.head,
        kind: purpose.kind(),
        conn,
        writer: port.writer(listed),
        heartbeat: purpose.heartbeat(app),
        shard: None,
    })
}

/// Writes `words`, a whole HTTP answer in place of the one that was asked for,
/// and closes.
pub(super) async fn refuse(app: Arc<App>, _peer: Arc<Peer>, mut port: Port, words: Vec<u8>) {
    let time = app.config.ws.close_wait;
    let written = tokio::time::timeout(time, port.stream().write_all(&words)).await;
    if matches!(written, Ok(Ok(()))) {
        linger(port.into_stream(), time).await;
    }
}
