//! One Engine.IO session: who is behind it, its transport, what is said over it.
//!
//! `fanwire_proto::engineio::Session` decides; here its decisions are carried out. They are
//! made under one lock, so that a poll is answered once and by one thing. What is for the
//! client waits in the [`Outlet`], written there by subscribers of the hub: one of the
//! session itself, one for each namespace, all in the same shard.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};

use bytes::Bytes;
use fanwire_core::clock::{Clock as _, Instant};
use fanwire_core::hub::{ShardId, Writer};
use fanwire_core::policy::Subject;
use fanwire_proto::engineio::query::Transport;
use fanwire_proto::engineio::session::{
    Config, Control, Output, Outputs, PollId, PostId, Reason as Ended, Session, Source, WsId,
};
use fanwire_proto::engineio::{Open, Packet, Refusal, Wire};
use fanwire_proto::ws::{CloseCode, close_frame};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::outlet::{OnEnd, Outlet, OutletWriter};
use super::reason::Reason;
use super::registry::{Serving, Sid};
use super::talk::{Host, Talk};
use crate::app::App;
use crate::limit::Place;
use crate::metrics::Opened;
use crate::rates::Account;
use crate::refused::Kept;
use crate::shown::Shown;
use crate::transport::Listed;

/// The request that opened a session.
pub(crate) struct Handshake {
    /// Who sent it, as headers or a cookie showed; a namespace's `auth` may say more.
    pub(crate) subject: Subject,
    /// The client's address, a believed proxy's word considered.
    pub(crate) client: IpAddr,
    /// Who pays for what comes by it.
    pub(crate) account: Account,
    /// What else it said.
    pub(crate) request: Shown,
    /// Who is refused, where something of the session is.
    pub(crate) who: Kept,
}

/// One session. Kept by the registry under its secret sid until it is gone.
pub(crate) struct Engine {
    pub(crate) app: Arc<App>,
    pub(crate) handshake: Handshake,
    sid: Sid,
    pub(super) outlet: Arc<Outlet>,
    core: Mutex<Core>,
    /// Of all its subscribers.
    shard: OnceLock<ShardId>,
    talk: OnceLock<Arc<dyn Talk>>,
    /// The next deadline may have come nearer.
    sooner: Notify,
}

/// What is decided under one lock.
struct Core {
    session: Session,
    poll: Option<WaitingPoll>,
    /// What became of the POST under way.
    post: Option<(PostId, Option<Option<Refusal>>)>,
    /// Packets for the WebSocket that only tries.
    says: Vec<(WsId, Control)>,
    /// That one is to close.
    drops: Option<WsId>,
    /// Of the WebSocket's task.
    waker: Option<Waker>,
    /// Held while the session lives on polls: a WebSocket has a place of its own.
    place: Option<Place>,
}

struct WaitingPoll {
    id: PollId,
    answer: Option<Control>,
    waker: Option<Waker>,
}

/// What is left to do once the lock is released.
#[derive(Default)]
struct Left {
    /// For whoever gave the input.
    next: Option<Output>,
    closed: Option<Ended>,
    /// The WebSocket that the session lives on is to close.
    closes: bool,
    gone: bool,
    /// Packets for that WebSocket.
    sends: Vec<Control>,
}

/// How a session begins.
pub(crate) enum Opening {
    /// By a poll; the place is its client's, where places are counted.
    Polling(Option<Place>),
    /// By a WebSocket, whose answer has this head.
    WebSocket(Bytes),
}

impl Engine {
    /// Opens a session.
    pub(crate) fn open(
        app: &Arc<App>,
        handshake: Handshake,
        sid: Sid,
        opening: Opening,
        host: &dyn Host,
    ) -> (Arc<Self>, Option<WsId>) {
        let settings = &app.config.socketio;
        let config = Config {
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
            upgrade_timeout: settings.upgrade_timeout,
        };
        let now = app.clock.now();
        let (session, live, place, head) = match opening {
            Opening::Polling(place) => (Session::polling(config, now), None, place, None),
            Opening::WebSocket(head) => {
                let (session, id) = Session::websocket(config, now);
                (session, Some(id), None, Some(head))
            }
        };
        let engine = Arc::new(Self {
            app: app.clone(),
            handshake,
            sid,
            outlet: Arc::default(),
            core: Mutex::new(Core {
                session,
                poll: None,
                post: None,
                says: Vec::new(),
                drops: None,
                waker: None,
                place,
            }),
            shard: OnceLock::new(),
            talk: OnceLock::new(),
            sooner: Notify::new(),
        });
        Serving::of(app).engines.keep(&engine.sid, engine.clone());
        if let Some(head) = head {
            engine.outlet.put(engine.greeting(&head));
        } else {
            tokio::spawn(engine.clone().keep_time());
        }
        // It is set once, here.
        let _ = engine.talk.set(host.opened(&engine));
        (engine, live)
    }

    /// The answer's head and the first packet, as a WebSocket begins.
    fn greeting(&self, head: &[u8]) -> Bytes {
        let mut words = head.to_vec();
        Wire::WebSocket.text(&mut words, |out| self.hello(false).write(out));
        words.into()
    }

