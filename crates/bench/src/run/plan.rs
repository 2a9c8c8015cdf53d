//! Which servers, transports and numbers, in which order.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use crate::adapter::{self, Adapter};
use crate::error::{Error, Result};
use crate::host::Cpus;
use crate::marker;
use crate::scenario::{self, Params, Scenario};

/// Limits of what can be asked for.
const MAX_CLIENTS: u32 = 100_000;
const MAX_PAYLOAD: usize = 64 << 10;
const MAX_SECONDS: f64 = 600.0;
const MAX_REPEATS: usize = 100;
/// Each may have two streams open, and servers like to allow a hundred.
const MAX_STREAMS: u32 = 50;

/// What was asked for, before it was looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) scenario: String,
    /// Names or files of adapters, each with `=URL` where it runs already.
    pub(crate) servers: Vec<String>,
    pub(crate) transports: Vec<String>,
    pub(crate) allow_remote: bool,
    pub(crate) pid: Option<u32>,
    pub(crate) peers: Option<PathBuf>,
    pub(crate) repeats: usize,
    pub(crate) seed: u64,
    pub(crate) pin: bool,
    pub(crate) clients: Option<u32>,
    pub(crate) channels: Option<u32>,
    pub(crate) rate: Option<f64>,
    pub(crate) window: Option<u32>,
    pub(crate) payload: Option<usize>,
    pub(crate) seconds: Option<f64>,
    pub(crate) warmup: Option<f64>,
    pub(crate) at_once: Option<u32>,
    pub(crate) stalled: Option<u32>,
    pub(crate) streams: Option<u32>,
    pub(crate) no_tickets: bool,
}

/// One server to measure.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) adapter: Adapter,
    /// Where it runs; none: it is started.
    pub(crate) at: Option<At>,
    /// The transports to measure, in order.
    pub(crate) transports: Vec<String>,
}

/// A server that runs already.
#[derive(Clone, Debug)]
pub(crate) struct At {
    pub(crate) addr: SocketAddr,
    pub(crate) host: String,
    pub(crate) tls: bool,
    pub(crate) pid: Option<u32>,
}

/// What will be done.
pub(crate) struct Plan {
    pub(crate) scenario: &'static dyn Scenario,
    pub(crate) params: Params,
    pub(crate) targets: Vec<Target>,
    pub(crate) repeats: usize,
    pub(crate) seed: u64,
    pub(crate) cpus: Cpus,
}

impl Plan {
    /// Every run in its order: all servers once, then all again (A B C A B C),
    /// so that what the machine does meanwhile hits all alike.
    pub(crate) fn runs(&self) -> Vec<(usize, &Target, &str)> {
        let mut runs = Vec::new();
        for repeat in 0..self.repeats {
            for transport in self.transports() {
                for target in &self.targets {
                    if target.transports.contains(transport) {
                        runs.push((repeat, target, transport.as_str()));
                    }
                }
            }
        }
        runs
    }

    fn transports(&self) -> Vec<&String> {
        let mut all = Vec::new();
        for target in &self.targets {
            for transport in &target.transports {
                if !all.contains(&transport) {
                    all.push(transport);
                }
            }
        }
        all
    }
}

/// Looks at a wish.
///
/// # Errors
/// What cannot be done, with what can.
pub(crate) fn plan(wish: &Wish) -> Result<Plan> {
    let scenario = scenario::by_name(&wish.scenario)?;
    let params = params(wish, scenario)?;
    let mut targets = Vec::new();
    for server in &wish.servers {
        targets.push(target(server, scenario, wish)?);
    }
    if wish.repeats == 0 || wish.repeats > MAX_REPEATS {
        return Err(Error::new("--repeats is 1 to 100"));
    }
    Ok(Plan {
        scenario,
        params,
        targets,
        repeats: wish.repeats,
        seed: wish.seed,
        cpus: if wish.pin {
            Cpus::choose()
        } else {
            Cpus::default()
        },
    })
}

