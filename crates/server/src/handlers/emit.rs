//! Who hears what is sent.

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::error::{Code, Refusal};
use fanwire_core::key::{Key, Name, SocketId};
use fanwire_core::message::Keys;

use super::acks::shared_id;
use super::args::Args;
use super::convert::IntoArgs;
use super::refusal::AckError;
use super::socket::Socket;
use super::space::{Space, draft, named};

/// A room, or one socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// The room of this name.
    Room(String),
    /// The socket of this id.
    Socket(SocketId),
}

/// What became of a question to several sockets, of each.
pub type Answers = Vec<(SocketId, Result<Args, AckError>)>;

/// Something to be sent: to everyone in a namespace, or to those chosen. One message,
/// whatever the number of targets, with one place in the one order; kept with its
/// exclusions, so that who comes back later is left out too.
#[derive(Clone)]
#[must_use = "nothing is sent before emit"]
pub struct Emit {
    space: Arc<Space>,
    to: Vec<Target>,
    except: Vec<Target>,
    volatile: bool,
}

impl Emit {
    pub(super) fn new(space: Arc<Space>) -> Self {
        Self {
            space,
            to: Vec::new(),
            except: Vec::new(),
            volatile: false,
        }
    }

    /// Also to this room or socket; without any it is for everyone. At most 16.
    pub fn to(mut self, target: impl Into<Target>) -> Self {
        self.to.push(target.into());
        self
    }

    /// Not to those in this room, or not to this socket. At most 100.
    pub fn except(mut self, target: impl Into<Target>) -> Self {
        self.except.push(target.into());
        self
    }

    /// It may be lost: only who keeps up gets it, and it is not kept.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sends an event.
    ///
    /// # Errors
    /// A [`Refusal`]: `invalid_event`, `invalid_body`, `invalid_channel`, too many
    /// targets, and what publishing may be refused with.
    pub fn emit(
        self,
        event: &str,
        args: impl IntoArgs,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + 'static {
        let drafted = self.keys().and_then(|(keys, except)| {
            let mut draft = draft(event, args)?;
            draft.except = except;
            draft.volatile = self.volatile;
            Ok((keys, draft))
        });
        let sent = drafted.map(|(keys, draft)| self.space.publish(keys, Ok(draft)));
        async move { sent?.await }
    }

    /// Sends an event to all chosen who are connected now, under one id, and gathers
    /// their acknowledgements until `time` is over. It is not kept.
    ///
    /// # Errors
    /// What cannot be sent to anyone. What became of each stands in the list.
    pub fn emit_with_ack(
        self,
        event: &str,
        args: impl IntoArgs,
        time: Duration,
    ) -> impl Future<Output = Result<Answers, Refusal>> + Send + 'static {
        let asked = self
            .keys()
            .and_then(|_| named(event, args))
            .map(|(event, args)| {
                let id = shared_id();
                let chosen = self.sockets().into_iter();
                chosen
                    .map(|socket| {
                        let awaited = socket.ask(event.as_str(), &args, Some(id));
                        (socket.id().clone(), awaited)
                    })
                    .collect::<Vec<_>>()
            });
        async move {
            let until = tokio::time::Instant::now() + time;
            let mut answers = Vec::new();
            for (id, awaited) in asked? {
                let answer = match awaited {
                    Ok(awaited) => {
                        awaited
                            .within(until.duration_since(tokio::time::Instant::now()))
                            .await
                    }
                    Err(why) => Err(why),
                };
                answers.push((id, answer));
            }
            Ok(answers)
        }
    }

    /// Those chosen who are connected now.
    pub fn sockets(&self) -> Vec<Socket> {
        let is_one = |socket: &Socket, target: &Target| match target {
            Target::Socket(id) => socket.id() == id,
            Target::Room(room) => Name::new(room).is_ok_and(|name| socket.is_in(&name)),
        };
        let mut all = match self.to.as_slice() {
            [Target::Socket(id)] => self.space.find(id).into_iter().collect(),
            _ => self.space.everyone(),
        };
        all.retain(|socket| {
            (self.to.is_empty() || self.to.iter().any(|target| is_one(socket, target)))
                && !self.except.iter().any(|target| is_one(socket, target))
        });
        all
    }

    /// Puts all of them into a room.
    ///
    /// # Errors
    /// As [`Socket::join`], of the first who cannot.
    pub fn join(&self, room: &str) -> Result<(), Refusal> {
        self.sockets()
            .iter()
            .try_for_each(|socket| socket.join(room))
    }

    /// Takes all of them out of a room.
    pub fn leave(&self, room: &str) {
        self.sockets().iter().for_each(|socket| socket.leave(room));
    }

    /// Lets all of them go.
    pub fn disconnect(&self) {
        self.sockets().iter().for_each(Socket::disconnect);
    }

    fn keys(&self) -> Result<(Keys, Vec<Key>), Refusal> {
        let mut keys = Keys::new();
        for target in &self.to {
            let key = self.key(target)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            keys.push(self.space.all());
        }
        let except = self.except.iter().map(|target| self.key(target));
        Ok((keys, except.collect::<Result<_, _>>()?))
    }

    fn key(&self, target: &Target) -> Result<Key, Refusal> {
        let namespace = self.space.namespace.clone();
        match target {
            Target::Socket(id) => Ok(Key::Socket(namespace, id.clone())),
            Target::Room(room) => Name::new(room)
                .map(|name| Key::Channel(namespace, name))
                .map_err(|why| Refusal::new(Code::InvalidChannel, why.to_string())),
        }
    }
}

impl std::fmt::Debug for Emit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emit")
            .field("to", &self.to)
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

impl From<&str> for Target {
    fn from(room: &str) -> Self {
        Self::Room(room.to_owned())
    }
}

impl From<String> for Target {
    fn from(room: String) -> Self {
        Self::Room(room)
    }
}

impl From<SocketId> for Target {
    fn from(id: SocketId) -> Self {
        Self::Socket(id)
    }
}

impl From<&SocketId> for Target {
    fn from(id: &SocketId) -> Self {
        Self::Socket(id.clone())
    }
}