    /// The first packet.
    pub(crate) fn hello(&self, upgrade: bool) -> Open<'_> {
        let settings = &self.app.config.socketio;
        Open {
            sid: self.sid.as_str(),
            upgrade,
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
            max_payload: settings.max_payload,
        }
    }

    /// Sends a finished unit (WebSocket frames, unmasked: text packets as text frames,
    /// attachments as binary ones; a polling answer is made of them) that belongs to no
    /// namespace: a refusal to connect, a disconnect.
    pub(crate) fn send(&self, unit: Bytes) {
        if !self.outlet.put(unit) && self.core.lock().session.is_open() {
            // A client that asks and does not read.
            self.close(Reason::TransportError);
        }
    }

    /// What the subscriber of a namespace (as the client writes it) writes to; how it ends is told to `on_end`, from
    /// within the shard's turn, so briefly. All of a session's subscribers are in the
    /// shard that [`Engine::shard`] names.
    pub(crate) fn writer(&self, namespace: &str, on_end: OnEnd) -> Box<dyn Writer> {
        self.app.metrics.opens(Opened::SocketIo);
        let Handshake { client, who, .. } = &self.handshake;
        let who = who.within(namespace);
        let listed = Listed::new(&self.app, Opened::SocketIo, Some(*client), who);
        Box::new(OutletWriter::new(&self.outlet, on_end).listed(listed))
    }

    /// The shard of all its subscribers; none before the first.
    pub(crate) fn shard(&self) -> Option<ShardId> {
        self.shard.get().copied()
    }

    /// The first of its subscribers is in this shard.
    pub(crate) fn settle(&self, shard: ShardId) {
        self.shard.get_or_init(|| shard);
    }

    /// A subscriber of its is given a reply of so many bytes.
    pub(crate) fn owe(&self, bytes: usize) {
        self.outlet.owe(bytes);
    }

    /// Whether there is room for more replies.
    pub(crate) fn has_room(&self) -> bool {
        self.outlet.has_room()
    }

    /// Waits until there is: who does not read hears no more answers.
    pub(crate) async fn room(&self) {
        std::future::poll_fn(|cx| self.outlet.poll_room(cx)).await;
    }

    /// Ends the session: for those above at once, for the peer politely. The first
    /// reason counts.
    pub(crate) fn close(&self, reason: Reason) {
        let reason = match reason {
            Reason::ServerShuttingDown => Ended::ServerShuttingDown,
            Reason::PingTimeout => Ended::PingTimeout,
            Reason::TransportClose | Reason::ClientNamespaceDisconnect => Ended::TransportClose,
            Reason::TransportError => Ended::TransportError,
            Reason::Parse => Ended::ParseError,
            Reason::ForcedClose | Reason::ServerNamespaceDisconnect => Ended::ForcedClose,
            Reason::ForcedServerClose => Ended::ForcedServerClose,
        };
        self.input(|session, now| session.close(now, reason));
    }

    /// Which transport it lives on.
    pub(crate) fn transport(&self) -> Transport {
        self.core.lock().session.transport()
    }

    /// Its subscribers may write again.
    pub(super) fn writable(&self) {
        if let Some(talk) = self.talk.get() {
            talk.writable();
        }
    }

    pub(crate) fn talk(&self) -> Option<&Arc<dyn Talk>> {
        self.talk.get()
    }

    /// Ends its WebSocket with this code, behind what subscribers still have to say.
    pub(super) fn end(&self, code: CloseCode, why: &str) {
        self.outlet.finish(close_frame(Some(code), why));
    }

    fn now(&self) -> Instant {
        self.app.clock.now()
    }

    /// Gives the session an input, carries out what follows, and returns what is the
    /// caller's to do.
    pub(crate) fn input(
        &self,
        work: impl FnOnce(&mut Session, Instant) -> Outputs,
    ) -> Option<Output> {
        let left = {
            let mut core = self.core.lock();
            let before = core.session.next_deadline();
            let outputs = work(&mut core.session, self.now());
            let left = self.carry(&mut core, outputs);
            if core.session.next_deadline() < before {
                self.sooner.notify_one();
            }
            left
        };
        self.finish(left)
    }

    /// A packet came. True where it is a message for the application.
    pub(crate) fn packet(&self, from: Source, packet: &Packet<'_>) -> bool {
        let next = self.input(|session, now| session.packet(now, from, packet));
        matches!(next, Some(Output::Deliver))
    }

    fn carry(&self, core: &mut Core, outputs: Outputs) -> Left {
        let mut left = Left::default();
        let mut more = Some(outputs);
        while let Some(outputs) = more.take() {
            for output in outputs {
                match output {
                    Output::AnswerPoll { id, with } => match &mut core.poll {
                        Some(poll) if poll.id == id && poll.answer.is_none() => {
                            poll.answer = Some(with);
                            wake(poll.waker.take());
                        }
                        _ if with == Control::Ping => {
                            more = Some(core.session.unsent(self.now()));
                        }
                        _ => {}
                    },
                    Output::AnswerPost { id, refused } => core.post = Some((id, Some(refused))),
                    Output::SendWs { id, packet } if core.session.is_live(id) => {
                        left.sends.push(packet);
                    }
                    Output::SendWs { id, packet } => {
                        core.says.push((id, packet));
                        wake(core.waker.take());
                    }
                    Output::CloseWs { id, .. } if core.session.is_live(id) => left.closes = true,
                    Output::CloseWs { id, .. } => {
                        core.drops = Some(id);
                        wake(core.waker.take());
                    }
                    Output::Closed(reason) => left.closed = Some(reason),
                    Output::Gone => {
                        left.gone = true;
                        core.place = None;
                    }
                    Output::ServePoll { id, .. } => {
                        // From here on it can be answered.
                        core.poll = Some(WaitingPoll {
                            id,
                            answer: None,
                            waker: None,
                        });
                        left.next = Some(output);
                    }
                    next => left.next = Some(next),
                }
            }
        }
        left
    }

    /// Does what is not done under the lock.
    fn finish(&self, left: Left) -> Option<Output> {
        for packet in left.sends {
            let mut unit = Vec::with_capacity(8);
            Wire::WebSocket.text(&mut unit, |out| {
                out.extend_from_slice(packet.text().as_bytes())
            });
            self.send(unit.into());
        }
        if let Some(reason) = left.closed {
            tracing::debug!(client = %self.handshake.client, reason = reason.as_str(), "session closed");
            self.outlet.forgive();
            // Those above first: what they still say stands before the last word.
            if let Some(talk) = self.talk.get() {
                talk.closed(reason.into());
            }
        }
        if left.closes {
            let code = match left.closed {
                Some(Ended::ServerShuttingDown) => CloseCode::RESTART,
                _ => CloseCode::NORMAL,
            };
            self.end(code, "");
        }
        if left.gone {
            Serving::of(&self.app).engines.forget(&self.sid);
            self.sooner.notify_one();
        }
        left.next
    }

    /// Pings and times out, for as long as the session lives on polls; a WebSocket's task
    /// does so itself.
    async fn keep_time(self: Arc<Self>) {
        loop {
            let deadline = {
                let core = self.core.lock();
                let polls = core.session.transport() == Transport::Polling;
                core.session.next_deadline().filter(|_| polls)
            };
            let Some(deadline) = deadline else {
                return;
            };
            let at = self.app.clock.deadline(deadline);
            tokio::select! {
                () = tokio::time::sleep_until(at) => {
                    self.input(|session, now| session.tick(now));
                }
                () = self.sooner.notified() => {}
            }
        }
    }
}

