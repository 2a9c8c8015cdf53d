//! The project's own tasks: `cargo xtask test` runs every suite, `cargo xtask tidy` the house
//! rules alone.

mod args;
mod cargo_json;
mod process;
mod setup;
mod tally;
mod test;
mod tidy;

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
        Ok(Task::Test { only }) => test::run(&only),
        Ok(Task::Tidy) => tidy::run(),
        Err(sentence) => {
            eprintln!("xtask: {sentence}\n\n{}", args::HELP);
            ExitCode::from(2)
        }
    }
}
