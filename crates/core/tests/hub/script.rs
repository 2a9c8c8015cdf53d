//! Plays a script: every line that is not indented is a step (`#` a comment);
//! what the clients received, and how they ended, is written indented below it.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::broker::Appended;
use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::hub::{Draft, End, Heartbeat, Kind, Start};
use fanwire_core::key::{Key, Namespace, SocketId};
use fanwire_core::limits::Limits;
use fanwire_core::message::Body;
use fanwire_core::namespace::{Access, History, Namespaces, Rules};
use fanwire_core::policy::Revoke;

use crate::world::{Coming, World};

/// Plays `script` and gives it back with the traces renewed.
pub(crate) fn play(script: &str) -> String {
    let mut trace = String::new();
    let mut player = Player {
        limits: Limits::default(),
        rules: Rules::open(),
        shards: 1,
        world: None,
    };
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        writeln!(trace, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        player.step(line, &mut trace);
    }
    trace
}

struct Player {
    limits: Limits,
    rules: Rules,
    shards: usize,
    world: Option<World>,
}

impl Player {
    fn world(&mut self) -> &mut World {
        let (limits, rules, shards) = (self.limits.clone(), self.rules.clone(), self.shards);
        self.world.get_or_insert_with(|| {
            let off = Rules {
                history: History::OFF,
                ..rules.clone()
            };
            let last = Rules {
                conflate: true,
                ..rules.clone()
            };
            let namespaces = Namespaces::all(rules)
                .with(Namespace::new("off").unwrap(), off)
                .with(Namespace::new("last").unwrap(), last);
            World::new(limits, shards, namespaces)
        })
    }

    fn step(&mut self, line: &str, trace: &mut String) {
        self.act(line, trace);
        self.show(trace);
    }

