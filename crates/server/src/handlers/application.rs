//! An application: code for namespaces.

use std::fmt;
use std::sync::Arc;

use fanwire_core::key::{InvalidKey, Namespace};

use super::around::Around;
use super::code::{Code, Erased, erased};
use super::context::Arrival;
use super::convert::{IntoReply, Reply};
use super::handler::Handler;
use super::namespace::{Handlers, asked, replied};
use super::pattern::Pattern;
use super::refusal::ConnectRefusal;
use super::states::{Needs, States, Unready};

/// The code of a server's own.
///
/// ```
/// use fanwire::{Application, Auth, ConnectRefusal, Kept, Rejected, Socket};
///
/// struct Name(String);
///
/// let application = Application::new()
///     .namespace("/chat", |chat| {
///         chat.on_connect(async |socket: Socket, auth: Auth| {
///             let name: String = auth.get("name").ok_or("say your name")?;
///             socket.set(Name(name));
///             Ok(socket.join("lobby")?)
///         });
///         chat.on("say", async |socket: Socket, Kept(name): Kept<Name>, text: String| {
///             socket.to("lobby").emit("said", (name.0.as_str(), text)).await?;
///             Ok::<_, Rejected>("sent")
///         });
///     })
///     .unwrap();
/// ```
#[derive(Default)]
pub struct Application {
    namespaces: Vec<(Pattern, Arc<Code>)>,
    states: States,
    /// For all namespaces, before their own.
    connect: Vec<Erased<Arrival, Result<(), ConnectRefusal>>>,
    around: Vec<Erased<Around, Reply>>,
    needs: Vec<(&'static str, Needs)>,
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.namespaces.iter().map(|(pattern, _)| pattern);
        f.debug_list().entries(patterns).finish()
    }
}

impl Application {
    /// Without any code.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shares a value with all handlers, which ask for it by [`State`](crate::State),
    /// whatever the order in which states and namespaces are given. Each gets a clone:
    /// what is to be one and the same for all stands in an [`Arc`]. One of each type;
    /// the last one counts.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.set(value);
        self
    }

    /// Asked before a client comes into any of the application's namespaces, before
    /// the namespace's own [`on_connect`](Handlers::on_connect).
    #[must_use]
    pub fn on_connect<M, H>(mut self, handler: H) -> Self
    where
        M: 'static,
        H: Handler<Arrival, M, Output = Result<(), ConnectRefusal>>,
    {
        self.needs.push(("on_connect", Needs::of(H::needs)));
        self.connect.push(erased(handler, asked));
        self
    }

    /// Called around every event that a handler of the application takes, in all its
    /// namespaces, as [`Handlers::around`] is in one.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use fanwire::{Application, Call, Next, Reply, State};
    ///
    /// #[derive(Clone, Default)]
    /// struct Refused(Arc<AtomicU64>);
    ///
    /// let application = Application::new().state(Refused::default()).around(
    ///     async |State(refused): State<Refused>, call: Call, next: Next| {
    ///         let reply = next.run(call).await;
    ///         if let Reply::Rejected(_) = reply {
    ///             refused.0.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///         reply
    ///     },
    /// );
    /// ```
    #[must_use]
    pub fn around<M, H>(mut self, handler: H) -> Self
    where
        M: 'static,
        H: Handler<Around, M>,
        H::Output: IntoReply,
    {
        self.needs.push(("around", Needs::of(H::needs)));
        self.around.push(erased(handler, replied));
        self
    }

    /// Serves a namespace (`/`, `/chat`), or all whose name begins so (`/room-*`).
    /// Where several are meant by a name, the exact one counts, then the first. Given
    /// again, it adds to the handlers that there are: each part of a program may bring
    /// its own.
    ///
    /// ```
    /// use fanwire::{Application, Handlers};
    ///
    /// fn chat(root: &mut Handlers) {
    ///     root.on("say", async |text: String| text);
    /// }
    ///
    /// fn game(root: &mut Handlers) {
    ///     root.on("move", async |x: f64, y: f64| x + y);
    /// }
    ///
    /// # fn shown() -> Result<(), Box<dyn std::error::Error>> {
    /// let application = Application::new().namespace("/", chat)?.namespace("/", game)?;
    /// # Ok(()) }
    /// # shown().unwrap();
    /// ```
    ///
    /// # Errors
    /// A name that breaks the rules of namespaces.
    pub fn namespace(
        mut self,
        name: &str,
        build: impl FnOnce(&mut Handlers),
    ) -> Result<Self, InvalidKey> {
        let pattern = Pattern::parse(name)?;
        let mut before = self.namespaces.iter_mut();
        let before = before.find(|(known, _)| *known == pattern);
        // Nobody else has it before it is served.
        match before.and_then(|(_, code)| Arc::get_mut(code)) {
            Some(code) => {
                let mut handlers = Handlers(std::mem::take(code));
                build(&mut handlers);
                *code = handlers.0;
            }
            None => {
                let mut handlers = Handlers::default();
                build(&mut handlers);
                self.namespaces.push((pattern, Arc::new(handlers.0)));
            }
        }
        Ok(self)
    }

    /// The same, as it is served: every handler has what it asks for, and can be called.
    ///
    /// # Errors
    /// Where one asks for a state that nobody gave, or waits for an event that never comes.
    pub(crate) fn ready(mut self) -> Result<Self, Unready> {
        let states = Arc::new(std::mem::take(&mut self.states));
        let mut missing = Vec::new();
        for (handler, needs) in &self.needs {
            let handler = format!("{handler} of the application");
            missing.extend(asks_in_vain(&handler, needs, &states));
        }
        for (pattern, code) in &mut self.namespaces {
            // Nobody else has it before it is served.
            let Some(code) = Arc::get_mut(code) else {
                continue;
            };
            for (handler, needs) in &code.needs {
                let handler = format!("{handler} in {pattern}");
                missing.extend(asks_in_vain(&handler, needs, &states));
            }
            let reserved = code.reserved();
            missing.extend(reserved.map(|name| waits_in_vain(name, pattern)));
            code.states = states.clone();
            code.connect.splice(..0, self.connect.iter().cloned());
            code.around.splice(..0, self.around.iter().cloned());
        }
        Unready::among(&missing)?;
        Ok(self)
    }

    /// The code of a namespace.
    pub(crate) fn find(&self, namespace: &Namespace) -> Option<Arc<Code>> {
        let exact = |pattern: &Pattern| matches!(pattern, Pattern::Exactly(_));
        let covering = || {
            let all = self.namespaces.iter();
            all.filter(|(pattern, _)| pattern.covers(namespace))
        };
        let exactly = covering().find(|(pattern, _)| exact(pattern));
        exactly
            .or_else(|| covering().next())
            .map(|(_, code)| code.clone())
    }

    /// Without any code.
    pub(crate) fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// What it serves.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.namespaces.iter().map(|(pattern, _)| pattern)
    }
}

