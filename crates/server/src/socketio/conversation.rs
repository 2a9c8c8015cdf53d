//! One session's conversation: takes in what the client says, and handles it in the
//! order in which it came, one thing at a time. While there is nothing to handle
//! there is no task.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fanwire_proto::socketio::{Kind, Limits, Packet, Reassembler};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::host::Shared;
use super::inbox::{Inbox, Item};
use super::joined::Member;
use crate::app::App;
use crate::engineio::{Engine, Reason, Talk};
use crate::handlers::{Args, caught};
use crate::rates::Buckets;

/// What is said over one session.
pub(super) struct Conversation {
    pub(super) shared: Arc<Shared>,
    pub(super) app: Arc<App>,
    engine: Weak<Engine>,
    /// What it may take yet, of each rate.
    pub(super) buckets: Buckets,
    reader: Mutex<Reassembler>,
    pub(super) state: Mutex<State>,
    pub(super) me: Weak<Self>,
}

/// What is known of it.
pub(super) struct State {
    pub(super) inbox: Inbox,
    /// The namespace that it is just being let go from, by its own word.
    leaving: Option<String>,
    /// A task handles what is there.
    working: bool,
    /// Of whoever waits to read more.
    reader: Option<Waker>,
    /// The namespaces that it is in; one whose connection closed stays until what
    /// came before is handled.
    pub(super) members: Vec<Member>,
    /// Namespaces that it was let go from, the newest last: what it said to them
    /// meanwhile is no fault.
    pub(super) left: Vec<String>,
    pub(super) closed: bool,
    /// Closes the session if it joins nothing.
    pub(super) timer: Option<AbortHandle>,
}

impl State {
    /// Whether the client has said that it leaves this namespace.
    pub(super) fn leaves(&self, written: &str) -> bool {
        self.leaving.as_deref() == Some(written) || self.inbox.leaves(written)
    }

    /// The waker of whoever waits to read more.
    pub(super) fn take_reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }
}

