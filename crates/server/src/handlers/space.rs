//! A namespace as code sees it: who is in, and how something is sent.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use fanwire_core::cursor::Cursor;
use fanwire_core::error::{Code as ErrorCode, Refusal};
use fanwire_core::hub::{Draft, History, Hub};
use fanwire_core::key::{Key, Namespace, SocketId};
use fanwire_core::message::{EventName, Keys};
use fanwire_core::policy::{Door, Permit, Subject, Verb};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::application::Application;
use super::args::{Args, InvalidArgs};
use super::code::Code;
use super::convert::IntoArgs;
use super::socket::Socket;

/// Something on its way.
pub(super) type Sending = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// All namespaces that anybody is in or holds.
pub(crate) struct Spaces {
    hub: Arc<Hub>,
    door: Arc<Door>,
    application: Application,
    spaces: Mutex<HashMap<Namespace, Weak<Space>>>,
    sockets: AtomicUsize,
    me: Weak<Self>,
}

/// One namespace.
pub(crate) struct Space {
    pub(crate) namespace: Namespace,
    pub(crate) code: Option<Arc<Code>>,
    hub: Arc<Hub>,
    door: Arc<Door>,
    sockets: Mutex<HashMap<SocketId, Socket>>,
    home: Weak<Spaces>,
}

impl Spaces {
    pub(crate) fn new(hub: Arc<Hub>, door: Arc<Door>, application: Application) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            hub,
            door,
            application,
            spaces: Mutex::default(),
            sockets: AtomicUsize::new(0),
            me: me.clone(),
        })
    }

    /// The namespace of this name.
    pub(crate) fn get(&self, namespace: &Namespace) -> Arc<Space> {
        let mut spaces = self.spaces.lock();
        if let Some(space) = spaces.get(namespace).and_then(Weak::upgrade) {
            return space;
        }
        let space = Arc::new(Space {
            namespace: namespace.clone(),
            code: self.application.find(namespace),
            hub: self.hub.clone(),
            door: self.door.clone(),
            sockets: Mutex::default(),
            home: self.me.clone(),
        });
        spaces.insert(namespace.clone(), Arc::downgrade(&space));
        space
    }

    /// The same, by its name as clients write it.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Space>> {
        super::pattern::namespace(name)
            .ok()
            .map(|namespace| self.get(&namespace))
    }

    /// The code.
    pub(crate) fn application(&self) -> &Application {
        &self.application
    }

    /// Those of these channels' namespaces that code serves in this way.
    pub(crate) fn served(&self, keys: &Keys, so: impl Fn(&Code) -> bool) -> Vec<Arc<Space>> {
        let mut spaces: Vec<Arc<Space>> = Vec::new();
        if self.application.is_empty() {
            return spaces;
        }
        for key in keys {
            let namespace = key.namespace();
            let new = spaces.iter().all(|space| space.namespace != *namespace);
            let code = self.application.find(namespace);
            if new && code.is_some_and(|code| so(&code)) {
                spaces.push(self.get(namespace));
            }
        }
        spaces
    }

    /// Whether code is asked about whoever listens to any of these channels.
    pub(crate) fn asks_any(&self, keys: &Keys) -> bool {
        let asks = |key: &Key| {
            let code = self.application.find(key.namespace());
            code.is_some_and(|code| code.asks())
        };
        !self.application.is_empty() && keys.iter().any(asks)
    }

    /// Whether code serves it.
    pub(crate) fn serves(&self, namespace: &Namespace) -> bool {
        self.application.find(namespace).is_some()
    }

    /// The namespace of this name, where code takes this event.
    pub(crate) fn taking(&self, namespace: &Namespace, event: &str) -> Option<Arc<Space>> {
        let code = self.application.find(namespace)?;
        code.takes(event).then(|| self.get(namespace))
    }

    /// Everyone who is in anywhere.
    pub(crate) fn everyone(&self) -> Vec<Socket> {
        let spaces: Vec<_> = self.spaces.lock().values().cloned().collect();
        let spaces = spaces.iter().filter_map(Weak::upgrade);
        spaces.flat_map(|space| space.everyone()).collect()
    }

    /// How many sockets are in.
    pub(crate) fn len(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }
}

/// Names of patterns are the clients' choice: what nobody is in is forgotten.
impl Drop for Space {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            let mut spaces = home.spaces.lock();
            if spaces
                .get(&self.namespace)
                .is_some_and(|space| space.strong_count() == 0)
            {
                spaces.remove(&self.namespace);
            }
        }
    }
}

impl Space {
    /// It is in.
    pub(crate) fn enter(&self, socket: &Socket) {
        let before = self
            .sockets
            .lock()
            .insert(socket.id().clone(), socket.clone());
        if let Some(home) = self.home.upgrade().filter(|_| before.is_none()) {
            home.sockets.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It is out; another one of its name stays.
    pub(crate) fn go(&self, socket: &Socket) {
        let gone = {
            let mut sockets = self.sockets.lock();
            let same = sockets.get(socket.id()).is_some_and(|one| one.is(socket));
            if same {
                sockets.remove(socket.id())
            } else {
                None
            }
        };
        if let Some(home) = self.home.upgrade().filter(|_| gone.is_some()) {
            home.sockets.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Everyone who is in.
    pub(super) fn everyone(&self) -> Vec<Socket> {
        self.sockets.lock().values().cloned().collect()
    }

    /// Who has this id.
    pub(super) fn find(&self, id: &SocketId) -> Option<Socket> {
        self.sockets.lock().get(id).cloned()
    }

    /// The place of now in the one order.
    pub(super) fn now(&self) -> Cursor {
        self.hub.lineage().cursor(self.hub.applied())
    }

    /// Publishes, by the server's own right.
    pub(super) fn publish(&self, keys: Keys, draft: Result<Draft, Refusal>) -> Sending {
        let nobody = Subject::Anonymous(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let publishing = draft.and_then(|draft| {
            let permit = self.door.give(nobody, Verb::Publish, keys)?;
            let published: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(self.hub.publish(&permit, draft));
            Ok(published)
        });
        Box::pin(async move { publishing?.await.map(drop) })
    }

    /// The right to hear keys, given by the server.
    pub(super) fn give(&self, user: Subject, verb: Verb, keys: Keys) -> Result<Permit, Refusal> {
        self.door.give(user, verb, keys)
    }

    /// Reads what is kept, by the server's own right.
    pub(super) async fn read(
        &self,
        key: Key,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<History, Refusal> {
        let nobody = Subject::Anonymous(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let keys = Keys::from_iter([key]);
        let permit = self.door.give(nobody, Verb::Read, keys)?;
        self.hub.history(&permit, after, most).await
    }

    /// Everyone's key.
    pub(super) fn all(&self) -> Key {
        Key::All(self.namespace.clone())
    }
}

/// A message of code's.
pub(super) fn draft(event: &str, args: impl IntoArgs) -> Result<Draft, Refusal> {
    let (event, args) = named(event, args)?;
    let mut draft = Draft::new(args.into_body());
    draft.event = event;
    Ok(draft)
}

/// An event of code's, checked.
pub(super) fn named(event: &str, args: impl IntoArgs) -> Result<(EventName, Args), Refusal> {
    let event = EventName::new(event)
        .map_err(|why| Refusal::new(ErrorCode::InvalidEvent, why.to_string()))?;
    let args = args
        .into_args()
        .map_err(|why: InvalidArgs| Refusal::new(ErrorCode::InvalidBody, why.to_string()))?;
    Ok((event, args))
}