/// What a poll sees.
impl Engine {
    /// What this poll is answered with by the session itself; else whether `take` finds
    /// something for it, under the lock, so that it is answered by one of both.
    pub(super) fn answer_of<T>(
        &self,
        id: PollId,
        cx: &Context<'_>,
        take: impl FnOnce() -> Option<T>,
    ) -> Option<Result<T, Control>> {
        let left;
        let taken = {
            let mut core = self.core.lock();
            let Some(poll) = core.poll.as_mut().filter(|poll| poll.id == id) else {
                // Nobody else will answer it.
                return Some(Err(Control::Close));
            };
            if let Some(answer) = poll.answer {
                core.poll = None;
                return Some(Err(answer));
            }
            let Some(taken) = take() else {
                if let Some(poll) = core.poll.as_mut().filter(|poll| poll.id == id) {
                    poll.waker = Some(cx.waker().clone());
                }
                return None;
            };
            core.poll = None;
            let outputs = core.session.poll_answered(self.now(), id);
            left = self.carry(&mut core, outputs);
            taken
        };
        self.finish(left);
        Some(Ok(taken))
    }

    /// What became of a POST, if that is decided.
    pub(crate) fn outcome_of(&self, id: PostId) -> Option<Option<Refusal>> {
        let core = self.core.lock();
        core.post
            .as_ref()
            .filter(|(of, _)| *of == id)
            .and_then(|(_, outcome)| *outcome)
    }
}

/// What a WebSocket's task sees.
pub(super) struct Seen {
    /// Packets to write: it only tries.
    pub(super) says: Vec<Control>,
    /// It is to close: it only tried.
    pub(super) drops: bool,
    /// When the session is to be looked at, where it lives on this one.
    pub(super) deadline: Option<Instant>,
}

impl Engine {
    /// Keeps the waker of a WebSocket's task, and says what there is to do for it.
    pub(super) fn look(&self, id: WsId, cx: &Context<'_>) -> Seen {
        let mut core = self.core.lock();
        match &mut core.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let says = core.says.extract_if(.., |(of, _)| *of == id);
        let says = says.map(|(_, packet)| packet).collect();
        Seen {
            says,
            drops: core.drops.take_if(|of| *of == id).is_some(),
            deadline: core
                .session
                .next_deadline()
                .filter(|_| core.session.is_live(id)),
        }
    }

    /// The session has moved to a WebSocket, whose place counts from now on.
    pub(super) fn moved(&self) {
        self.core.lock().place = None;
        // Whoever kept the time of polls is done.
        self.sooner.notify_one();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
