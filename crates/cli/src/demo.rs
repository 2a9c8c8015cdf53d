//! `fanwire demo`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use clap::Args;
use fanwire_demo::{LogTail, Options, Timings};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use crate::failure::Failure;
use crate::level::Level;
use crate::output::{print, say};

/// Serve the demos, for a browser on this machine
///
/// The servers that everyone learns real-time communication from (long polling,
/// Server-Sent Events, a Socket.IO chat, a plain WebSocket), a game for several windows,
/// a dashboard and a stock ticker. Each is a small Rust file, which its page shows.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire demo
  fanwire demo --port 4000 --no-ws-port
  fanwire demo --address 0.0.0.0        (a telephone in the same network can play)

Everyone who reaches it may do everything: it is for looking, not for serving.
Ctrl-C stops it.")]
pub(crate) struct Demo {
    /// The port of the pages, and of everything else
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    port: u16,
    /// A second port, where WebSocket clients of the classic tutorial look
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    ws_port: u16,
    /// No second port
    #[arg(long, conflicts_with = "ws_port")]
    no_ws_port: bool,
    /// The address to listen on; left out: this machine alone
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// What to say on stderr while serving; the dashboard shows all from info up
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: Level,
}

/// Serves until a signal asks to stop.
pub(crate) fn run(args: Demo) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start the runtime: {error}")))?
        .block_on(serve(&args))
}

async fn serve(args: &Demo) -> Result<(), Failure> {
    let unhandled = |error| Failure::new(format_args!("cannot handle signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unhandled)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unhandled)?;
    let options = Options {
        addresses: addresses(args),
        timings: Timings::default(),
        log: logging(args.log),
    };
    let running = fanwire_demo::start(options).await.map_err(|error| {
        Failure::new(format_args!(
            "{error}; is something else there? (--port, --ws-port)"
        ))
    })?;
    let ports = 2 - usize::from(args.no_ws_port);
    match print(greeting(&running.addrs()[..ports]).as_bytes()) {
        Ok(()) | Err(Failure::ClosedOutput) => {}
        Err(failure) => return Err(failure),
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    say(format_args!("stopping; again to end at once"));
    tokio::select! {
        _ = running.shutdown() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Where it listens, pages first. `localhost` is two addresses where a system has both
/// kinds, and some clients try one alone.
fn addresses(args: &Demo) -> Vec<SocketAddr> {
    let mut ports = vec![args.port];
    if !args.no_ws_port {
        ports.push(args.ws_port);
    }
    let here = args.address.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let mut all: Vec<_> = ports.iter().map(|port| (here, *port).into()).collect();
    let other = IpAddr::from(Ipv6Addr::LOCALHOST);
    if args.address.is_none() && TcpListener::bind((other, 0)).is_ok() {
        // A free port of one is not one of the other.
        let chosen = ports.iter().filter(|port| **port != 0);
        all.extend(chosen.map(|port| SocketAddr::from((other, *port))));
    }
    all
}

/// Logs to stderr from this level up, and keeps the last lines for the dashboard.
fn logging(level: Level) -> LogTail {
    let tail = LogTail::default();
    let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(stderr.with_filter(level.filter()))
        .with(tail.clone().with_filter(LevelFilter::INFO))
        .init();
    tail
}

fn greeting(addresses: &[SocketAddr]) -> String {
    let host = |address: &SocketAddr| match address.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => format!("localhost:{}", address.port()),
        _ => address.to_string(),
    };
    let mut said = String::new();
    if let Some(pages) = addresses.first() {
        said = format!("Fanwire's demos are at http://{}\n", host(pages));
    }
    if let Some(web_socket) = addresses.get(1) {
        said += &format!("The WebSocket is at ws://{} too.\n", host(web_socket));
    }
    said + "Ctrl-C stops them.\n"
}
