//! `fanwire bench` as a program of its own, for those who measure without the
//! server.

use std::process::ExitCode;

use clap::Parser;
use fanwire_bench::{args::Bench, command};

/// Measure what each transport costs, on this machine.
#[derive(Parser)]
#[command(
    name = "fanwire-bench",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    bench: Bench,
}

fn main() -> ExitCode {
    match command::run(Cli::parse().bench, &[]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error
                .signal()
                .map_or(ExitCode::FAILURE, |signal| ExitCode::from(128 + signal))
        }
    }
}