impl Conversation {
    pub(super) fn begin(shared: Arc<Shared>, engine: &Arc<Engine>) -> Arc<Self> {
        let settings = &engine.app.config.socketio;
        let limits = Limits {
            packet_bytes: settings.max_payload,
            ..Limits::default()
        };
        let conversation = Arc::new_cyclic(|me| Self {
            shared,
            app: engine.app.clone(),
            engine: Arc::downgrade(engine),
            buckets: Buckets::default(),
            reader: Mutex::new(Reassembler::new(limits)),
            state: Mutex::new(State {
                inbox: Inbox::new(settings.inbox_packets, settings.inbox_bytes),
                leaving: None,
                working: false,
                reader: None,
                members: Vec::new(),
                left: Vec::new(),
                closed: false,
                timer: None,
            }),
            me: me.clone(),
        });
        let (engine, patience) = (Arc::downgrade(engine), settings.connect_timeout);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            if let Some(engine) = engine.upgrade() {
                engine.close(Reason::ForcedClose);
            }
        });
        conversation.state.lock().timer = Some(timer.abort_handle());
        conversation
    }

    /// The session; none once it is gone.
    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.upgrade()
    }

    /// The socket in a namespace, as the client writes it.
    pub(super) fn member(&self, namespace: &str) -> Option<Member> {
        let state = self.state.lock();
        let mut members = state.members.iter();
        let found = members.find(|member| member.joined.written == namespace);
        found.cloned()
    }

    /// Says that the client broke the protocol, unless it could not know better: it
    /// was let go from that namespace.
    pub(super) fn unexpected(&self, namespace: &str) {
        let known = {
            let state = self.state.lock();
            state.closed || state.left.iter().any(|left| left == namespace)
        };
        if !known && let Some(engine) = self.engine() {
            engine.close(Reason::ForcedServerClose);
        }
    }

    /// Leaves something to be handled in its turn.
    pub(super) fn push(&self, item: Item) {
        let begins = {
            let mut state = self.state.lock();
            state.inbox.push(item);
            !std::mem::replace(&mut state.working, true)
        };
        if let Some(me) = self.me.upgrade().filter(|_| begins) {
            tokio::spawn(me.work());
        }
    }

    async fn work(self: Arc<Self>) {
        while let Some(item) = self.next() {
            // Answers that find no room are waited for before there are more of them.
            if let Some(engine) = self.engine().filter(|engine| !engine.has_room()) {
                engine.room().await;
            }
            // Code's own panics are caught where it is called; this is for ours.
            if caught(self.handle(item)).await.is_err()
                && let Some(engine) = self.engine()
            {
                engine.close(Reason::ForcedServerClose);
            }
        }
    }

    fn next(&self) -> Option<Item> {
        let mut state = self.state.lock();
        let item = state.inbox.pop();
        state.leaving = match &item {
            Some(Item::Disconnect { namespace }) => Some(namespace.clone()),
            _ => None,
        };
        state.working = item.is_some();
        let waker = match state.inbox.has_room() {
            true => state.reader.take(),
            false => None,
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        item
    }

    async fn handle(&self, item: Item) {
        match item {
            Item::Connect { namespace, auth } => self.connect(namespace, auth).await,
            Item::Event {
                namespace,
                name,
                args,
                id,
            } => match self.member(&namespace) {
                Some(member) => self.event(&member, name, args, id).await,
                None => self.unexpected(&namespace),
            },
            Item::Disconnect { namespace } => match self.member(&namespace) {
                Some(member) => self.part(&member.joined, Reason::ClientNamespaceDisconnect, false),
                None => self.unexpected(&namespace),
            },
            Item::Left(socket, reason) => {
                {
                    let mut state = self.state.lock();
                    state.members.retain(|member| !member.socket.is(&socket));
                }
                if let Some(code) = socket.space().code.clone() {
                    code.disconnected(socket, reason.as_str()).await;
                }
            }
        }
    }

    /// A packet came, whole. False: it breaks the protocol.
    fn take(&self, packet: &Packet<'_>, attachments: Vec<Bytes>) -> bool {
        let namespace = packet.namespace().to_owned();
        match packet.kind() {
            Kind::Connect => {
                let auth = Some(packet.data()).filter(|data| !data.is_empty());
                let auth = auth.map(str::to_owned);
                self.push(Item::Connect { namespace, auth });
            }
            Kind::Disconnect => self.push(Item::Disconnect { namespace }),
            Kind::Event | Kind::BinaryEvent => {
                let Some((name, args)) = packet.event() else {
                    return false;
                };
                self.push(Item::Event {
                    namespace,
                    name: name.into_owned(),
                    args: Args::received(args.as_str(), attachments),
                    id: packet.id(),
                });
            }
            Kind::Ack | Kind::BinaryAck => {
                let (Some(args), Some(id)) = (packet.ack(), packet.id()) else {
                    return false;
                };
                // Not queued: the handler before it in the queue may wait for it.
                match self.member(&namespace) {
                    Some(member) => {
                        let args = Args::received(args.as_str(), attachments);
                        member.socket.acks().resolve(id, args);
                    }
                    None => self.unexpected(&namespace),
                }
            }
            Kind::ConnectError => return false,
        }
        true
    }
}

impl Talk for Conversation {
    fn text(&self, text: Bytes) -> bool {
        let Ok(text) = std::str::from_utf8(&text) else {
            return false;
        };
        let mut reader = self.reader.lock();
        match reader.text(text) {
            Ok(Some(packet)) => {
                drop(reader);
                self.take(&packet, Vec::new())
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    fn binary(&self, bytes: Bytes) -> bool {
        let whole = self.reader.lock().binary(bytes);
        match whole {
            Ok(Some(whole)) => {
                let attachments = whole.attachments.clone();
                self.take(&whole.packet(), attachments)
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.inbox.has_room() || state.closed {
            return Poll::Ready(());
        }
        match &mut state.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn is_full(&self) -> bool {
        let state = self.state.lock();
        !state.inbox.has_room() && !state.closed
    }

    fn writable(&self) {
        let members = self.state.lock().members.clone();
        members.iter().for_each(|member| member.joined.writable());
    }

    fn closed(&self, reason: Reason) {
        self.reader.lock().clear();
        self.close(reason);
    }
}
