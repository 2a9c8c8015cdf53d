//! `fanwire bench`: measures what each transport costs, on this machine.

use fanwire_bench::{args, command};

use crate::failure::Failure;
use crate::output::say;

/// What was typed.
pub(crate) type Bench = args::Bench;

/// Measures, and prints the figures.
pub(crate) fn run(bench: Bench) -> Result<(), Failure> {
    // The load runs as a process of its own: this program, started again.
    command::run(bench, &["bench"]).map_err(|error| match error.signal() {
        Some(signal) => {
            say(format_args!("{error}"));
            Failure::Signalled(signal)
        }
        None => Failure::new(error),
    })
}
