//! A client joins a namespace: who it is, whether it may, whether it has been here
//! before. Nothing that it says is heard before all of that is decided, and nothing
//! that it says once it was told is lost, because handlers are there before sockets.

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::clock::Clock as _;
use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::error::{Code as ErrorCode, Refusal};
use fanwire_core::hub::{Attach, End, Kind, Start};
use fanwire_core::key::{Key, Namespace, SocketId};
use fanwire_core::message::Keys;
use fanwire_core::policy::{Subject, Verb};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::conversation::Conversation;
use super::joined::{Joined, Member};
use super::recovery::{Record, Taken};
use super::units;
use crate::clock::connection_id;
use crate::dialect::Form;
use crate::dialect::socketio::read_offset;
use crate::engineio::{Engine, Reason};
use crate::handlers::{Auth, ConnectRefusal, Link as _, New, Socket, Space};
use crate::rates::{Account, Payer};

/// What a stock client shows beside what its application does.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Shown {
    token: Option<serde_json::Value>,
    pid: Option<serde_json::Value>,
    offset: Option<serde_json::Value>,
}

/// A client that may come in.
struct Comer {
    engine: Arc<Engine>,
    space: Arc<Space>,
    written: String,
    subject: Subject,
    account: Account,
    auth: Option<String>,
    /// Sockets are recovered here.
    recovers: bool,
}

/// What became of it.
enum Came {
    In,
    /// It was refused, or its session has gone.
    Not,
    /// What it missed is not whole.
    NotWhole,
}

/// Why a client may not come in.
enum No {
    /// There is no such namespace.
    Namespace,
    /// This is said.
    Said(ConnectRefusal),
}

impl No {
    /// In a word of the table of errors.
    fn as_refusal(&self) -> Refusal {
        match self {
            Self::Namespace => Refusal::new(ErrorCode::NotFound, "there is no such namespace"),
            Self::Said(why) => why.as_refusal(),
        }
    }
}

impl From<No> for ConnectRefusal {
    fn from(no: No) -> Self {
        match no {
            // In the words that stock clients know.
            No::Namespace => Self::from("Invalid namespace"),
            No::Said(why) => why,
        }
    }
}

impl Conversation {
    /// Lets a client into a namespace, or says why not.
    pub(super) async fn connect(&self, written: String, auth: Option<String>) {
        let Some(engine) = self.engine() else { return };
        if self.member(&written).is_some() {
            return engine.close(Reason::ForcedServerClose);
        }
        let shown: Shown = auth
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default();
        let comer = self.admit(&engine, &written, &shown, auth).await;
        let refused = match comer {
            Ok(comer) => self.come(&comer, &shown).await.err().map(No::Said),
            Err(refused) => Some(refused),
        };
        if let Some(refused) = refused {
            let who = engine.handshake.who.within(&written);
            self.app.refuses_kept(&refused.as_refusal(), &who);
            let refused = ConnectRefusal::from(refused);
            engine.send(units::connect_error(&written, &refused));
        }
    }

    /// Who it is, and whether it may.
    async fn admit(
        &self,
        engine: &Arc<Engine>,
        written: &str,
        shown: &Shown,
        auth: Option<String>,
    ) -> Result<Comer, No> {
        let (app, handshake) = (&self.app, &engine.handshake);
        let invalid = || No::Namespace;
        let told = |refusal: Refusal| No::Said(ConnectRefusal::from(&refusal));
        let most = app.config.socketio.namespaces;
        if self.state.lock().members.len() >= most {
            let sentence = format!("a session joins at most {most} namespaces");
            let refusal = Refusal::new(ErrorCode::TooManyChannels, sentence);
            return Err(told(refusal));
        }
        let namespace = match written.strip_prefix('/') {
            Some("") => Namespace::root(),
            Some(name) => Namespace::new(name).map_err(|_| invalid())?,
            None => return Err(invalid()),
        };
        let rules = app.config.socket_rules(&namespace);
        if !rules.on && !self.shared.spaces.serves(&namespace) {
            return Err(invalid());
        }
        let subject = match &shown.token {
            Some(serde_json::Value::String(token)) if app.auth.takes_tokens() => {
                app.auth.bearer(token, app.now()).await.map_err(told)?
            }
            _ => handshake.subject.clone(),
        };
        let account = app.rates.becomes(handshake.account, &subject);
        let all = Key::All(namespace.clone());
        let payer = Payer {
            buckets: &self.buckets,
            account,
        };
        let keys = Keys::from_iter([all.clone()]);
        let now = app.clock.now();
        app.rates.listens(payer, &keys, true, now).map_err(told)?;
        app.door
            .ask(&subject, Verb::Subscribe, &all)
            .map_err(told)?;
        let space = self.shared.spaces.get(&namespace);
        let history = app.door.namespaces().rules(&namespace).history;
        Ok(Comer {
            engine: engine.clone(),
            space,
            written: written.to_owned(),
            subject,
            account,
            auth,
            recovers: rules.recovery && !history.is_off(),
        })
    }

