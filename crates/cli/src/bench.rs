//! `fanwire bench`: measures what each transport costs, on this machine.

use fanwire_bench::{args, command};

use crate::failure::Failure;

/// What was typed.
pub(crate) type Bench = args::Bench;

/// Measures, and prints the figures.
pub(crate) fn run(bench: Bench) -> Result<(), Failure> {
    // The load runs as a process of its own: this program, started again.
    command::run(bench, &["bench"]).map_err(Failure::new)
}
