//! All sessions of this node, by their secret names.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::engine::Engine;
use super::reason::Reason;
use super::talk::Host;
use crate::app::App;
use crate::shutdown::Stage;

/// Parts of the table, each under a lock of its own.
const PARTS: usize = 16;

/// Random bytes of a sid: 144 bits.
const SID: usize = 18;

/// A session's secret name: whoever knows it may speak for the session. Never logged,
/// never a socket's id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sid(Arc<str>);

impl Sid {
    /// A new one.
    ///
    /// # Errors
    /// Where the system has no randomness to give: a name that could be guessed is none.
    pub(crate) fn new() -> std::io::Result<Self> {
        use base64::Engine as _;
        let mut bytes = [0; SID];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        Ok(Self(text.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

type Part = Mutex<HashMap<Sid, Arc<Engine>, foldhash::fast::RandomState>>;

/// The sessions.
#[derive(Default)]
pub(crate) struct Engines {
    parts: [Part; PARTS],
    count: AtomicUsize,
}

impl Engines {
    /// The session of this name.
    pub(crate) fn find(&self, sid: &str) -> Option<Arc<Engine>> {
        let sid = Sid(sid.into());
        self.part(&sid).lock().get(&sid).cloned()
    }

    /// Sessions in all.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    pub(super) fn keep(&self, sid: &Sid, engine: Arc<Engine>) {
        let before = self.part(sid).lock().insert(sid.clone(), engine);
        if before.is_none() {
            self.count.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn forget(&self, sid: &Sid) {
        let gone = self.part(sid).lock().remove(sid);
        if gone.is_some() {
            self.count.fetch_sub(1, Relaxed);
        }
    }

    /// All sessions, as they are now.
    fn all(&self) -> Vec<Weak<Engine>> {
        let parts = self.parts.iter();
        let all =
            parts.flat_map(|part| part.lock().values().map(Arc::downgrade).collect::<Vec<_>>());
        all.collect()
    }

    /// A sid is random: any of its bytes spreads evenly.
    fn part(&self, sid: &Sid) -> &Part {
        let last = sid.0.as_bytes().last().copied().unwrap_or_default();
        &self.parts[usize::from(last) % PARTS]
    }
}

/// What of a server serves sessions.
#[derive(Clone)]
pub(crate) struct Serving {
    /// All sessions.
    pub(crate) engines: Arc<Engines>,
    /// What is said over them, by path.
    hosts: Arc<[(String, Arc<dyn Host>)]>,
}

impl Serving {
    /// Sessions at these paths.
    pub(crate) fn at(hosts: Vec<(String, Arc<dyn Host>)>) -> Self {
        Self {
            engines: Arc::default(),
            hosts: hosts.into(),
        }
    }

    /// A server's.
    pub(crate) fn of(app: &App) -> &Self {
        app.above.get().unwrap_or(&NONE)
    }

    /// What is said over sessions at `path`; none where there are none.
    pub(crate) fn host(&self, path: &str) -> Option<&Arc<dyn Host>> {
        let mut hosts = self.hosts.iter();
        hosts.find_map(|(at, host)| (at == path).then_some(host))
    }
}

/// Once the server stops, closes sessions one after the other, evenly over its window: also
/// those that are in no namespace, of which the hub knows nothing.
pub(crate) async fn drain(app: Arc<App>) {
    app.reached(Stage::Draining).await;
    let engines = &Serving::of(&app).engines;
    let window = app.config.listen.drain_window;
    let begun = tokio::time::Instant::now();
    let all = engines.all();
    let each = window / u32::try_from(all.len()).unwrap_or(u32::MAX).max(1);
    for (engine, number) in all.iter().zip(0..) {
        if let Some(engine) = engine.upgrade() {
            tokio::time::sleep_until(begun + each * number).await;
            engine.close(Reason::ServerShuttingDown);
        }
    }
}

/// No sessions anywhere.
static NONE: LazyLock<Serving> = LazyLock::new(|| Serving::at(Vec::new()));
