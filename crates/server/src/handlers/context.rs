//! The moments at which code is called, and what is known at each.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::args::{Args, InvalidArgs};
use super::around::Around;
use super::auth::Auth;
use super::convert::{FromArg, IntoArgs};
use super::socket::Socket;
use super::states::States;

/// What is known at every moment: a client, and what the application shares.
pub trait Context: Send + sealed::Moment {
    /// The client.
    fn socket(&self) -> &Socket {
        self.client()
    }

    /// What [`Application::state`](crate::Application::state) was given of this type.
    /// Who asks for it here says so in [`Extract::needs`](crate::Extract::needs).
    fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.states().get()
    }
}

/// The moments are these alone.
pub(super) mod sealed {
    #![allow(unreachable_pub)] // Of a public trait, and named by nobody outside.
    use super::{Socket, States};

    pub trait Moment {
        fn client(&self) -> &Socket;
        fn states(&self) -> &States;
    }
}

/// A client wants to come in: where `on_connect` is asked.
pub struct Arrival {
    pub(super) socket: Socket,
    pub(super) states: Arc<States>,
    pub(super) auth: Auth,
}

/// A client is in: where `on_connected` is called.
pub struct Entry {
    pub(super) socket: Socket,
    pub(super) states: Arc<States>,
}

/// A client has gone: where `on_disconnect` is called.
pub struct Departure {
    pub(super) socket: Socket,
    pub(super) states: Arc<States>,
    pub(super) reason: &'static str,
}

/// An event came: where its handler is called.
pub struct Call {
    pub(super) socket: Socket,
    pub(super) states: Arc<States>,
    event: String,
    args: Args,
    /// Where each argument stands; found once one is asked for by its place.
    places: Option<Vec<Range<usize>>>,
    /// How many were taken, each by a parameter.
    taken: usize,
}

macro_rules! moments {
    ($($name:ident),*) => {$(
        impl sealed::Moment for $name {
            fn client(&self) -> &Socket {
                &self.socket
            }

            fn states(&self) -> &States {
                &self.states
            }
        }

        impl Context for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.socket).finish()
            }
        }
    )*};
}
moments!(Arrival, Entry, Departure, Call, Around);

impl Call {
    pub(super) fn new(socket: Socket, states: Arc<States>, event: String, args: Args) -> Self {
        Self {
            socket,
            states,
            event,
            args,
            places: None,
            taken: 0,
        }
    }

    /// The client that sent it.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// Its arguments.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// Gives it other arguments.
    ///
    /// # Errors
    /// Where they cannot be arguments.
    pub fn set_args(&mut self, args: impl IntoArgs) -> Result<(), InvalidArgs> {
        self.args = args.into_args()?;
        (self.places, self.taken) = (None, 0);
        Ok(())
    }

    /// Takes the argument behind those that were taken.
    ///
    /// # Errors
    /// Where there is none, or it is something else.
    pub(super) fn take<T: FromArg>(&mut self) -> Result<T, InvalidArgs> {
        let places = self.places.get_or_insert_with(|| self.args.places());
        let number = self.taken;
        self.taken += 1;
        self.args.read_at(number, places.get(number).cloned())
    }
}
