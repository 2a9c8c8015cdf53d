//! A game for several windows: the server alone knows what happens, clients say whereto.
//!
//! `GET /c/game:arena` with `Upgrade: websocket`; every frame is binary, see `wire`.
//! Who comes gets all that there is, then, as everyone else, what each tick changed: one
//! message to the channel, whatever the number of players. Nobody can miss a change: the
//! channel is joined before that first frame is made, and it says of which tick it is.
//!
//! | file | |
//! |---|---|
//! | `world` | the rules |
//! | `bots` | company |
//! | `scene` | what everyone sees |
//! | `wire` | its frames |
//! | `client` | the other end of them |

mod bots;
pub mod client;
mod plane;
mod random;
pub mod scene;
pub mod wire;
pub mod world;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fanwire::config::{NamedRules, Rooms};
use fanwire::{Application, Config, EventName, Io, Rejected, Socket, SocketId, State};
use tokio::time::{MissedTickBehavior, interval};

use self::scene::Scene;
use self::wire::Input;
use self::world::World;
use crate::demo::Demo;

pub(crate) const DEMO: Demo = Demo {
    name: "game",
    title: "Comets",
    shows: "A game for as many windows as you like: gather sparks, grow a tail, and let others \
            crash into it. The server decides, twenty-five times a second.",
    by: "WebSocket, binary · GET /c/game:arena",
    body: include_str!("../assets/game.html"),
    script: concat!(
        include_str!("../assets/game/wire.js"),
        include_str!("../assets/game/playback.js"),
        include_str!("../assets/game/draw.js"),
        include_str!("../assets/game/page.js"),
    ),
    source: &[
        ("mod.rs", include_str!("mod.rs")),
        ("world.rs", include_str!("world.rs")),
        ("plane.rs", include_str!("plane.rs")),
        ("random.rs", include_str!("random.rs")),
        ("bots.rs", include_str!("bots.rs")),
        ("scene.rs", include_str!("scene.rs")),
        ("wire.rs", include_str!("wire.rs")),
        ("client.rs", include_str!("client.rs")),
    ],
};

/// Its namespace, which code serves.
const NAMESPACE: &str = "game";

/// The channel of the namespace in which everybody is.
const ARENA: &str = "arena";

/// Ticks without a word from a player after which its comet goes: 45 s, at 25 a second.
const PATIENCE: u32 = 1125;

/// All handlers share it.
#[derive(Clone)]
struct Game {
    arena: Arc<Mutex<Arena>>,
    tick: Duration,
}

struct Arena {
    world: World,
    /// As it was told: what those who come are given, so that what is told next fits.
    told: Scene,
    seats: HashMap<SocketId, Seat>,
    /// Somebody makes it tick.
    ticks: bool,
}

/// A connection.
#[derive(Default)]
struct Seat {
    /// The comet that it flies; without one it watches.
    comet: Option<u8>,
    /// The tick in which it was last heard.
    heard: u32,
    /// The tick in which it was last answered how far it is.
    measured: Option<u32>,
}

/// Everyone may watch; nothing is kept, because who comes is told everything anyway.
pub(crate) fn configure(config: &mut Config) {
    let rules = NamedRules {
        rooms: Some(Rooms::Public),
        history_messages: Some(0),
        recovery: Some(false),
        ..NamedRules::default()
    };
    let namespaces = &mut config.namespaces.by_name;
    namespaces.insert(NAMESPACE.to_owned(), rules);
    // A player says whereto once a tick, and how far it is.
    config.rates.messages_per_connection = 100;
}

