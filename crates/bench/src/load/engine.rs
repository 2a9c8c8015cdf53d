//! The loop: opening, cutting and stalling clients, and one turn after another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::{Client, Conn, Phase};
use super::ledger::Ledger;
use super::link::Link;
use super::meter::Meter;
use super::schedule::Schedule;
use crate::adapter::Transport;
use crate::error::{Error, Result};
use crate::host::Processes;
use crate::marker::{MAX_SENDERS, Scanner};
use crate::net::{Poller, Ready, Tls};
use crate::rng::Rng;

/// Bytes read at once.
const READ: usize = 256 << 10;
/// Room in front of what is read, for what was left of the last read.
pub(super) const CARRY: usize = 8 << 10;
/// More room behind what TLS opens than was read: a record that came before.
const RECORD: usize = 64 << 10;
/// Longest wait for what is on its way at the end, in nanoseconds.
const LONGEST_DRAIN: u64 = 60_000_000_000;
/// Messages sent in one turn: reading must not wait longer.
const SENDS_PER_TURN: usize = 64;

/// What a load is made of.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) addr: SocketAddr,
    /// The `Host` of its requests.
    pub(crate) host: String,
    pub(crate) transport: Transport,
    /// Bytes of a message, at least a marker's.
    pub(crate) payload: usize,
    pub(crate) seed: u64,
    /// Stands in the channels' names, so that no two runs meet.
    pub(crate) tag: String,
    /// The server's process, where it runs here.
    pub(crate) server: Option<u32>,
    /// The channel of each client, and whether it publishes.
    pub(crate) clients: Vec<(usize, bool)>,
    /// Clients that share a connection, on HTTP/2.
    pub(crate) streams: usize,
    /// Whether TLS comes back with the server's tickets.
    pub(crate) tickets: bool,
}

/// How clients are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// Connections on the way at once.
    pub(crate) at_once: usize,
    pub(crate) within: Duration,
}

impl Default for Open {
    fn default() -> Open {
        Open {
            at_once: 64,
            within: Duration::from_secs(60),
        }
    }
}

/// The clients and their connections. Client `n` has its stream at `2n`, what it
/// publishes by at `2n + 1`. On HTTP/1.1 each is a connection of its own; on
/// HTTP/2 both, and those of as many clients as may share it, are on one.
pub(crate) struct Engine {
    pub(super) setup: Setup,
    pub(super) clients: Vec<Client>,
    pub(super) conns: Vec<Option<Conn>>,
    pub(super) links: Vec<Option<Link>>,
    pub(super) tls: Option<Tls>,
    pub(super) channels: Vec<Vec<u8>>,
    pub(super) poller: Poller,
    pub(super) scanner: Scanner,
    pub(super) scratch: Vec<u8>,
    /// What TLS opened; empty without.
    pub(super) plain: Vec<u8>,
    pub(super) wire: Vec<u8>,
    pub(super) message: Vec<u8>,
    /// Clients that became ready since it was last emptied.
    pub(super) opened: Vec<u32>,
    /// Streams keep their cursor up to date.
    pub(super) track_cursors: bool,
    /// What is received is searched for the server's word that something is missing.
    pub(super) track_gaps: bool,
    /// The next clients get a small receive buffer.
    pub(super) small_buffers: bool,
    pub(crate) ledger: Ledger,
    pub(crate) meter: Meter,
    pub(crate) rng: Rng,
    pub(super) connects: usize,
    ready: Vec<Ready>,
    start: Instant,
    /// How late sends were, at worst, in nanoseconds.
    pub(crate) latest_send: u64,
}

