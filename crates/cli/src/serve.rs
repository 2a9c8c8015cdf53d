//! `fanwire serve`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use fanwire::{Config, Loader, Server, Stopped};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::level::Level;
use crate::output::{print, say};
use crate::settings::Settings;

/// Run the server
///
/// Without configuration it listens on 127.0.0.1:3000, for programs of this
/// machine only. Every setting is a flag, an environment variable and a line of
/// the file (`fanwire default-config` prints them all); a flag wins over a
/// variable, a variable over the file.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire serve
  fanwire serve --listen 0.0.0.0:3000 --api-key ops=$(openssl rand -hex 16)
  FANWIRE_API_KEYS=ops=SECRET,web=OTHER fanwire serve --listen 0.0.0.0:3000
  fanwire serve --open --listen 0.0.0.0:3000 --allow-origin https://example.org
  fanwire serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem --api-key …
  fanwire serve --tls-self-signed
  fanwire serve --config fanwire.toml

SIGTERM or Ctrl-C stops it, streams one after the other; a second one at once.
SIGHUP reads the file again, drops no connection, and says what changed.
SIGUSR1 prints its figures on stderr.

--help lists every setting, -h the everyday ones.")]
pub(crate) struct Serve {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "FANWIRE_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// What to say on stderr while serving
    #[arg(
        long,
        value_name = "LEVEL",
        env = "FANWIRE_LOG",
        hide_env_values = true,
        hide_env_values = true,
        default_value = "warn"
    )]
    log: Level,
    /// How to say it: a line of text, or of JSON
    #[arg(
        long,
        value_name = "FORMAT",
        env = "FANWIRE_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    log_format: Format,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Serves until a signal asks to stop; a second one ends it at once.
pub(crate) fn run(args: Serve) -> Result<(), Failure> {
    let (settings, file) = (args.settings, args.config);
    let config = settings.load(file.as_deref())?;
    if settings.secret_in_argv() {
        say(format_args!(
            "warning: --api-key and --issuer show secrets to other users of this machine; \
             FANWIRE_API_KEYS, FANWIRE_ISSUERS or the file do not"
        ));
    }
    log_to_stderr(args.log, args.log_format);
    small_pages();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start the runtime: {error}")))?
        .block_on(serve(
            config,
            Arc::new(move || settings.again(file.as_deref())),
        ))
}

/// Asks the kernel for no transparent huge pages: it clears all 2 MiB of one on
/// the first touch, and nobody is served meanwhile (5 ms each on a virtual
/// machine, measured, whenever the log of messages grew by one).
fn small_pages() {
    // A kernel that cannot has none.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn log_to_stderr(level: Level, format: Format) {
    let log = tracing_subscriber::fmt()
        .with_max_level(level.filter())
        .with_writer(std::io::stderr);
    match format {
        Format::Text => log.init(),
        Format::Json => log.json().init(),
    }
}

async fn serve(config: Config, loader: Loader) -> Result<(), Failure> {
    let unhandled = |error| Failure::new(format_args!("cannot handle signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unhandled)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unhandled)?;

    let mut hangup = signal(SignalKind::hangup()).map_err(unhandled)?;
    let mut figures = signal(SignalKind::user_defined1()).map_err(unhandled)?;

    let greeting = Greeting::of(&config);
    let server = Server::new(config)
        .map_err(Failure::new)?
        .reload_with(loader);
    let running = server.start().await.map_err(Failure::new)?;
    // A server whose stdout was closed serves all the same.
    match print(greeting.text(&running).as_bytes()) {
        Ok(()) | Err(Failure::ClosedOutput) => {}
        Err(failure) => return Err(failure),
    }
    let mut asked = async || {
        tokio::select! {
            _ = interrupt.recv() => SIGINT,
            _ = terminate.recv() => SIGTERM,
        }
    };
    let telling = async {
        while figures.recv().await.is_some() {
            say(format_args!("{}", figures_of(&running)));
        }
        std::future::pending().await
    };
    let reloading = async {
        while hangup.recv().await.is_some() {
            // A small file, and nobody is served by this task.
            match running.reload() {
                Ok(reloaded) => say(format_args!("reloaded: {reloaded}")),
                Err(problems) => say(format_args!("not reloaded, nothing changed:\n{problems}")),
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        _ = asked() => {}
        () = telling => {}
        () = reloading => {}
    }
    let connections = running.connections();
    say(format_args!(
        "stopping: {connections} connections are told to come back; again to end at once"
    ));
    tokio::select! {
        stopped = running.shutdown() => {
            let Stopped { ended, cut } = stopped;
            say(format_args!("stopped: ended {ended}, cut {cut}"));
            match cut {
                0 => Ok(()),
                _ => Err(Failure::Said),
            }
        }
        signal = asked() => {
            say(format_args!("stopped at once: the connections that were left are cut"));
            Err(Failure::Signalled(signal))
        }
    }
}

/// What SIGUSR1 prints: one line of names and numbers.
fn figures_of(running: &fanwire::Running) -> String {
    let (connections, broken) = (running.connections(), running.broken());
    let fanwire::Stats {
        subscribers,
        behind,
        outbox_bytes,
        queued,
        credit_out,
        reads,
        deliveries,
        gaps,
        faults,
        ..
    } = running.hub().stats();
    format!(
        "figures: connections {connections} subscribers {subscribers} behind {behind} \
         outbox_bytes {outbox_bytes} queued {queued} credit_out {credit_out} reads {reads} \
         deliveries {deliveries} gaps {gaps} faults {faults} broken {broken}"
    )
}

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// What is printed once the server listens.
struct Greeting {
    keyed: bool,
    open: bool,
}

impl Greeting {
    fn of(config: &Config) -> Self {
        Self {
            keyed: !config.access.api_keys.is_empty(),
            open: config.access.open,
        }
    }

    fn text(&self, running: &fanwire::Running) -> String {
        let secured = running.tls_addrs().len();
        let mut out = String::new();
        let who = match (self.open, self.keyed) {
            (true, _) => "open to everyone who reaches it",
            (false, true) => "for holders of an API key",
            (false, false) => "for programs of this machine",
        };
        let urls: Vec<String> = (running.addrs().iter().enumerate())
            .map(|(at, address)| url(*address, at < secured))
            .collect();
        for url in &urls {
            let _ = writeln!(out, "fanwire serves {url}, {who}");
        }
        for address in running.admin_addrs() {
            let url = url(*address, false);
            let _ = writeln!(out, "and operators at {url}: /metrics, /readyz, /api");
        }
        let insecure = match running.self_signed() {
            Some(fingerprint) => {
                let _ = writeln!(
                    out,
                    "with a certificate of its own, for development, SHA-256\n  {fingerprint}"
                );
                "-k "
            }
            None => "",
        };
        let Some(url) = urls.first() else {
            return out;
        };
        let key = match self.keyed && !self.open {
            true => "-H 'Authorization: Bearer SECRET' ",
            false => "",
        };
        let _ = write!(
            out,
            "  hear     curl -N {insecure}{key}'{url}/c/news?format=sse'\n  \
               publish  curl {insecure}{key}-d 'hello' {url}/c/news\n  \
               look     {url}/\n\
             Ctrl-C stops it.\n"
        );
        out
    }
}

/// An address as this machine reaches it.
fn url(address: SocketAddr, secured: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if secured { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}
