//! Clients without Socket.IO, as code sees them: whoever sent an event with a POST,
//! whoever wants to listen at a URL, and WebSockets while they last. Who they are and
//! what they may, the door has said before.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::error::{Code as ErrorCode, Refusal};
use fanwire_core::hub::{End, Subscriber};
use fanwire_core::key::{Key, Namespace, SocketId};
use fanwire_core::limits::{MAX_KEYS, MAX_URL_CHANNELS};
use fanwire_core::message::{Body, Keys};
use fanwire_core::policy::Permit;
use serde::de::IgnoredAny;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::args::Args;
use super::auth::Auth;
use super::convert::Reply;
use super::native::{Hears, Native, Post};
use super::refusal::ConnectRefusal;
use super::socket::{Data, Link, New, Socket};
use super::space::Space;
use crate::shown::Shown;

/// An event on its way through code.
pub(crate) type Calling = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Code at work for a client, whatever it is.
pub(crate) type AtWork = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whoever wants to listen where code serves, before code was asked.
pub(crate) struct Comer {
    /// Of the channels, those with code; never empty.
    pub(crate) spaces: Vec<Arc<Space>>,
    /// The request.
    pub(crate) request: Shown,
    /// By whom; behind configured proxies the one that they name.
    pub(crate) client: IpAddr,
    /// What is shown to code: a JSON object.
    pub(crate) auth: String,
    /// How long code may take.
    pub(crate) time: Duration,
    /// Rooms of one socket at most, beside the channels of its URL.
    pub(crate) rooms: usize,
}

/// A client that may listen, in each namespace that has code. Dropped, it has gone.
pub(crate) struct Visit {
    id: SocketId,
    link: Arc<Native>,
    sockets: Vec<Socket>,
    /// Its code was, or is to be, told that it is in.
    entered: bool,
}

/// Lets code handle what a POST brought. The permit is one to publish.
pub(crate) fn posted(
    space: Arc<Space>,
    id: SocketId,
    permit: &Permit,
    post: Post,
    (event, body): (String, Body),
) -> Calling {
    let hint = is_json_as_text(&body);
    let socket = socket(space, id, permit, Arc::new(post), 0);
    match socket.enter(|_| Ok::<_, Infallible>(socket.space().now())) {
        Ok(()) => {}
        Err(never) => match never {},
    }
    Box::pin(async move {
        let mut reply = called(socket.clone(), event, body).await;
        socket.go();
        if let Reply::Rejected(why) = &mut reply
            && hint
            && why.code == "bad_request"
            && why
                .at
                .as_deref()
                .is_some_and(|at| at.starts_with("args[0]"))
        {
            why.message.push_str(AS_TEXT);
        }
        reply
    })
}

/// `curl -d '{…}'` sends a form, which is a text: whoever meant JSON is told so.
const AS_TEXT: &str = "; the body came as a text, send JSON as application/json";

fn is_json_as_text(body: &Body) -> bool {
    matches!(body, Body::Text(text) if serde_json::from_slice::<IgnoredAny>(text).is_ok())
}

impl Comer {
    /// Asks code, of one namespace after the other, whether it may come. The permit is
    /// one to listen; `id` will be the connection's.
    ///
    /// # Errors
    /// The first refusal; one of its own where code takes too long.
    pub(crate) async fn asks(
        self,
        id: SocketId,
        permit: &Permit,
        hears: Hears,
    ) -> Result<Visit, ConnectRefusal> {
        let until = Instant::now() + self.time;
        let rooms = (MAX_KEYS - MAX_URL_CHANNELS) / self.spaces.len().max(1) - 1;
        let rooms = self.rooms.min(rooms);
        // Not in yet: however this ends, its sockets are let go.
        let mut visit = Visit {
            link: Arc::new(Native::new(hears, permit, self.request, self.client)),
            id,
            sockets: Vec::new(),
            entered: false,
        };
        for space in self.spaces {
            let Some(code) = space.code.clone() else {
                continue;
            };
            let socket = socket(space, visit.id.clone(), permit, visit.link.clone(), rooms);
            visit.sockets.push(socket.clone());
            let auth = Auth::new(Some(self.auth.clone()));
            let late = |_| {
                let sentence = "the server took too long to let you in; come back later";
                ConnectRefusal::from(&Refusal::new(ErrorCode::Unavailable, sentence))
            };
            timeout_at(until, code.connects(socket, auth))
                .await
                .map_err(late)??;
        }
        Ok(visit)
    }
}

impl Visit {
    /// The public id of its connection.
    pub(crate) fn id(&self) -> &SocketId {
        &self.id
    }

    /// Whether code has something to do once it is in: what it says first comes first.
    pub(crate) fn greets(&self) -> bool {
        let greets = |socket: &Socket| {
            let code = socket.space().code.as_ref();
            code.is_some_and(|code| code.greets())
        };
        self.sockets.iter().any(greets)
    }

