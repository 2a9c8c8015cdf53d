//! What was typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Measure what each transport costs, on this machine.
///
/// Without arguments: starts a server, and lets 100 clients each send one
/// message a second that all of them hear, over every transport in turn.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<Sub>,
    /// What to measure: classic, fanout, rooms, idle, echo, resume, slow or storm
    #[arg(default_value = "classic")]
    pub(crate) scenario: String,
    /// The server: the name of an adapter that is built in, or an adapter's file
    #[arg(long, value_name = "NAME|FILE", default_value = "fanwire")]
    pub(crate) adapter: String,
    /// Measure the server that runs here, instead of starting one
    #[arg(long, value_name = "http[s]://HOST:PORT")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sub {
    /// Measure several servers in turns (A B C A B C), and print how they compare with the first
    Compare {
        /// Names or files of adapters; NAME=http://HOST:PORT for a server that runs already
        #[arg(required = true, num_args = 2.., value_name = "SERVER")]
        servers: Vec<String>,
        /// What to measure
        #[arg(long, default_value = "classic")]
        scenario: String,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// List the scenarios, and the servers that are known
    List,
    /// Install the server of an adapter, in its folder
    Install {
        /// Name or file of the adapter
        adapter: String,
        /// The folder with the peers' servers
        #[arg(long, value_name = "DIR", default_value = PEERS)]
        peers: PathBuf,
    },
    /// The load itself: a job on standard input, lines of JSON on standard output
    #[command(hide = true)]
    Load,
    /// The bare broadcaster
    #[command(hide = true)]
    Floor {
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Gather what one turn brought into one write
        #[arg(long)]
        batch: bool,
    },
}

/// Where the peers' servers are, seen from the repository.
const PEERS: &str = "crates/bench/peers";

const EXAMPLES: &str = "\
Examples:
  fanwire bench
  fanwire bench fanout --transport ws --clients 1000
  fanwire bench idle --clients 10000
  fanwire bench fanout --transport ws,ws+tls,ws+h2,ws+h2+tls
  fanwire bench compare fanwire floor floor-batch --scenario fanout --repeats 5
  fanwire bench --url http://127.0.0.1:8000 --adapter mine.toml --pid 1234";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only these transports, in this order
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) transport: Vec<String>,
    /// Subscribers
    #[arg(long, value_name = "N")]
    pub(crate) clients: Option<u32>,
    /// Channels that they are spread over (rooms)
    #[arg(long, value_name = "N")]
    pub(crate) channels: Option<u32>,
    /// Messages per second: of each client in classic, of all elsewhere
    #[arg(long, value_name = "N", conflicts_with = "window")]
    pub(crate) rate: Option<f64>,
    /// As fast as possible, with so many messages under way at once
    #[arg(long, value_name = "N")]
    pub(crate) window: Option<u32>,
    /// Bytes of a message
    #[arg(long, value_name = "N")]
    pub(crate) payload: Option<usize>,
    /// How long to measure
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<f64>,
    /// What goes before and is not measured
    #[arg(long, value_name = "S")]
    pub(crate) warmup: Option<f64>,
    /// Connections on the way at once
    #[arg(long, value_name = "N")]
    pub(crate) at_once: Option<u32>,
    /// Clients that stop reading (slow)
    #[arg(long, value_name = "N")]
    pub(crate) stalled: Option<u32>,
    /// Clients that share a connection, on HTTP/2
    #[arg(long, value_name = "N")]
    pub(crate) streams: Option<u32>,
    /// Over TLS, let no client come back with a ticket: every handshake is a full one
    #[arg(long)]
    pub(crate) no_tickets: bool,
    /// Do it so often; tables then show the median and the range
    #[arg(long, value_name = "N")]
    pub(crate) repeats: Option<usize>,
    /// Phases and masks come from it: the same seed is the same load
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Leave the CPUs to the kernel, instead of one for the server and one for the load
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// Process of a server that was not started here, to measure CPU and memory
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Allow a server on another machine
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// The folder with the peers' servers
    #[arg(long, value_name = "DIR", default_value = PEERS)]
    pub(crate) peers: PathBuf,
    /// Print everything as JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// Print tables in Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Write a page with plots, besides what is printed
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// No progress bar
    #[arg(long)]
    pub(crate) quiet: bool,
}
