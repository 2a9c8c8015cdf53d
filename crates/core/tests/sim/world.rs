//! One world: a broker, a hub with its shards, clients and publishers, and the
//! seed that says who takes the next small step.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use fanwire_core::broker::{Broker, ChaosBroker, MemoryBroker};
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::cursor::Epoch;
use fanwire_core::hub::{Encoder, Hub, HubConfig, Shard};
use fanwire_core::limits::Limits;
use fanwire_core::policy::Door;

use crate::book::Book;
use crate::client::Client;
use crate::cx::{Cx, Verdict};
use crate::events::Event;
use crate::exec::{Exec, Flag, Time};
use crate::oracle::Oracle;
use crate::plan::{CHANNELS, Over, Plan};
use crate::publisher::Publisher;
use crate::rng::Rng;
use crate::tap::{Tap, Trouble};
use crate::wire::Form;

pub struct World {
    pub cx: Cx,
    shards: Vec<Driver>,
    feed: Arc<Flag>,
    clients: Vec<Client>,
    publishers: Vec<Publisher>,
}

/// Drives one shard as a server's task would: a turn when there is a reason.
struct Driver {
    shard: Shard,
    flag: Arc<Flag>,
    again: bool,
    sleep_until: Option<Instant>,
}

impl Driver {
    fn ready(&self, now: Instant) -> bool {
        self.again || self.flag.is_set() || self.sleep_until.is_some_and(|until| until <= now)
    }

    fn turn(&mut self) {
        self.flag.take();
        let turn = self.shard.turn();
        (self.again, self.sleep_until) = (turn.again, turn.sleep_until);
        if !self.again {
            let waker = Waker::from(self.flag.clone());
            self.again = self.shard.poll_work(&mut Context::from_waker(&waker));
        }
    }
}

impl World {
    pub fn new(seed: u64, over: Over, loud: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(over, &mut rng);
        let time = Arc::new(Time::default());
        let exec = Exec::new(time.clone());
        let door = Door::new(plan.namespaces(true));
        let epoch = Epoch(rng.next() >> 20);
        let mut chaos = None;
        let seed = rng.next();
        let (limits, guard, clock) = (&plan.limits, door.clone(), time.clone());
        let broker: Arc<dyn Broker> = match &plan.faults {
            None => Arc::new(MemoryBroker::new(limits, guard, clock, epoch, seed)),
            Some(faults) => {
                let faults = faults.clone();
                let broker = ChaosBroker::new(limits, guard, clock, epoch, seed, faults);
                chaos.insert(Arc::new(broker)).clone()
            }
        };
        let acks = chaos.is_none();
        let tap = Tap::new(broker, acks, exec.clone(), time.clone(), rng.fork());
        *tap.trouble.lock() = plan.trouble;
        let config = HubConfig {
            limits: plan.limits.clone(),
            shards: plan.shards,
            seed: rng.next(),
        };
        let encoders: Vec<Arc<dyn Encoder>> = vec![
            Arc::new(Form { gaps: true }),
            Arc::new(Form { gaps: false }),
        ];
        let (hub, shards) = Hub::new(config, tap.clone(), time.clone(), exec.clone(), encoders);
        let oracle = Oracle::new(&epoch.to_string(), plan.keeps(), plan.exact);
        let book = Book::new(loud);
        let shards = shards.into_iter().map(|shard| Driver {
            shard,
            flag: Flag::set(),
            again: false,
            sleep_until: None,
        });
        let mut cx = Cx {
            plan,
            rng,
            time,
            exec,
            tap,
            chaos,
            told: 0,
            cuts: 0,
            door,
            hub,
            oracle,
            book,
            withdrawn_at: None,
            withdrawals: 0,
            rechecked: false,
            draining: false,
            kept_since: HashSet::new(),
            graves: Vec::new(),
            open: Vec::new(),
            used: Vec::new(),
            writes: Arc::default(),
            conns: 0,
            keys: 0,
            bodies: 0,
        };
        let clients = (0..cx.plan.clients)
            .map(|number| Client::new(number, &mut cx))
            .collect();
        let publishers = (0..cx.plan.publishers)
            .map(|number| Publisher::new(number, &mut cx))
            .collect();
        let plan = cx.plan.clone();
        cx.book.line(format_args!("{plan:?}"));
        Self {
            cx,
            shards: shards.collect(),
            feed: Flag::set(),
            clients,
            publishers,
        }
    }