    fn act(&mut self, line: &str, trace: &mut String) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        let words: Vec<&str> = words.collect();
        match verb {
            "limits" => words.iter().for_each(|word| self.limit(word)),
            "attach" => self.attach(&words, trace),
            "publish" => self.publish(&words, trace),
            "drain" => self.world().drain(words[0], number(words[1])),
            "hear" => self.world().hear(words[0]),
            "poison" => self.world().poison(words[0]),
            "break" => self.world().break_task(words[0]),
            // join NAME CHANNELS [given]
            "join" => {
                let given = words.get(2) == Some(&"given");
                match self.world().join(words[0], words[1], given) {
                    Ok(cursor) => writeln!(trace, "    from {cursor}").unwrap(),
                    Err(refusal) => writeln!(trace, "    refused {refusal}").unwrap(),
                }
            }
            // leave NAME [CHANNELS]: these, or for good.
            "leave" => match words.get(1) {
                Some(channels) => self.world().leave(words[0], channels),
                None => drop(self.world().clients.remove(words[0])),
            },
            "send" => self.world().send(words[0], words[1]),
            "greeted" => self.world().subscriber(words[0]).greeted(),
            "end" => {
                let end = End::Close(3000, "bye".to_owned());
                self.world().subscriber(words[0]).end(end);
            }
            "emit" => self.world().emit(words[0], words[1]),
            // The broker's answers wait, or come.
            "broker" => {
                let held = words[0] == "waits";
                self.world().held.store(held, Ordering::SeqCst);
            }
            // at once STEP ; STEP …: nothing is done between them.
            "at" => self.at_once(&words[1..], trace),
            "shard" => {
                let shard = self.world().subscriber(words[0]).shard();
                writeln!(trace, "    {shard:?}").unwrap();
            }
            "keys" => {
                let keys = self.world().hub.keys();
                writeln!(trace, "    {keys}").unwrap();
            }
            "advance" => self
                .world()
                .advance(Duration::from_millis(number(words[0]) as u64)),
            "stop" => self
                .world()
                .stop(Duration::from_millis(number(words[0]) as u64)),
            "deny" => {
                let rules = Rules {
                    history_access: Access::Nobody,
                    subscribe: Access::Nobody,
                    ..self.rules.clone()
                };
                self.world().door.replace(Namespaces::all(rules));
                if words.first() == Some(&"now") {
                    self.world().hub.recheck();
                }
            }
            "shutdown" => {
                let window = words.first().map_or(0, |ms| number(ms));
                let window = Duration::from_millis(window as u64);
                self.world().hub.shutdown(window);
            }
            "stats" => {
                let stats = self.world().hub.stats();
                writeln!(
                    trace,
                    "    subscribers={} behind={} outbox={} peak={} faults={}",
                    stats.subscribers,
                    stats.behind,
                    stats.outbox_bytes,
                    stats.outbox_peak,
                    stats.faults
                )
                .unwrap();
            }
            // renew NAME CHANNELS USER MS [revoked]: withdrawn while it is on its way.
            "renew" => {
                let left = Duration::from_millis(number(words[3]) as u64);
                self.world().renew(words[0], words[1], words[2], left);
                if words.get(4) == Some(&"revoked") {
                    self.revoke(words[2]);
                }
            }
            "revoke" => {
                self.revoke(words[0]);
                self.world().hub.recheck();
            }
            other => panic!("no such step: {other}"),
        }
    }

    fn at_once(&mut self, words: &[&str], trace: &mut String) {
        for step in words.split(|word| *word == ";") {
            self.act(&step.join(" "), trace);
        }
    }

    fn revoke(&mut self, user: &str) {
        let what = Revoke::User {
            issuer: None,
            id: user.into(),
        };
        self.world().door.revoke(what, 0, u64::MAX).unwrap();
    }

    fn limit(&mut self, word: &str) {
        let (name, value) = word.split_once('=').unwrap();
        let value = number(value);
        match name {
            "outbox" => self.limits.outbox = value,
            "chunk" => self.limits.chunk = value,
            "answer" => self.limits.answer = value,
            "ring" => self.limits.ring_bytes = value,
            "message" => self.limits.message = value,
            "reads" => self.limits.reads_per_shard = value,
            "shards" => self.shards = value,
            "history" => self.rules.history.messages = value,
            other => panic!("no such limit: {other}"),
        }
    }

    /// attach NAME CHANNELS [START] [once=MS] [limit=N] [room=N] [pull] [nogaps] [beat=MS,MS]
    /// [greets=MS] [user=NAME] [expires=MS] [waits] [given] [since=CURSOR,CURSOR] [beside=NAME]
    fn attach(&mut self, words: &[&str], trace: &mut String) {
        let mut coming = Coming {
            name: words[0],
            channels: words[1],
            room: usize::MAX / 2,
            pull: false,
            form: 0,
            given: false,
            since: Vec::new(),
            beside: None,
            start: Start::Latest,
            kind: Kind::Stream,
            heartbeat: None,
            greeting: Duration::ZERO,
            user: None,
            expires: None,
        };
        let (mut once, mut limit) = (None, 100);
        for word in &words[2..] {
            match word.split_once('=').unwrap_or((word, "")) {
                ("earliest", _) => coming.start = Start::Earliest,
                ("rewind", n) => coming.start = Start::Rewind(number(n)),
                ("newest", n) => coming.start = Start::Newest(number(n)),
                ("after", text) => coming.start = Start::After(Cursor::read(text.as_bytes())),
                ("once", ms) => once = Some(number(ms)),
                ("limit", n) => limit = number(n),
                ("room", n) => coming.room = number(n),
                ("pull", _) => coming.pull = true,
                ("user", name) => coming.user = Some(name),
                ("expires", ms) => {
                    coming.expires = Some(Duration::from_millis(number(ms) as u64));
                }
                ("greets", ms) => {
                    coming.greeting = Duration::from_millis(number(ms) as u64);
                }
                ("nogaps", _) => coming.form = 1,
                ("waits", _) => coming.form = 2,
                ("given", _) => coming.given = true,
                ("beside", name) => coming.beside = Some(name),
                ("since", places) => {
                    let places = places.split(',').map(|text| Cursor::read(text.as_bytes()));
                    coming.since = places
                        .map(|place| match place {
                            CursorText::Cursor(cursor) => cursor,
                            other => panic!("not a cursor: {other:?}"),
                        })
                        .collect();
                }
                ("beat", both) => {
                    let (interval, timeout) = both.split_once(',').unwrap();
                    coming.heartbeat = Some(Heartbeat {
                        interval: Duration::from_millis(number(interval) as u64),
                        timeout: Some(Duration::from_millis(number(timeout) as u64)),
                    });
                }
                (other, _) => panic!("no such word: {other}"),
            }
        }
        if let Some(ms) = once {
            coming.kind = Kind::Once {
                deadline: Duration::from_millis(ms as u64),
                limit,
            };
        }
        if let Err(refusal) = self.world().attach(coming) {
            writeln!(trace, "    refused {refusal}").unwrap();
        }
    }

    /// publish CHANNELS TEXT [key=K] [except=NAME] [volatile] [once=KEY] [times=N]
    fn publish(&mut self, words: &[&str], trace: &mut String) {
        let mut draft = Draft::new(Body::Text(Bytes::copy_from_slice(words[1].as_bytes())));
        let mut times = 1;
        for word in &words[2..] {
            match word.split_once('=').unwrap_or((word, "")) {
                ("key", key) => draft.key = Some(key.into()),
                ("except", name) => {
                    draft
                        .except
                        .push(Key::Socket(Namespace::root(), SocketId::new(name)));
                }
                ("except-key", name) => {
                    draft.except.push(Key::parse(name.as_bytes()).unwrap());
                }
                ("volatile", _) => draft.volatile = true,
                ("once", key) => draft.idempotency_key = Some(key.into()),
                ("times", n) => times = number(n),
                (other, _) => panic!("no such word: {other}"),
            }
        }
        for _ in 0..times {
            match self.world().publish(words[0], draft.clone()) {
                Ok(Appended::Kept {
                    id,
                    duplicate: true,
                }) => {
                    writeln!(trace, "    id {id} duplicate").unwrap();
                }
                Ok(Appended::Kept { id, .. }) if times == 1 => {
                    writeln!(trace, "    id {id}").unwrap();
                }
                Ok(_) => {}
                Err(refusal) => writeln!(trace, "    refused {refusal}").unwrap(),
            }
        }
    }

    /// Lets everything come to rest and writes what was received since.
    fn show(&mut self, trace: &mut String) {
        let Some(world) = &mut self.world else { return };
        world.settle();
        let mut ended = Vec::new();
        for (name, (_, wire)) in &world.clients {
            let mut wire = wire
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let received = std::mem::take(&mut wire.received);
            for line in String::from_utf8_lossy(&received).lines() {
                writeln!(trace, "    {name} < {}", line.trim_end()).unwrap();
            }
            if let Some(end) = wire.ended.take() {
                writeln!(trace, "    {name} ended: {end:?}").unwrap();
                ended.push(name.clone());
            }
        }
        for name in ended {
            world.clients.remove(&name);
        }
        world.settle();
    }
}

fn number(text: &str) -> usize {
    text.parse()
        .unwrap_or_else(|_| panic!("not a number: {text}"))
}