    async fn come(&self, comer: &Comer, shown: &Shown) -> Result<(), ConnectRefusal> {
        let text = |value: &Option<serde_json::Value>| {
            let text = value.as_ref().and_then(serde_json::Value::as_str);
            text.map(str::to_owned)
        };
        let pid = text(&shown.pid).filter(|_| comer.recovers);
        if let Some((id, taken)) = self.returning(comer, pid.as_deref()) {
            let offset = text(&shown.offset).and_then(|offset| read_offset(&offset));
            let mut record = taken.record;
            record.from = offset.unwrap_or(record.from);
            match self
                .enter(comer, id.clone(), Some(record.clone()), false)
                .await
            {
                Ok(Came::In) => return Ok(()),
                // Its connection broke again: it may come once more.
                Ok(Came::Not) => {
                    let now = self.app.clock.now();
                    self.shared.recovery.put_back(&id, record, now);
                    return Ok(());
                }
                Ok(Came::NotWhole) => {}
                Err(refused) => return Err(refused),
            }
        }
        self.enter(comer, connection_id(), None, pid.is_some())
            .await
            .map(drop)
    }

    /// The socket that it had; whoever else still has it loses it.
    fn returning(&self, comer: &Comer, pid: Option<&str>) -> Option<(SocketId, Taken)> {
        let namespace = &comer.space.namespace;
        let id = self.shared.pids.check(namespace, pid?)?;
        let (now, window) = (self.app.clock.now(), self.app.config.socketio.recovery);
        let recovery = &self.shared.recovery;
        let taken = recovery.take(&id, namespace, &comer.subject, now, window)?;
        if let Some(holder) = &taken.holder
            && let Some(home) = holder.joined.home.upgrade()
        {
            home.superseded(&holder.joined);
        }
        Some((id, taken))
    }

    /// Comes in as `id`: with what it had, or anew; then `$gap` says so where it
    /// had hoped for more (`missed`).
    async fn enter(
        &self,
        comer: &Comer,
        id: SocketId,
        had: Option<Record>,
        missed: bool,
    ) -> Result<Came, ConnectRefusal> {
        let (app, settings) = (&self.app, &self.app.config.socketio);
        let namespace = &comer.space.namespace;
        let (data, rooms) = match &had {
            Some(record) => (record.data.clone(), record.rooms.clone()),
            None => Default::default(),
        };
        // Before attach: rather a message more, of just before, than one less.
        let now = app.hub.lineage().cursor(app.hub.applied());
        let record = had.clone().unwrap_or_else(|| Record {
            namespace: namespace.clone(),
            user: comer.subject.clone(),
            since: now,
            from: now,
            rooms: Vec::new(),
            data: Arc::clone(&data),
        });
        let (since, from) = (record.since, record.from);
        let recovers = comer.recovers && self.shared.recovery.open(&id, record);
        let joined = Arc::new(Joined {
            namespace: namespace.clone(),
            written: comer.written.clone(),
            id: id.clone(),
            subject: comer.subject.clone(),
            account: comer.account,
            recovers,
            home: self.me.clone(),
            engine: Arc::downgrade(&comer.engine),
            door: app.door.clone(),
            asked: Mutex::default(),
            subscriber: Mutex::default(),
        });
        let socket = Socket::new(New {
            space: comer.space.clone(),
            id,
            user: comer.subject.clone(),
            recovered: had.is_some(),
            rooms,
            data,
            link: joined.clone(),
            max_rooms: settings.rooms,
            max_acks: settings.acks,
        });
        let member = Member { joined, socket };
        let came = self
            .attach(comer, &member, had.is_some(), (since, from, now))
            .await;
        match came {
            Ok(Came::In) => {
                self.begin_member(&member, missed).await;
                Ok(Came::In)
            }
            other => {
                self.shared.recovery.forget(&member.socket);
                member.socket.go();
                member.joined.end(false);
                other
            }
        }
    }

