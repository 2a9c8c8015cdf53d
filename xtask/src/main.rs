//! The project's own tasks: `cargo xtask test` runs every suite, `cargo xtask tidy` the house
//! rules alone, `cargo xtask conformance` the WebSocket cases, `cargo xtask fuzz` the decoders
//! under arbitrary bytes, `cargo xtask soak` minutes of churn, `cargo xtask bundle` the browser
//! client for Socket.IO in one file, `cargo xtask tlsscan` what scanners of TLS find.

mod args;
mod bundle;
mod cargo_json;
mod conformance;
mod fuzz;
mod process;
mod setup;
mod soak;
mod tally;
mod test;
mod tidy;
mod tlsscan;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use args::Task;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match args::parse(&arguments) {
        Ok(Task::Help) => {
            println!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Task::ListStages) => {
            test::list();
            ExitCode::SUCCESS
        }
        Ok(Task::Test { only }) => test::run(&root(), &only),
        Ok(Task::Conformance) => conformance::run(&root()),
        Ok(Task::Fuzz { only, seconds }) => fuzz::run(&root(), &only, seconds),
        Ok(Task::Soak { seconds, seed }) => soak::run(&root(), seconds, seed),
        Ok(Task::Bundle) => bundle::run(&root()),
        Ok(Task::TlsScan) => tlsscan::run(&root()),
        Ok(Task::Tidy) => tidy::run(&root()),
        Err(sentence) => {
            eprintln!("xtask: {sentence}\n\n{}", args::HELP);
            ExitCode::from(2)
        }
    }
}

/// The repository's root. Cargo tells where the package is at run time; what was compiled in is
/// for a binary that is started by hand.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().unwrap_or(Path::new(".")).to_owned()
}
