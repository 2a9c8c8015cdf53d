//! What is measured: each scenario is a small file behind one trait.

mod classic;
mod common;
mod echo;
mod fanout;
mod idle;
mod params;
mod resume;
mod rooms;
mod slow;
mod storm;

use crate::adapter::Transport;
use crate::error::{Error, Result};
use crate::load::Engine;
use crate::report::Outcome;

pub(crate) use params::Params;

/// A way to load a server.
pub(crate) trait Scenario: Sync {
    fn name(&self) -> &'static str;

    /// What it does, in a sentence.
    fn about(&self) -> &'static str;

    /// Its numbers where none are given.
    fn defaults(&self) -> Params;

    /// Which of `rate`, `window`, `channels` and `stalled` mean something to it.
    fn knobs(&self) -> &'static [&'static str];

    /// How fast messages come, in a few words.
    fn pace(&self, params: &Params) -> String {
        match params.rate > 0.0 {
            true => format!("{} messages a second", params.rate),
            false => format!("{} messages under way at once", params.window),
        }
    }

    /// The figures that its table shows, in order.
    fn columns(&self) -> &'static [&'static str];

    /// The channel of each client, and whether it publishes.
    fn clients(&self, params: &Params) -> Vec<(usize, bool)>;

    /// Seconds that a run takes, about.
    fn takes(&self, params: &Params) -> f64 {
        1.0 + params.warmup + params.seconds
    }

    /// Whether a transport is measured when none was named.
    fn suits(&self, transport: &Transport) -> bool {
        transport.default
    }

    /// Loads the server. `say` hears what is being done, and which part of it
    /// (0 to 1) is over.
    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome>;
}

/// Who hears how far a run is.
pub(crate) type Say<'a> = dyn FnMut(&str, f64) + 'a;

/// All of them.
pub(crate) const ALL: &[&dyn Scenario] = &[
    &classic::Classic,
    &fanout::Fanout,
    &rooms::Rooms,
    &idle::Idle,
    &echo::Echo,
    &resume::Resume,
    &slow::Slow,
    &storm::Storm,
];

/// The scenario of this name.
///
/// # Errors
/// There is none; the names there are stand in it.
pub(crate) fn by_name(name: &str) -> Result<&'static dyn Scenario> {
    ALL.iter()
        .copied()
        .find(|one| one.name() == name)
        .ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|one| one.name()).collect();
            Error::new(format_args!(
                "no scenario is called {name:?}; there are {}",
                names.join(", ")
            ))
        })
}