    /// Asks its code, and lets the hub serve it.
    async fn attach(
        &self,
        comer: &Comer,
        member: &Member,
        returns: bool,
        (since, from, now): (Cursor, Cursor, Cursor),
    ) -> Result<Came, ConnectRefusal> {
        let (socket, joined) = (&member.socket, &member.joined);
        if !returns && let Some(user) = comer.subject.user() {
            for room in user.rooms.iter() {
                if let Key::Channel(namespace, name) = room
                    && *namespace == joined.namespace
                {
                    let told = |why: Refusal| ConnectRefusal::from(&why);
                    socket.join(name.as_str()).map_err(told)?;
                }
            }
        }
        if let Some(code) = &comer.space.code {
            let auth = Auth::new(comer.auth.clone());
            code.connects(socket.clone(), auth).await?;
        }
        if self.state.lock().closed {
            return Ok(Came::Not);
        }
        // What is emitted to a socket that is recovered has its place in the one order.
        let greets = comer.space.code.as_ref().is_some_and(|code| code.greets());
        let greeting = match greets && !joined.recovers {
            true => self.app.config.http.on_connected_wait,
            false => Duration::ZERO,
        };
        let attached = socket.enter(|rooms| {
            let mut keys = Keys::from_iter([
                Key::All(joined.namespace.clone()),
                Key::Socket(joined.namespace.clone(), joined.id.clone()),
            ]);
            let mut floors = vec![since, since];
            for (name, at) in rooms {
                keys.push(Key::Channel(joined.namespace.clone(), name.clone()));
                floors.push(at.unwrap_or(now));
            }
            let start = match returns {
                true => Start::After(CursorText::Cursor(from)),
                false => Start::Latest,
            };
            let (home, me) = (self.me.clone(), Arc::clone(joined));
            let on_end = Box::new(move |end: End| {
                // Told from within a shard's turn, so the rest is done elsewhere.
                if let (Some(home), Ok(runtime)) = (home.upgrade(), Handle::try_current()) {
                    runtime.spawn(async move { home.ended(&me, end) });
                }
            });
            let subscriber = self.app.hub.attach(Attach {
                permit: joined.permit(keys)?,
                start,
                since: match returns {
                    true => floors.into_iter().collect(),
                    false => Default::default(),
                },
                form: Form::SocketIo {
                    recovery: joined.recovers,
                }
                .id(),
                greeting,
                preface: bytes::Bytes::new(),
                kind: Kind::Stream,
                conn: joined.id.clone(),
                writer: comer.engine.writer(&joined.written, on_end),
                heartbeat: None,
                shard: comer.engine.shard(),
            })?;
            comer.engine.settle(subscriber.shard());
            *joined.subscriber.lock() = Some(subscriber);
            Ok::<_, Refusal>(now)
        });
        attached.map_err(|why| ConnectRefusal::from(&why))?;
        if returns && !self.is_whole(joined).await {
            let closed = self.state.lock().closed;
            return Ok(if closed { Came::Not } else { Came::NotWhole });
        }
        Ok(Came::In)
    }

    /// Waits until what was missed is known to be whole; false where it is not.
    async fn is_whole(&self, joined: &Joined) -> bool {
        let (sender, opened) = oneshot::channel();
        if let Some(subscriber) = &*joined.subscriber.lock() {
            // Its turn comes once the connect reply is written.
            subscriber.emit(Box::new(move |_| {
                let _ = sender.send(());
                bytes::Bytes::new()
            }));
        }
        opened.await.is_ok()
    }

    /// It is in: from now on its events are handled.
    async fn begin_member(&self, member: &Member, missed: bool) {
        let closed = {
            let mut state = self.state.lock();
            if let Some(timer) = state.timer.take() {
                timer.abort();
            }
            state.left.retain(|left| *left != member.joined.written);
            state.members.push(member.clone());
            state.closed
        };
        member.socket.space().enter(&member.socket);
        if member.joined.recovers {
            self.shared.recovery.hold(member);
        }
        if missed {
            let told = units::gap();
            member.joined.send("$gap", &told, None);
        }
        if closed {
            // The session went meanwhile, and did not see this one.
            self.close(Reason::TransportClose);
        }
        if let Some(code) = member.socket.space().code.clone() {
            code.connected(member.socket.clone()).await;
            member.joined.greeted();
        }
    }
}
