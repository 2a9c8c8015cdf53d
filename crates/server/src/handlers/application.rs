//! An application: code for namespaces.

use std::fmt;
use std::sync::Arc;

use fanwire_core::key::{InvalidKey, Namespace};

use super::code::Code;
use super::namespace::Handlers;
use super::pattern::Pattern;
use super::states::{MissingState, States};

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

    /// Serves a namespace (`/`, `/chat`), or all whose name begins so (`/room-*`).
    /// Where several are meant by a name, the exact one counts, then the first.
    ///
    /// # Errors
    /// A name that breaks the rules of namespaces.
    pub fn namespace(
        mut self,
        name: &str,
        build: impl FnOnce(&mut Handlers),
    ) -> Result<Self, InvalidKey> {
        let pattern = Pattern::parse(name)?;
        let mut handlers = Handlers::default();
        build(&mut handlers);
        self.namespaces.push((pattern, Arc::new(handlers.0)));
        Ok(self)
    }

    /// The same, as it is served: every handler has what it asks for.
    ///
    /// # Errors
    /// Where one asks for a state that nobody gave.
    pub(crate) fn ready(mut self) -> Result<Self, MissingState> {
        let states = Arc::new(std::mem::take(&mut self.states));
        let mut missing = Vec::new();
        for (pattern, code) in &mut self.namespaces {
            // Nobody else has it before it is served.
            let Some(code) = Arc::get_mut(code) else {
                continue;
            };
            for (handler, needs) in &code.needs {
                missing.extend(needs.missing(&states).map(|state| {
                    format!(
                        "{handler} in {pattern} asks for State<{state}>, which nobody gave: \
                         give it to Application::state"
                    )
                }));
            }
            code.states = states.clone();
        }
        MissingState::among(&missing)?;
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
