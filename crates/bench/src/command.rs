//! Does what was typed.

use std::path::Path;

use crate::adapter::{self, Carrier};
use crate::args::{Bench, Options, Sub};
use crate::error::{Error, Result};
use crate::floor;
use crate::host::{self, Signals};
use crate::report::{self, About, Row, Run, Style};
use crate::run::{self, Wish};
use crate::scenario;

/// Repeats of a comparison, where none are given.
const COMPARE_REPEATS: usize = 3;

/// Runs `bench`. `below` is what stands between this program and the
/// arguments: `["bench"]` where it is a sub-command, since the program starts
/// itself again for the load.
///
/// # Errors
/// One sentence that says what to do.
pub fn run(args: Bench, below: &[&str]) -> Result<()> {
    let mut this = vec![std::env::current_exe()?.display().to_string()];
    this.extend(below.iter().map(|&word| word.to_owned()));
    match args.command {
        None => {
            let server = match args.url {
                Some(url) => format!("{}={url}", args.adapter),
                None => args.adapter,
            };
            measure(&args.scenario, vec![server], &args.options, 1, &this)
        }
        Some(Sub::Compare {
            servers,
            scenario,
            options,
        }) => measure(&scenario, servers, &options, COMPARE_REPEATS, &this),
        Some(Sub::List) => list(),
        Some(Sub::Install { adapter, peers }) => {
            run::install(&adapter::find(&adapter, Some(&peers))?, &this)
        }
        Some(Sub::Load) => run::work(),
        Some(Sub::Floor { port, batch }) => {
            host::raise_files();
            floor::serve(port, batch)
        }
    }
}

fn measure(
    scenario: &str,
    servers: Vec<String>,
    options: &Options,
    repeats: usize,
    this: &[String],
) -> Result<()> {
    let plan = run::plan(&Wish {
        scenario: scenario.to_owned(),
        servers,
        transports: options.transport.clone(),
        allow_remote: options.allow_remote,
        pid: options.pid,
        peers: Some(options.peers.clone()),
        repeats: options.repeats.unwrap_or(repeats),
        seed: options.seed,
        pin: !options.no_pin,
        clients: options.clients,
        channels: options.channels,
        rate: options.rate,
        window: options.window,
        payload: options.payload,
        seconds: options.seconds,
        warmup: options.warmup,
        at_once: options.at_once,
        stalled: options.stalled,
        streams: options.streams,
        no_tickets: options.no_tickets,
    })?;
    host::raise_files();
    let (about, runs) = run::measure(&plan, this, &Signals::catch()?, !options.quiet, typed())?;
    let rows = report::rows(&runs);
    if let Some(file) = &options.html {
        let written = std::fs::write(file, report::page(&about, &rows));
        written.map_err(|error| {
            Error::new(format_args!("cannot write {}: {error}", file.display()))
        })?;
    }
    print(&about, &rows, &runs, options);
    match runs.iter().all(|run| run.outcome.is_none()) {
        true => Err(Error::new("nothing could be measured")),
        false => Ok(()),
    }
}

fn print(about: &About, rows: &[Row], runs: &[Run], options: &Options) {
    if options.json {
        println!("{:#}", report::json(about, rows, runs));
        return;
    }
    let style = if options.markdown {
        Style::Markdown
    } else {
        Style::Terminal
    };
    println!("{}\n", about.what);
    print!("{}", report::table(rows, &about.columns, style));
    let ratios = report::ratios(runs);
    if let Some(first) = rows.first().filter(|_| !ratios.is_empty()) {
        println!(
            "\nAs multiples of {}, on the same transport:\n",
            first.target
        );
        print!("{}", report::table(&ratios, &about.columns, style));
    }
    let carried = report::carried(runs);
    if !carried.is_empty() {
        println!("\nAs multiples of the same over HTTP/1.1 in the clear:\n");
        print!("{}", report::table(&carried, &about.columns, style));
    }
    println!();
    for (name, value) in about
        .machine
        .iter()
        .chain(&about.versions.clone().into_iter().collect::<Vec<_>>())
    {
        println!("{name}: {value}");
    }
    println!("again: {}", about.command);
}

/// The command line, without the folder of the program.
fn typed() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default();
    let mut line = program.to_string_lossy().into_owned();
    for word in words {
        line.push(' ');
        line.push_str(&word);
    }
    line
}

fn list() -> Result<()> {
    println!("Scenarios:");
    for one in scenario::ALL {
        println!("  {:8} {}", one.name(), one.about());
    }
    println!("\nServers:");
    for name in adapter::names() {
        let adapter = adapter::find(&name, None)?;
        println!("  {name:16} {}", adapter.about);
        let own = adapter.transports.iter();
        let own = own.filter(|(_, one)| one.carrier == Carrier::Plain);
        for (transport, one) in own {
            let over: Vec<String> = one.over.iter().map(|over| over.of(transport)).collect();
            let more = if over.is_empty() { "" } else { ", and " };
            println!("  {:16} {transport}{more}{}", "", over.join(", "));
        }
    }
    Ok(())
}