/// What a handler asks for that nobody gave, a sentence each.
fn asks_in_vain(handler: &str, needs: &Needs, states: &States) -> Vec<String> {
    let sentence = |state| {
        format!(
            "{handler} asks for State<{state}>, which nobody gave: give it to Application::state"
        )
    };
    needs.missing(states).map(sentence).collect()
}

/// A handler that no client can call.
fn waits_in_vain(event: &str, pattern: &Pattern) -> String {
    let instead = match event {
        "connect" => "; on_connect and on_connected are called as a client comes",
        "disconnect" | "disconnecting" => "; on_disconnect is called once a client has gone",
        _ => "",
    };
    format!(
        "on({event:?}) in {pattern} is never called: Socket.IO keeps this name for itself{instead}"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_namespace_given_twice_has_the_handlers_of_both() {
        let application = Application::new()
            .namespace("/", |root| {
                root.on("one", async || ());
            })
            .and_then(|all| {
                all.namespace("", |root| {
                    root.on("two", async || ());
                })
            })
            .and_then(|all| {
                all.namespace("/x", |x| {
                    x.on("three", async || ());
                })
            })
            .unwrap();
        let code = application.find(&Namespace::root()).unwrap();
        assert!(code.takes("one") && code.takes("two") && !code.takes("three"));
        assert_eq!(application.patterns().count(), 2);
    }

    #[test]
    fn what_is_never_called_and_what_nobody_gave_are_told_at_once_a_line_each() {
        let application = Application::new().namespace("/chat", |chat| {
            chat.on("disconnect", async || ());
            chat.on("say", async |crate::State(_): crate::State<u8>| ());
        });
        let why = application.unwrap().ready().map(drop).unwrap_err();
        let lines = "on(\"say\") in /chat asks for State<u8>, which nobody gave: give it to \
                     Application::state\n\
                     on(\"disconnect\") in /chat is never called: Socket.IO keeps this name for \
                     itself; on_disconnect is called once a client has gone";
        assert_eq!(why.to_string(), lines);
        let shown = std::io::Error::other(why);
        assert!(format!("{shown:?}").contains(lines), "as main shows it");
    }
}
