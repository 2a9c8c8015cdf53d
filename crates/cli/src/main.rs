//! The `fanwire` command. Each sub-command is a file of its own:
//!
//! | file | what was typed |
//! |---|---|
//! | [`serve`] | `fanwire serve` |
//! | [`publish`] | `fanwire pub` |
//! | [`subscribe`] | `fanwire sub` |
//! | [`token`] | `fanwire token` |
//! | [`bench`] | `fanwire bench` |
//! | [`demo`] | `fanwire demo` |
//! | [`check_config`] | `fanwire check-config` |
//! | [`default_config`] | `fanwire default-config` |
//! | [`completions`] | `fanwire completions` |
//!
//! [`settings`] makes a flag and a variable of every row of the server's table
//! of settings; [`server_options`] is how `pub` and `sub` reach a server;
//! [`failure`] is what a command that failed tells, [`output`] how it is said.

#[cfg(feature = "mimalloc")]
mod allocator;
mod bench;
mod check_config;
mod completions;
mod cursor_file;
mod default_config;
#[cfg(feature = "demo")]
mod demo;
mod envelope;
mod failure;
mod level;
mod lines;
mod output;
mod publish;
mod serve;
mod server_options;
mod settings;
mod subscribe;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Publish once; every client hears it, in the same order, over WebSocket,
/// Server-Sent Events and long polling.
#[derive(Parser)]
#[command(
    name = "fanwire",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(after_help = "\
Try it, in three terminals:
  fanwire serve
  fanwire sub news
  fanwire pub news 'hello, world'")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Serve>),
    /// Publish to a channel
    #[command(name = "pub")]
    Publish(Box<publish::Publish>),
    /// Listen to channels
    #[command(name = "sub")]
    Subscribe(Box<subscribe::Subscribe>),
    /// Make tokens and keys, and explain a token
    Token(token::Token),
    /// Measure what each transport costs, on this machine
    Bench(Box<bench::Bench>),
    /// Serve the demos: chat, game, dashboard and the classic tutorial servers
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Tell everything that is wrong with a configuration
    CheckConfig(Box<check_config::CheckConfig>),
    /// Print every setting with its meaning and default, as a file to start from
    DefaultConfig,
    /// Print completions for a shell
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    #[cfg(feature = "mimalloc")]
    allocator::give_back();
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
        Command::Publish(args) => publish::run(*args),
        Command::Subscribe(args) => subscribe::run(*args),
        Command::Token(args) => token::run(args),
        Command::Bench(args) => bench::run(*args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
        Command::CheckConfig(args) => check_config::run(*args),
        Command::DefaultConfig => default_config::run(),
        Command::Completions(args) => completions::run(&args, Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