impl Engine {
    pub(crate) fn new(setup: Setup) -> Result<Engine> {
        if setup.clients.len() > MAX_SENDERS as usize {
            return Err(Error::new("too many clients"));
        }
        let (channels, sends): (Vec<usize>, Vec<bool>) = setup.clients.iter().copied().unzip();
        let names = channels.iter().max().map_or(0, |most| most + 1);
        let mut conns = Vec::new();
        conns.resize_with(2 * setup.clients.len(), || None);
        let mut links = Vec::new();
        links.resize_with(2 * setup.clients.len(), || None);
        let carrier = setup.transport.carrier;
        let tickets = if setup.tickets {
            2 * setup.clients.len()
        } else {
            0
        };
        let protocol = if carrier.is_http2() { "h2" } else { "http/1.1" };
        let tls = carrier.is_tls().then(|| Tls::new(protocol, tickets));
        Ok(Engine {
            clients: sends.iter().map(|&sends| Client::new(sends)).collect(),
            conns,
            links,
            plain: match carrier.is_tls() {
                true => vec![0; CARRY + READ + RECORD],
                false => Vec::new(),
            },
            tls: tls.transpose()?,
            channels: (0..names)
                .map(|n| format!("bench-{}-{n}", setup.tag).into_bytes())
                .collect(),
            poller: Poller::new()?,
            scanner: Scanner::new(),
            scratch: vec![0; CARRY + READ],
            wire: Vec::new(),
            message: Vec::new(),
            opened: Vec::new(),
            track_cursors: false,
            track_gaps: false,
            small_buffers: false,
            ledger: Ledger::new(&channels, &sends),
            meter: Meter::new(setup.server.map(Processes::of)),
            rng: Rng::new(setup.seed),
            connects: 0,
            ready: Vec::new(),
            start: Instant::now(),
            latest_send: 0,
            setup,
        })
    }

