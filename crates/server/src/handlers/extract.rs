//! What a handler's parameters can be.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use fanwire_core::policy::{Subject, User};

use super::args::Args;
use super::auth::Auth;
use super::context::{Arrival, Call, Context, Departure, sealed};
use super::convert::FromArg;
use super::io::Io;
use super::refusal::Rejected;
use super::socket::Socket;
use super::states::Needs;

/// What a handler can ask for at a moment `C`, by the type of a parameter.
///
/// | parameter | what it is | where |
/// |---|---|---|
/// | [`Socket`], [`Io`] | the client; its namespace | everywhere |
/// | [`State<T>`] | what the application shares | everywhere |
/// | [`Kept<T>`] | what was kept with the client; an `Option` of it where that may be missing | everywhere |
/// | [`Subject`], `Arc<`[`User`]`>` | who it is; the bearer of a token, or none | everywhere |
/// | [`FromArg`]: texts, numbers, `bool`, [`Bytes`](bytes::Bytes), [`Json<T>`](crate::Json), an `Option` of those, tuples of them | the event's next arguments, in the order of the parameters | `on`, `on_any` |
/// | [`Args`], [`EventName`] | all arguments, whoever takes them too; the event's name | `on`, `on_any` |
/// | [`Call`], [`Next`](crate::Next) | the event, and the rest of its way | `around` |
/// | [`Auth`] | what the client showed | `on_connect` |
/// | [`Reason`] | why it has gone | `on_disconnect` |
///
/// An application has more by its own types:
///
/// ```
/// use fanwire::{Call, Context, Extract, Needs, Rejected, State};
///
/// #[derive(Clone)]
/// struct Bans(std::sync::Arc<[String]>);
///
/// /// Whoever is not banned.
/// struct Welcome;
///
/// impl<C: Context> Extract<C> for Welcome {
///     async fn extract(from: &mut C) -> Result<Self, Rejected> {
///         let State(Bans(bans)) = State::extract(from).await?;
///         match from.socket().user().identity() {
///             Some(who) if bans.iter().any(|banned| **banned == *who) => {
///                 Err(Rejected::new("banned", "you are not welcome here"))
///             }
///             _ => Ok(Self),
///         }
///     }
///
///     // So that a server without it does not start.
///     fn needs(needs: &mut Needs) {
///         <State<Bans> as Extract<C>>::needs(needs);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot ask for `{Self}` at a `{C}`",
    label = "not known at a `{C}`",
    note = "parameters are `Socket`, `Io`, `State<T>`, `Kept<T>`, `Subject`; arguments of an event (`Call`): \
            `String`, numbers, `bool`, `Bytes`, `Json<T>`, tuples of them, `Args`, `EventName`; `Auth` in \
            `on_connect` (`Arrival`); `Reason` in `on_disconnect` (`Departure`)"
)]
pub trait Extract<C>: Sized + Send {
    /// Takes it.
    ///
    /// # Errors
    /// Where it is not there, or something else: the handler is not called then, and
    /// the client is told.
    fn extract(from: &mut C) -> impl Future<Output = Result<Self, Rejected>> + Send;

    /// Says which states it asks for.
    fn needs(_: &mut Needs) {}
}

/// What [`Application::state`](crate::Application::state) was given of this type, a
/// clone of it. A server that has a handler ask for one which nobody gave does not
/// start.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use fanwire::{Application, State};
///
/// let application = Application::new()
///     .state(Arc::new(AtomicU64::new(0)))
///     .namespace("/", |root| {
///         root.on("count", async |State(count): State<Arc<AtomicU64>>| {
///             count.fetch_add(1, Ordering::Relaxed)
///         });
///     })
///     .unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct State<T>(pub T);

/// What [`Socket::set`] kept of this type. Where nothing of it was kept, the handler is
/// not called and the client is refused as `forbidden`: something has to come before.
/// `Option<Kept<T>>` may be missing.
///
/// ```
/// use fanwire::{Application, Kept, Socket};
///
/// struct Name(String);
///
/// let application = Application::new()
///     .namespace("/", |root| {
///         root.on("register", async |socket: Socket, name: String| socket.set(Name(name)));
///         root.on("who-am-i", async |Kept(name): Kept<Name>| name.0.clone());
///     })
///     .unwrap();
/// ```
#[derive(PartialEq, Eq, Debug)]
pub struct Kept<T>(pub Arc<T>);

/// The name of the event, which `on_any` may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventName(pub String);

/// Why a client has gone, in the words of Socket.IO: `transport close`, `ping timeout`,
/// `client namespace disconnect` …
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason(pub &'static str);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<C: Context> Extract<C> for Socket {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        Ok(from.socket().clone())
    }
}

impl<C: Context> Extract<C> for Io {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        Ok(from.socket().io())
    }
}

impl<C: Context> Extract<C> for Subject {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        Ok(from.socket().user().clone())
    }
}

impl<C: Context> Extract<C> for Arc<User> {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        let user = from.socket().user().user().cloned();
        user.ok_or_else(|| Rejected::new("unauthorized", "this is for users with a token"))
    }
}

impl<C: Context> Extract<C> for Option<Arc<User>> {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        Ok(from.socket().user().user().cloned())
    }
}

impl<C: Context, T: Clone + Send + Sync + 'static> Extract<C> for State<T> {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        // It was there when the server started.
        let state = sealed::Moment::states(from).get::<T>().cloned();
        state
            .map(Self)
            .ok_or_else(|| Rejected::new("internal", "a fault of the server"))
    }

    fn needs(needs: &mut Needs) {
        needs.state::<T>();
    }
}

impl<C: Context, T: Send + Sync + 'static> Extract<C> for Kept<T> {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        let kept = from.socket().get::<T>().map(Self);
        kept.ok_or_else(|| {
            let sentence = "something has to come before this: nothing is known of it here";
            Rejected::new("forbidden", sentence)
        })
    }
}

impl<C: Context, T: Send + Sync + 'static> Extract<C> for Option<Kept<T>> {
    async fn extract(from: &mut C) -> Result<Self, Rejected> {
        Ok(from.socket().get::<T>().map(Kept))
    }
}

impl Extract<Arrival> for Auth {
    async fn extract(from: &mut Arrival) -> Result<Self, Rejected> {
        Ok(from.auth.clone())
    }
}

impl Extract<Departure> for Reason {
    async fn extract(from: &mut Departure) -> Result<Self, Rejected> {
        Ok(Self(from.reason))
    }
}

/// The [`Reason`] itself.
impl Extract<Departure> for &'static str {
    async fn extract(from: &mut Departure) -> Result<Self, Rejected> {
        Ok(from.reason)
    }
}

impl Extract<Call> for EventName {
    async fn extract(from: &mut Call) -> Result<Self, Rejected> {
        Ok(Self(from.event().to_owned()))
    }
}

impl Extract<Call> for Args {
    async fn extract(from: &mut Call) -> Result<Self, Rejected> {
        Ok(from.args().clone())
    }
}

impl<T: FromArg + Send> Extract<Call> for T {
    async fn extract(from: &mut Call) -> Result<Self, Rejected> {
        Ok(from.take()?)
    }
}

/// No argument at all.
impl Extract<Call> for () {
    async fn extract(_: &mut Call) -> Result<Self, Rejected> {
        Ok(())
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: FromArg + Send),*> Extract<Call> for ($($name,)*) {
            async fn extract(from: &mut Call) -> Result<Self, Rejected> {
                Ok(($(from.take::<$name>()?,)*))
            }
        }
    };
}
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