    /// It is in: from now on it hears what is sent to it, and can be found. What its
    /// code is told of that is to be waited for; messages wait for it, too.
    pub(crate) fn enter(&mut self, subscriber: &Arc<Subscriber>) -> AtWork {
        self.link.goes_by(subscriber);
        self.entered = true;
        for socket in &self.sockets {
            let entered = socket.enter(|rooms| {
                let space = socket.space();
                let mut keys = Keys::from_iter([socket.own_key()]);
                let joined = rooms.iter().filter(|(_, at)| at.is_none());
                keys.extend(
                    joined.map(|(name, _)| Key::Channel(space.namespace.clone(), name.clone())),
                );
                let heard = self.link.hear(space, keys);
                // Stopped meanwhile: it is in for the moment until it hears so.
                Ok::<_, Infallible>(heard.unwrap_or_else(|refusal| {
                    subscriber.end(End::Refused(refusal));
                    space.now()
                }))
            });
            match entered {
                Ok(()) => socket.space().enter(socket),
                Err(never) => match never {},
            }
        }
        let sockets = self.sockets.clone();
        let link = self.greets().then(|| self.link.clone());
        Box::pin(async move {
            for socket in sockets {
                if let Some(code) = socket.space().code.clone() {
                    code.connected(socket).await;
                }
            }
            if let Some(link) = link {
                link.greeted();
            }
        })
    }

    /// Lets the code of a namespace handle what it sent.
    pub(crate) fn calls(
        &self,
        namespace: &Namespace,
        (event, body): (String, Body),
    ) -> Option<Calling> {
        let of = |socket: &&Socket| socket.space().namespace == *namespace;
        let socket = self.sockets.iter().find(of)?.clone();
        Some(Box::pin(called(socket, event, body)))
    }

    /// It goes on by another permit, perhaps as somebody else, with what was kept with it.
    pub(crate) fn renews(&mut self, permit: &Permit) {
        let Some(space) = self.sockets.first().map(|one| one.space().clone()) else {
            return;
        };
        // What joins and leaves waits meanwhile: the permit is for exactly what it hears.
        Socket::holding(&self.sockets, |rooms| {
            let own = self.sockets.iter().map(Socket::own_key);
            let beside = rooms.into_iter().filter(|key| !permit.keys().contains(key));
            self.link
                .renews(&space, permit, own.chain(beside).collect());
        });
        let user = self.link.user();
        for socket in &mut self.sockets {
            *socket = socket.becomes(user.clone());
            socket.space().enter(socket);
        }
    }

    /// It has gone, for a reason in the words of Socket.IO: its code is told once what
    /// it was at is done. `held` until then.
    pub(crate) fn leaves(
        mut self,
        reason: &'static str,
        at_work: Option<AtWork>,
        held: impl Send + 'static,
    ) {
        self.part(reason, at_work, held);
    }

    fn part(&mut self, reason: &'static str, at_work: Option<AtWork>, held: impl Send + 'static) {
        let mut gone = std::mem::take(&mut self.sockets);
        gone.retain(Socket::go);
        // Without a runtime nothing is left that could be told.
        let Some(runtime) = Handle::try_current().ok().filter(|_| self.entered) else {
            return;
        };
        if gone.is_empty() && at_work.is_none() {
            return;
        }
        runtime.spawn(async move {
            if let Some(at_work) = at_work {
                at_work.await;
            }
            for socket in gone {
                if let Some(code) = socket.space().code.clone() {
                    code.disconnected(socket, reason).await;
                }
            }
            drop(held);
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let reason = match std::thread::panicking() {
            true => "forced server close",
            false => "transport close",
        };
        self.part(reason, None, ());
    }
}

async fn called(socket: Socket, event: String, body: Body) -> Reply {
    // Asked before: it takes the event.
    let Some(code) = socket.space().code.clone() else {
        return Reply::None;
    };
    let args = Args::of_body(body);
    code.event(socket, event, args).await.unwrap_or(Reply::None)
}

/// A socket in the channels of a permit that are its namespace's, and in `rooms` more
/// at most.
fn socket(
    space: Arc<Space>,
    id: SocketId,
    permit: &Permit,
    link: Arc<dyn Link>,
    rooms: usize,
) -> Socket {
    let now = space.now();
    let channels = permit.keys().iter().filter_map(|key| match key {
        Key::Channel(namespace, name) if *namespace == space.namespace => Some((name.clone(), now)),
        Key::Channel(..) | Key::All(_) | Key::Socket(..) => None,
    });
    let channels: Vec<_> = channels.collect();
    Socket::new(New {
        id,
        user: permit.subject().clone(),
        recovered: false,
        max_rooms: channels.len() + rooms,
        rooms: channels,
        data: Data::default(),
        link,
        max_acks: 0,
        space,
    })
}