    /// Nanoseconds since the load began.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    pub(crate) fn count(&self) -> u32 {
        self.clients.len() as u32
    }

    /// Opens these clients; comes back when all are subscribed.
    ///
    /// # Errors
    /// A refusal, or the time is over.
    pub(crate) fn open(&mut self, clients: impl Iterator<Item = u32>, how: Open) -> Result<()> {
        let deadline = self.now() + how.within.as_nanos() as u64;
        let mut waiting = clients.peekable();
        let mut under_way = 0;
        self.opened.clear();
        loop {
            while under_way < how.at_once
                && let Some(client) = waiting.next()
            {
                self.start_client(client)?;
                under_way += 1;
            }
            if under_way == 0 {
                return Ok(());
            }
            if self.now() >= deadline {
                return Err(Error::new(format_args!(
                    "{under_way} clients are not subscribed after {} s",
                    how.within.as_secs()
                )));
            }
            self.turn(deadline)?;
            under_way -= std::mem::take(&mut self.opened).len().min(under_way);
        }
    }

    /// Starts to connect a client; [`Engine::is_ready`] tells when it is there.
    pub(crate) fn start_client(&mut self, client: u32) -> Result<()> {
        let now = self.now();
        let one = &mut self.clients[client as usize];
        (one.phase, one.step, one.tries, one.began) = (Phase::Opening, 0, 0, now);
        one.posting = None;
        let posts = one.publishes && self.setup.transport.publish.post.is_some();
        self.connect(2 * client as usize)?;
        if posts && self.conns[2 * client as usize + 1].is_none() {
            self.connect(2 * client as usize + 1)?;
        }
        Ok(())
    }

    /// Cuts a client off, without a word. It keeps its cursor.
    pub(crate) fn cut(&mut self, client: u32) {
        self.drop_conn(2 * client as usize);
        self.drop_conn(2 * client as usize + 1);
        let one = &mut self.clients[client as usize];
        (one.phase, one.resuming, one.stalled) = (Phase::Off, true, false);
    }

    /// Whether clients of this transport come back with a cursor.
    pub(crate) fn resumes(&self) -> bool {
        self.setup.transport.resume.is_some()
    }

    /// Clients that were cut come again as new ones.
    pub(crate) fn forget_cursors(&mut self) {
        for one in &mut self.clients {
            one.resuming = false;
            one.vars.clear();
        }
    }

    /// Whether a client is subscribed, and since when.
    pub(crate) fn is_ready(&self, client: u32) -> Option<u64> {
        let one = &self.clients[client as usize];
        (one.phase == Phase::Ready).then_some(one.ready_at)
    }

    /// Whether the server, or we, ended a client's connection.
    pub(crate) fn is_off(&self, client: u32) -> bool {
        self.clients[client as usize].phase == Phase::Off
    }

    /// Nanoseconds that a client took to be subscribed.
    pub(crate) fn opening_took(&self, client: u32) -> u64 {
        let one = &self.clients[client as usize];
        one.ready_at.saturating_sub(one.began)
    }

    /// A client reads nothing from now on, or reads again. Its latencies don't
    /// count any more.
    pub(crate) fn stall(&mut self, client: u32, stalled: bool) -> Result<()> {
        let one = &mut self.clients[client as usize];
        (one.stalled, one.counts) = (stalled, false);
        self.update_interest(self.link_of(2 * client as usize))
    }

    /// Streams remember their cursor from now on, as a client that means to
    /// come back does.
    pub(crate) fn track_cursors(&mut self) {
        self.track_cursors = true;
    }

    /// What is received is searched from now on for the server's word that
    /// something is missing.
    pub(crate) fn track_gaps(&mut self) {
        self.track_gaps = true;
    }

    /// Whether the server told this client that it missed something.
    pub(crate) fn was_told(&self, client: u32) -> bool {
        self.clients[client as usize].told
    }

    /// Whether clients opened from now on take little into their sockets.
    pub(crate) fn small_buffers(&mut self, small: bool) {
        self.small_buffers = small;
    }

    /// Sends what is due and reads what comes, until then.
    pub(crate) fn run(&mut self, schedule: &mut Schedule, until: u64) -> Result<()> {
        loop {
            let now = self.now();
            if now >= until {
                return Ok(());
            }
            for _ in 0..SENDS_PER_TURN {
                let Some((client, due)) = schedule.due(now) else {
                    break;
                };
                self.latest_send = self.latest_send.max(now - due);
                self.publish(client, due)?;
            }
            self.turn(until.min(schedule.next()))?;
        }
    }

    /// Reads until these clients have heard everything, or nothing came for so
    /// long, at most a minute. Those whose connection is gone are not waited
    /// for.
    pub(crate) fn drain(
        &mut self,
        clients: impl Iterator<Item = u32> + Clone,
        quiet: Duration,
    ) -> Result<()> {
        let limit = self.now() + LONGEST_DRAIN;
        let mut heard = self.meter.counters.deliveries;
        let mut deadline = self.now() + quiet.as_nanos() as u64;
        while self.now() < deadline.min(limit) {
            let here = clients.clone().filter(|&client| !self.is_off(client));
            if self.posts_done() && self.ledger.all_at_end(here) {
                return Ok(());
            }
            self.turn(deadline.min(self.now() + 20_000_000))?;
            if self.meter.counters.deliveries > heard {
                heard = self.meter.counters.deliveries;
                deadline = self.now() + quiet.as_nanos() as u64;
            }
        }
        Ok(())
    }

    /// Takes back the messages that are still waiting to be posted: they were
    /// never sent, so nobody lost them. Gives how many.
    pub(crate) fn take_back(&mut self) -> u64 {
        let mut count = 0;
        for (client, one) in self.clients.iter_mut().enumerate() {
            for (seq, _) in one.posts.drain(..) {
                if let Some(seq) = seq {
                    self.ledger.refused(client as u32, seq);
                    count += 1;
                }
            }
        }
        count
    }

    fn posts_done(&self) -> bool {
        self.clients
            .iter()
            .all(|one| one.posts.is_empty() && one.posting.is_none())
    }

    /// Waits for sockets until then, at most, and serves them once.
    pub(crate) fn turn(&mut self, until: u64) -> Result<()> {
        let wait = Duration::from_nanos(until.saturating_sub(self.now()));
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(wait, &mut ready)?;
        for event in &ready {
            self.serve(*event)?;
        }
        self.ready = ready;
        Ok(())
    }

    pub(super) fn client_ready(&mut self, client: u32) {
        let now = self.now();
        let one = &mut self.clients[client as usize];
        let first = !one.resuming;
        (one.phase, one.ready_at) = (Phase::Ready, now);
        self.opened.push(client);
        if first {
            self.ledger.join(client);
        }
    }
}