fn params(wish: &Wish, scenario: &dyn Scenario) -> Result<Params> {
    let mut params = scenario.defaults();
    params.clients = wish.clients.unwrap_or(params.clients);
    params.channels = wish.channels.unwrap_or(params.channels);
    params.rate = wish.rate.unwrap_or(params.rate);
    if wish.window.is_some() && wish.rate.is_none() {
        params.rate = 0.0;
    }
    params.window = wish.window.unwrap_or(params.window);
    params.payload = wish.payload.unwrap_or(params.payload);
    params.seconds = wish.seconds.unwrap_or(params.seconds);
    params.warmup = wish.warmup.unwrap_or(params.warmup);
    params.at_once = wish.at_once.unwrap_or(params.at_once);
    params.stalled = wish.stalled.unwrap_or(params.stalled);
    params.streams = wish.streams.unwrap_or(params.streams);
    params.tickets = !wish.no_tickets;
    let knobs = scenario.knobs();
    let given = [
        ("rate", wish.rate.is_some()),
        ("window", wish.window.is_some()),
        ("channels", wish.channels.is_some()),
        ("stalled", wish.stalled.is_some()),
    ];
    if let Some((name, _)) = given
        .iter()
        .find(|(name, given)| *given && !knobs.contains(name))
    {
        return Err(Error::new(format_args!(
            "--{name} means nothing in {}",
            scenario.name()
        )));
    }
    let rules = [
        (
            (1..=MAX_CLIENTS).contains(&params.clients),
            "--clients is 1 to 100,000",
        ),
        (
            (1..=MAX_CLIENTS).contains(&params.channels),
            "--channels is 1 to 100,000",
        ),
        (
            (marker::LEN..=MAX_PAYLOAD).contains(&params.payload),
            "--payload is 32 to 65,536 bytes",
        ),
        (
            params.seconds > 0.0 && params.seconds <= MAX_SECONDS,
            "--seconds is more than 0, at most 600",
        ),
        (
            (0.0..=MAX_SECONDS).contains(&params.warmup),
            "--warmup is 0 to 600 seconds",
        ),
        (
            (0.0..=1e6).contains(&params.rate),
            "--rate is 0 to 1,000,000 per second",
        ),
        (
            (1..=MAX_CLIENTS).contains(&params.window),
            "--window is 1 to 100,000",
        ),
        (
            (1..=10_000).contains(&params.at_once),
            "--at-once is 1 to 10,000",
        ),
        (
            (1..=MAX_STREAMS).contains(&params.streams),
            "--streams is 1 to 50",
        ),
        (
            params.streams == 1 || params.stalled == 0,
            "a client that stalls needs a connection of its own: --streams 1",
        ),
    ];
    for (holds, says) in rules {
        if !holds {
            return Err(Error::new(says));
        }
    }
    if knobs.contains(&"rate") && !knobs.contains(&"window") && params.rate <= 0.0 {
        return Err(Error::new(format_args!(
            "{} needs a --rate above 0",
            scenario.name()
        )));
    }
    Ok(params)
}