    /// The whole run.
    pub fn run(&mut self) -> Verdict {
        for _ in 0..self.cx.plan.steps {
            self.step()?;
        }
        self.rest()
    }

    /// Anyone's next small step.
    fn step(&mut self) -> Verdict {
        match self.cx.rng.below(100) {
            0..=2 => self.pass_time()?,
            3..=34 => {
                let at = self.cx.rng.below(self.clients.len());
                self.clients[at].act(&mut self.cx)?;
            }
            35..=49 => {
                let at = self.cx.rng.below(self.publishers.len());
                self.publishers[at].act(&mut self.cx)?;
            }
            50 => self.misfortune()?,
            51..=60 if self.cx.chaos.is_some() => self.stir(),
            _ => {
                // Where nobody can go on, mostly a client does something.
                if !self.turn_something()? && self.cx.rng.percent(20) {
                    self.pass_time()?;
                }
            }
        }
        self.cx.sync()?;
        self.bounds()
    }

    /// Something that is not a client's or a publisher's doing.
    fn misfortune(&mut self) -> Verdict {
        match self.cx.rng.below(4) {
            0 => self.withdraw(),
            1 => {
                let at = self.cx.rng.below(self.cx.graves.len());
                if at < self.cx.graves.len() {
                    self.cx.graves.swap_remove(at);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The broker does some of what is pending.
    fn stir(&mut self) {
        if let Some(chaos) = &self.cx.chaos {
            chaos.step();
        }
    }

    /// Closes the private namespace, or opens it again.
    fn withdraw(&mut self) -> Verdict {
        self.cx.sync()?;
        let close = self.cx.withdrawn_at.is_none();
        self.cx.withdrawn_at =
            close.then(|| self.cx.oracle.truth.top(self.cx.oracle.truth.current()));
        self.cx.door.replace(self.cx.plan.namespaces(!close));
        if close {
            self.cx.kept_since.clear();
            self.cx.withdrawals += 1;
            self.cx.book.count("permits withdrawn");
            // Without it, replays ask again and live streams go on.
            self.cx.rechecked = self.cx.rng.percent(60);
            if self.cx.rechecked {
                self.cx.hub.recheck();
            } else {
                self.cx.book.count("permits withdrawn, replays ask");
            }
        }
        self.cx
            .book
            .line(format_args!("the private namespace is closed: {close}"));
        Ok(())
    }

    /// Runs one of those that were woken; false where nobody was.
    fn turn_something(&mut self) -> Result<bool, String> {
        let now = self.cx.time.now();
        let mut ready: Vec<usize> = (0..self.shards.len())
            .filter(|at| self.shards[*at].ready(now))
            .collect();
        const FEED: usize = 1_000;
        const TASK: usize = 1_001;
        const PUBLISHER: usize = 1_002;
        if self.feed.is_set() {
            ready.push(FEED);
        }
        if self.cx.exec.runnable() {
            ready.push(TASK);
        }
        for (at, publisher) in self.publishers.iter().enumerate() {
            if publisher.ready() {
                ready.push(PUBLISHER + at);
            }
        }
        if ready.is_empty() {
            return Ok(false);
        }
        match *self.cx.rng.pick(&ready) {
            FEED => {
                self.feed.take();
                let waker = Waker::from(self.feed.clone());
                self.cx.hub.poll_feed(&mut Context::from_waker(&waker));
            }
            TASK => self.cx.exec.step(&mut self.cx.rng),
            at if at >= PUBLISHER => self.publishers[at - PUBLISHER].poll(&mut self.cx)?,
            at => self.shards[at].turn(),
        }
        self.cx.sync()?;
        Ok(true)
    }

    /// A little time, or up to the next thing that waits for it.
    fn pass_time(&mut self) -> Verdict {
        let now = self.cx.time.now();
        let sleepers = self.shards.iter().filter_map(|driver| driver.sleep_until);
        let next = sleepers
            .chain(self.cx.exec.next_timer())
            .filter(|when| *when > now)
            .min();
        let by = match next {
            Some(when) if self.cx.rng.percent(40) => (when - now).min(Duration::from_millis(1_500)),
            _ => Duration::from_millis(self.cx.rng.between(1, 120) as u64),
        };
        self.sleep(by)
    }

    fn sleep(&mut self, by: Duration) -> Verdict {
        self.cx.time.advance(by);
        self.cx.exec.fire();
        let ms = self.cx.time.ms();
        self.cx.book.tick(ms);
        self.cx.judge(Event::Time(ms))
    }

    /// P5 and P6, after every step.
    fn bounds(&mut self) -> Verdict {
        let stats = self.cx.hub.stats();
        let limits = &self.cx.plan.limits;
        // A unit larger than the bound passes alone; the stream's own units and
        // replies may stand beside it.
        let unit = limits.message + 200;
        let each = 2 * limits.outbox + unit + limits.answer + 2_000;
        let broken = [
            ("an outbox", stats.outbox_peak, each),
            (
                "all outboxes",
                stats.outbox_bytes,
                each * stats.subscribers.max(1),
            ),
            (
                "reads under way",
                stats.reads,
                limits.reads_per_shard * self.shards.len(),
            ),
            (
                "credit out",
                stats.credit_out,
                limits.publish_credit.max(limits.message + 2_000),
            ),
        ];
        for (what, is, bound) in broken {
            if is > bound {
                return Err(format!("P6: {what}: {is}, bound {bound}"));
            }
        }
        if stats.behind > 0 {
            self.cx.book.count("someone is behind");
        }
        Ok(())
    }

    /// Runs until nothing moves any more but time.
    fn quiet(&mut self) -> Verdict {
        self.clients.iter_mut().for_each(Client::poll_again);
        // Longer than every wait that there is.
        for _ in 0..60 {
            let mut turns = 0;
            loop {
                while self.turn_something()? {
                    turns += 1;
                    if turns > 100_000 {
                        return Err("liveness: it never comes to rest".into());
                    }
                }
                let mut moved = false;
                for client in &mut self.clients {
                    client.settle(&mut self.cx)?;
                    self.cx.sync()?;
                    moved |= client.moved();
                }
                if !moved {
                    break;
                }
            }
            self.bounds()?;
            self.sleep(Duration::from_millis(200))?;
        }
        Ok(())
    }

    /// The faults stop. Everyone who lives must reach the top or have been told,
    /// while those who are stalled stay so; then they too.
    fn rest(&mut self) -> Verdict {
        *self.cx.tap.trouble.lock() = Trouble::default();
        if let Some(chaos) = &self.cx.chaos {
            chaos.settle();
        }
        self.cx.sync()?;
        if self.cx.withdrawn_at.is_some() {
            self.withdraw()?;
        }
        self.cx.graves.clear();
        self.cx.book.line(format_args!("the faults stop"));
        for stalled_go_on in [false, true] {
            if stalled_go_on {
                self.clients
                    .iter_mut()
                    .for_each(|client| client.stalled = false);
            }
            self.quiet()?;
            for channel in CHANNELS {
                self.publishers[0].mark(&mut self.cx, channel, 20)?;
            }
            self.quiet()?;
            for client in &self.clients {
                if let Some(conn) = client.conn().filter(|_| !client.stalled) {
                    self.cx.oracle.settled(conn)?;
                }
            }
        }
        for publisher in &self.publishers {
            if !publisher.idle() {
                return Err("liveness: a publish was never answered".into());
            }
        }
        self.drain()?;
        self.empty()
    }

    /// The node stops while everything goes on: streams end in their turn, the
    /// stalled too, and until then miss nothing.
    fn drain(&mut self) -> Verdict {
        let window = Duration::from_millis(*self.cx.rng.pick(&[0, 150, 2_000]));
        self.cx.book.count("drained");
        self.cx.book.line(format_args!("stops within {window:?}"));
        self.cx.draining = true;
        self.cx.hub.shutdown(window);
        for _ in 0..self.cx.rng.between(50, 400) {
            self.step()?;
        }
        if self.cx.withdrawn_at.is_some() {
            self.withdraw()?;
        }
        self.cx.graves.clear();
        self.sleep(window)?;
        self.quiet()?;
        let left = self.clients.iter().find(|client| client.is_held());
        match left {
            Some(client) => Err(format!("{} is held by a node that stops", client.name)),
            None => Ok(()),
        }
    }

    /// Everyone leaves: nothing may be left behind.
    fn empty(&mut self) -> Verdict {
        self.clients.iter_mut().for_each(Client::leave);
        while self.turn_something()? {}
        let stats = self.cx.hub.stats();
        let left = [
            ("subscribers", stats.subscribers),
            ("bytes in outboxes", stats.outbox_bytes),
            ("queued entries", stats.queued),
            ("credit", stats.credit_out),
            ("reads", stats.reads),
            ("keys", self.cx.hub.keys()),
        ];
        for (what, count) in left {
            if count != 0 {
                return Err(format!("P6: {count} {what} left when everyone is gone"));
            }
        }
        let notes = self.cx.tap.notes.lock();
        let ghost = notes.listeners.iter().find(|(_, count)| **count != 0);
        ghost.map_or(Ok(()), |ghost| {
            Err(format!("a ghost subscription: {ghost:?}"))
        })
    }

    /// What the run saw.
    pub fn tally(&mut self) {
        let notes = self.cx.tap.notes.lock();
        for (what, times) in &notes.counts {
            self.cx.book.add(what, *times);
        }
        let (blocks, partial) = *self.cx.writes.lock();
        let (plan, defaults) = (&self.cx.plan.limits, Limits::default());
        let small = plan.log_bytes != defaults.log_bytes;
        let few = plan.channel_records != defaults.channel_records;
        self.cx.book.add("world with a small log", small.into());
        self.cx.book.add("world with few records", few.into());
        self.cx
            .book
            .add("conflated", self.cx.oracle.conflated.get());
        self.cx.book.add(
            "one bucket for two channels",
            self.cx.oracle.collisions.get(),
        );
        self.cx.book.add("write blocked", blocks);
        self.cx.book.add("write taken in part", partial);
        let Some(chaos) = &self.cx.chaos else { return };
        let seen = chaos.counts();
        for (what, times) in [
            ("append held", seen.held_appends),
            ("append refused", seen.rejected),
            ("outcome unknown, kept", seen.unknown_kept),
            ("outcome unknown, lost", seen.unknown_lost),
            ("ack before feed", seen.acks_before_feed),
            ("ack after feed", seen.acks_after_feed),
            ("batch split", seen.batches_split),
            ("batch joined", seen.batches_joined),
            ("feed stalls", seen.stalls),
            ("read held", seen.held_reads),
            ("read stale", seen.stale_reads),
            ("read short", seen.short_reads),
            ("epoch cut", seen.cuts),
            ("acked, then cut", seen.acked_then_cut),
            ("cut before it was fed", seen.cut_unfed),
            ("feed lost", seen.losses),
            ("lost before it was fed", seen.lost_unfed),
            ("answer ahead of the feed", seen.answers_ahead_of_feed),
            ("epoch ahead of the feed", seen.epochs_ahead_of_feed),
        ] {
            self.cx.book.add(what, times);
        }
    }
}