/// Adds the game, `tick` after tick.
pub(crate) fn serve(
    application: Application,
    tick: Duration,
) -> Result<Application, Box<dyn std::error::Error + Send + Sync>> {
    let application = application.state(Game::new(tick));
    Ok(application.namespace(NAMESPACE, |handlers| {
        handlers.on_connect(async |socket: Socket| Ok(socket.join(ARENA)?));
        handlers.on_connected(comes);
        handlers.on("message", hears);
        // Else it would be published, and everyone would take it for the server's word.
        handlers.on_any(async |EventName(name): EventName| {
            let why = format!("the game knows no {name:?}: send binary frames");
            Err::<(), _>(Rejected::new("bad_request", why))
        });
        handlers.on_disconnect(async |State(game): State<Game>, socket: Socket| {
            game.lock().goes(socket.id());
        });
    })?)
}

/// Somebody has come, and hears the channel already.
async fn comes(State(game): State<Game>, socket: Socket) {
    let millis = u16::try_from(game.tick.as_millis()).unwrap_or(u16::MAX);
    let (snapshot, asleep) = {
        let mut arena = game.lock();
        arena.seats.insert(socket.id().clone(), Seat::default());
        let asleep = !std::mem::replace(&mut arena.ticks, true);
        (wire::snapshot(&arena.told, millis), asleep)
    };
    if asleep {
        tokio::spawn(run(game, socket.io()));
    }
    // Who has gone meanwhile needs none.
    let _ = socket.emit("message", snapshot).await;
}

async fn hears(State(game): State<Game>, socket: Socket, frame: Bytes) -> Result<(), Rejected> {
    let input = wire::input(&frame)
        .map_err(|_| Rejected::new("bad_request", "this is no frame of the game"))?;
    let answer = game.lock().takes(socket.id(), input);
    match answer {
        Some(answer) => Ok(socket.emit("message", answer).await?),
        None => Ok(()),
    }
}

/// Ticks as long as there is anybody.
async fn run(game: Game, io: Io) {
    let mut ticks = interval(game.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Some(changes) = game.lock().tick() else {
            return;
        };
        if let Err(refusal) = io.to(ARENA).emit("message", changes).await {
            // Clients see that one is missing, and come again.
            tracing::warn!(%refusal, "a tick was not told");
        }
    }
}

impl Game {
    fn new(tick: Duration) -> Self {
        let world = World::new(RandomState::new().hash_one("sparks"));
        let arena = Arena {
            told: world.scene().clone(),
            world,
            seats: HashMap::new(),
            ticks: false,
        };
        Self {
            arena: Arc::new(Mutex::new(arena)),
            tick,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arena> {
        // A panic elsewhere leaves a game that can go on.
        self.arena.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arena {
    /// The answer to a player, where there is one.
    fn takes(&mut self, player: &SocketId, input: Input) -> Option<Bytes> {
        let seat = self.seats.get_mut(player)?;
        let now = self.told.tick;
        match input {
            Input::Play(name) => {
                seat.heard = now;
                if seat.comet.is_none() {
                    seat.comet = self.world.join(&name);
                }
                Some(seat.comet.map_or_else(wire::full, wire::you))
            }
            Input::Steer { aim, boost } => {
                seat.heard = now;
                self.world.steer(seat.comet?, aim, boost);
                None
            }
            // Once a tick: it costs an answer.
            Input::Ping(number) => {
                let first = seat.measured.replace(now) != Some(now);
                first.then(|| wire::pong(number))
            }
        }
    }

    /// What is different; none where nobody is there to be told.
    fn tick(&mut self) -> Option<Bytes> {
        for seat in self.seats.values_mut() {
            let away = self.told.tick.saturating_sub(seat.heard) > PATIENCE;
            if let Some(comet) = seat.comet.take_if(|_| away) {
                self.world.leave(comet);
            }
        }
        let events = self.world.step();
        let changes = wire::delta(&self.told, self.world.scene(), &events);
        self.told.clone_from(self.world.scene());
        // The last tick is for who comes next, and finds nobody who has gone.
        self.ticks = !self.seats.is_empty();
        self.ticks.then_some(changes)
    }

    fn goes(&mut self, player: &SocketId) {
        let seat = self.seats.remove(player);
        if let Some(comet) = seat.and_then(|seat| seat.comet) {
            self.world.leave(comet);
        }
    }
}