fn target(server: &str, scenario: &dyn Scenario, wish: &Wish) -> Result<Target> {
    let (name, url) = match server.split_once('=') {
        Some((name, url)) => (name, Some(url)),
        None => (server, None),
    };
    let adapter = adapter::find(name, wish.peers.as_deref())?;
    let at = match url {
        Some(url) => Some(at(url, wish)?),
        None if adapter.server.is_none() => {
            return Err(Error::new(format_args!(
                "the adapter {name} cannot start its server: start it yourself, and give {name}=http://127.0.0.1:PORT"
            )));
        }
        None => None,
    };
    let all = adapter.transports.iter();
    let mut transports: Vec<String> = match wish.transports.is_empty() {
        true => all
            .filter(|(_, one)| scenario.suits(one))
            .map(|(name, _)| name.clone())
            .collect(),
        false => wish
            .transports
            .iter()
            .filter(|name| adapter.transports.contains_key(*name))
            .cloned()
            .collect(),
    };
    transports.dedup();
    if let Some(at) = &at {
        transports.retain(|name| adapter.transports[name].carrier.is_tls() == at.tls);
    } else if adapter
        .server
        .as_ref()
        .is_some_and(|launch| launch.tls.is_empty())
    {
        transports.retain(|name| !adapter.transports[name].carrier.is_tls());
    }
    let sends = scenario
        .clients(&scenario.defaults())
        .iter()
        .any(|(_, sends)| *sends);
    if sends {
        transports.retain(|one| adapter.transports[one].publishes());
    }
    if transports.is_empty() {
        let names: Vec<&str> = adapter.transports.keys().map(String::as_str).collect();
        return Err(Error::new(format_args!(
            "nothing of {name} suits {}; its transports are {}: choose with --transport",
            scenario.name(),
            names.join(", ")
        )));
    }
    Ok(Target {
        adapter,
        at,
        transports,
    })
}

fn at(url: &str, wish: &Wish) -> Result<At> {
    let plain = url.strip_prefix("http://").map(|rest| (rest, false));
    let found = plain.or_else(|| Some((url.strip_prefix("https://")?, true)));
    let Some((rest, tls)) = found else {
        return Err(Error::new(format_args!(
            "{url}: only http:// and https:// can be measured"
        )));
    };
    let host = rest.trim_end_matches('/').to_owned();
    if host.contains('/') {
        return Err(Error::new(format_args!(
            "{url}: paths belong into the adapter"
        )));
    }
    let with_port = match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => host.clone(),
        _ => format!("{host}:{}", if tls { 443 } else { 80 }),
    };
    let addr = with_port
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Error::new(format_args!("{url}: there is no such address")))?;
    if !addr.ip().is_loopback() && !wish.allow_remote {
        return Err(Error::new(format_args!(
            "{url} is another machine: a load is not sent there without --allow-remote"
        )));
    }
    Ok(At {
        addr,
        host,
        tls,
        pid: wish.pid,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wish(scenario: &str, servers: &[&str]) -> Wish {
        Wish {
            scenario: scenario.to_owned(),
            servers: servers.iter().map(|&server| server.to_owned()).collect(),
            repeats: 2,
            ..Wish::default()
        }
    }

    #[test]
    fn servers_take_turns() {
        let mut wish = wish("classic", &["floor", "floor-batch"]);
        wish.transports = vec!["ws".to_owned(), "sse".to_owned()];
        let plan = plan(&wish).unwrap();
        let runs: Vec<String> = plan
            .runs()
            .iter()
            .map(|(repeat, target, transport)| {
                format!("{repeat} {} {transport}", target.adapter.name)
            })
            .collect();
        assert_eq!(
            runs,
            [
                "0 floor ws",
                "0 floor-batch ws",
                "0 floor sse",
                "0 floor-batch sse",
                "1 floor ws",
                "1 floor-batch ws",
                "1 floor sse",
                "1 floor-batch sse"
            ]
        );
    }

    #[test]
    fn what_cannot_be_measured_is_refused_with_what_can() {
        for (scenario, server, says) in [
            ("classic", "floor=http://192.0.2.1:80", "--allow-remote"),
            (
                "classic",
                "floor=https://127.0.0.1",
                "nothing of floor suits",
            ),
            ("classic", "floor=ftp://127.0.0.1", "only http://"),
            ("classic", "nobody", "no adapter is called"),
            ("classics", "floor", "classic, fanout"),
            ("idle", "floor", "--window means nothing in idle"),
        ] {
            let mut wish = wish(scenario, &[server]);
            wish.window = (scenario == "idle").then_some(3);
            let Err(error) = plan(&wish) else {
                panic!("{server} was planned");
            };
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
