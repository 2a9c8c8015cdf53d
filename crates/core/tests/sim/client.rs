//! Clients: they listen in either form and mode, read as they like, stall, drop,
//! and come back with the cursor that they saw last, or with a bad one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::error::Code;
use fanwire_core::hub::{Attach, End, FormId, Heartbeat, Kind, Start, Subscriber, Writer};
use fanwire_core::key::SocketId;
use fanwire_core::message::Keys;
use fanwire_core::policy::{Permit, Verb};
use parking_lot::Mutex;

use crate::cx::{Cx, Verdict, anonymous};
use crate::events::{At, Event, From, Rx, Sub};
use crate::greet::Greets;
use crate::peer::{Pull, Shared, Socket, pipe};
use crate::plan::key;
use crate::wire::{Parser, Unit, cursor, kind, seen};

pub struct Client {
    pub name: String,
    pub channels: Vec<String>,
    /// Where those were joined that it did not come with.
    pub since: HashMap<String, At>,
    /// 0: with gaps; 1: without.
    pub form: u8,
    pull: bool,
    pub once: bool,
    /// Bytes per read, bytes or units that the pipe holds.
    greed: usize,
    room: usize,
    heartbeat: Option<Heartbeat>,
    pub link: Option<Link>,
    /// The cursor seen last, and in what.
    cursor: Option<(At, &'static str)>,
    pub stalled: bool,
    active: bool,
    /// The last poll that had nothing to tell.
    polled: Option<String>,
    /// Kept over a withdrawal, to be tried again.
    permit: Option<Permit>,
}

/// One connection.
pub struct Link {
    pub conn: String,
    pub handle: Option<Subscriber>,
    /// What its permit is for.
    pub verb: Verb,
    pub pipe: Shared,
    parser: Parser,
    limit: usize,
    messages: usize,
    /// It came while the private namespace was closed for this time.
    came_closed: Option<u64>,
    opened: bool,
    /// It did not read for a while, or flooded: it may be let go for that.
    pub slow: bool,
    /// When it last read, whether or not there was anything.
    last_read: Instant,
    poisoned: bool,
    pub sent: u64,
    /// Writes that blocked, and that were taken in part, in the whole run.
    seen: Arc<Mutex<(u64, u64)>>,
    pub replied: u64,
    ended: bool,
    told: usize,
    /// What it says first, where messages wait for that.
    pub greets: Option<Greets>,
    /// It heard `$ready`, and `$drain`.
    ready: bool,
    warned: bool,
}

impl Client {
    pub fn new(number: usize, cx: &mut Cx) -> Self {
        let rng = &mut cx.rng;
        let once = rng.percent(30);
        let form = u8::from(!once && rng.percent(35));
        // The form without gaps is one of one channel, as raw WebSockets are.
        let count = if form == 1 {
            1
        } else {
            *rng.pick(if once {
                &[1, 1, 2, 3, 5]
            } else {
                &[0, 1, 2, 3, 5]
            })
        };
        let mut channels: Vec<String> = Vec::new();
        while channels.len() < count {
            let channel = (*rng.pick(&crate::plan::CHANNELS)).to_owned();
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        let pull = rng.percent(40);
        let heartbeat = (!once && rng.percent(60)).then(|| Heartbeat {
            interval: Duration::from_millis(900),
            timeout: rng.percent(50).then_some(Duration::from_millis(2_500)),
        });
        Self {
            name: format!("client{number}"),
            channels,
            since: HashMap::new(),
            form,
            pull,
            once,
            greed: *rng.pick(&[1, 7, 90, 4_000]),
            room: if pull {
                rng.between(1, 4)
            } else {
                *rng.pick(&[40, 300, 2_000, 50_000])
            },
            heartbeat,
            link: None,
            cursor: None,
            stalled: false,
            active: false,
            polled: None,
            permit: None,
        }
    }

    /// The connection that says how far it has come: a poll's may be over.
    pub fn conn(&self) -> Option<&str> {
        let polled = self.polled.as_deref().filter(|_| self.once);
        polled.or(self.link.as_ref().map(|link| link.conn.as_str()))
    }

    /// True where the server still has a hold on what is not a poll.
    pub fn is_held(&self) -> bool {
        let held = |link: &Link| link.pipe.lock().ended.is_none() && link.handle.is_some();
        !self.once && self.link.as_ref().is_some_and(held)
    }

    /// One small thing that a client does.
    pub fn act(&mut self, cx: &mut Cx) -> Verdict {
        if self.link.is_none() {
            return if cx.rng.percent(40) {
                self.come(cx)
            } else {
                Ok(())
            };
        }
        match cx.rng.below(100) {
            0..=2 => self.cut(cx),
            3 => self.toggle_stall(cx),
            4 => self.speak(cx),
            10..=19 => self.greet(cx),
            5 if cx.rng.percent(10) => self.poison(cx),
            6..=9 => self.move_about(cx),
            _ if self.stalled => Ok(()),
            _ => {
                let most = cx.rng.between(1, self.greed);
                self.read(cx, most)
            }
        }
    }

    fn toggle_stall(&mut self, cx: &mut Cx) -> Verdict {
        self.stalled = !self.stalled;
        if let (true, Some(link)) = (self.stalled, &mut self.link) {
            link.slow = true;
            cx.book.count("client stalls");
        }
        cx.book
            .line(format_args!("{} stalled: {}", self.name, self.stalled));
        Ok(())
    }

    /// The next flush to it panics.
    fn poison(&mut self, cx: &mut Cx) -> Verdict {
        if let Some(link) = &mut self.link {
            link.poisoned = true;
            link.pipe.lock().poison = true;
            cx.book.count("writer panics");
            cx.book.line(format_args!("{} is poisoned", self.name));
        }
        Ok(())
    }

    /// Its own replies and pongs go through the same outbox.
    fn speak(&mut self, cx: &mut Cx) -> Verdict {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let Some(handle) = link.handle.as_ref().filter(|_| !self.once) else {
            return Ok(());
        };
        let times = if cx.rng.percent(5) { 2_000 } else { 1 };
        for _ in 0..times {
            link.sent += 1;
            let number = link.sent;
            // Before `$ready`, one form alone has them wait.
            if self.form == 0 && times == 1 && cx.rng.percent(50) {
                handle.emit(Box::new(move |at| format!("Y {number} {at}\n").into()));
            } else {
                handle.send(Bytes::from(format!("Y {number} -\n")));
            }
        }
        handle.pong(Bytes::from_static(b"K\n"));
        // With a message in the outbox that is larger than twice its limit, one
        // reply is too many.
        link.slow = true;
        cx.book
            .count(if times > 1 { "reply flood" } else { "reply" });
        Ok(())
    }

    /// The connection is cut, wherever it is; what was under way is lost.
    fn cut(&mut self, cx: &mut Cx) -> Verdict {
        let part = cx.rng.below(self.greed + 1);
        if !self.stalled {
            self.read(cx, part)?;
        }
        let Some(mut link) = self.link.take() else {
            return Ok(());
        };
        let torn = !link.parser.is_empty();
        cx.book.count(if torn {
            "cut inside a unit"
        } else {
            "cut between units"
        });
        if !link.opened {
            cx.book.count("cut inside the opening");
        }
        cx.book
            .line(format_args!("{} cut, torn: {torn}", self.name));
        if cx.rng.percent(50) {
            // The shard finds out by writing, then the task lets go.
            link.pipe.lock().reset = true;
            if let Some(handle) = &link.handle {
                handle.writable();
            }
            cx.book.count("reset");
            cx.graves.push(link.handle.take());
        }
        self.stalled = false;
        Ok(())
    }

    /// The permit that it asks for, or one that it kept.
    fn permit(&mut self, cx: &mut Cx, start: &Start) -> Option<Permit> {
        let verb = if *start == Start::Latest {
            Verb::Subscribe
        } else {
            Verb::Read
        };
        let kept = self
            .permit
            .clone()
            .filter(|permit| permit.verb() == Verb::Read);
        let keys: Keys = self.channels.iter().map(|channel| key(channel)).collect();
        let kept = kept.filter(|permit| *permit.keys() == keys);
        if let Some(permit) = kept.filter(|_| cx.rng.percent(30)) {
            return Some(permit);
        }
        let permit = cx.door.admit(anonymous(), verb, keys).ok();
        if permit.is_none() {
            cx.book.count("door refuses");
        }
        self.permit = permit.clone().or(self.permit.take());
        permit
    }

    fn start(&mut self, cx: &mut Cx) -> From {
        let rng = &mut cx.rng;
        let back = self.cursor.clone();
        if let Some(((epoch, seq), what)) = back
            && rng.percent(80)
        {
            cx.book.count(what);
            return From::After(format!("{epoch}-{seq}"));
        }
        let (epoch, top) = (
            cx.oracle.truth.epochs[cx.oracle.truth.current()].0.clone(),
            cx.oracle.truth.top(cx.oracle.truth.current()),
        );
        match rng.below(12) {
            0 => From::After(String::new()),
            1 => From::After(
                (*rng.pick(&["x", "0-00", "-1", "a--3", "a-+1", "\u{e9}-1"])).to_owned(),
            ),
            2 => From::After(format!("{epoch}-{}", top + 1 + rng.below(9) as u64)),
            3 => From::After(format!("zz{}-{}", rng.below(99), rng.below(30))),
            4 => From::After(format!("{epoch}-{}", rng.below(top as usize + 1))),
            5 => From::After(format!("{epoch}-0")),
            6 | 7 => From::Rewind(rng.below(8)),
            8 => From::Earliest,
            9 if self.once => From::Newest(rng.between(1, 8)),
            _ => From::Latest,
        }
    }

    /// Attaches.
    pub fn come(&mut self, cx: &mut Cx) -> Verdict {
        let from = self.start(cx);
        self.attach(cx, from)
    }

    fn attach(&mut self, cx: &mut Cx, from: From) -> Verdict {
        let start = match &from {
            From::Latest => Start::Latest,
            From::Earliest => Start::Earliest,
            From::Rewind(n) => Start::Rewind(*n),
            From::Newest(n) => Start::Newest(*n),
            From::After(text) => Start::After(cursor(text)),
        };
        let Some(permit) = self.permit(cx, &start) else {
            return Ok(());
        };
        let (allowed, verb) = (permit.check().is_ok(), permit.verb());
        let limit = if let From::Newest(n) = from {
            n
        } else {
            cx.rng.between(1, 6)
        };
        let deadline = Duration::from_millis(*cx.rng.pick(&[0, 200, 2_000]));
        let kind = if self.once {
            Kind::Once { deadline, limit }
        } else {
            Kind::Stream
        };
        let (greeting, greets) = Greets::drawn(self.once, cx);
        let pipe = pipe(self.room, &cx.time, cx.rng.fork());
        let writer: Box<dyn Writer> = if self.pull {
            Box::new(Pull(pipe.clone()))
        } else {
            Box::new(Socket(pipe.clone()))
        };
        cx.conns += 1;
        let conn = format!("conn{}", cx.conns);
        if !matches!(from, From::After(_)) {
            self.since.clear();
        }
        let (since, places) = self.places(cx);
        let sub = Sub {
            conn: conn.clone(),
            channels: self.channels.clone(),
            since,
            from,
            applied: cx.hub.applied().0,
            cuts: cx.tap.notes.lock().cuts,
        };
        cx.book.count(match &sub.from {
            From::Latest => "start latest",
            From::Earliest => "start earliest",
            From::Rewind(_) => "start rewind",
            From::Newest(_) => "start newest",
            From::After(_) => "start after",
        });
        cx.book.line(format_args!(
            "{} form {} pull {} once {} limit {limit} comes as {sub:?}",
            self.name, self.form, self.pull, self.once
        ));
        cx.judge(Event::Attach(sub))?;
        let attach = Attach {
            permit,
            start,
            since: places,
            form: FormId(self.form),
            greeting,
            preface: Bytes::from_static(b"P\n"),
            kind,
            conn: SocketId::new(&conn),
            writer,
            heartbeat: self.heartbeat,
            shard: None,
        };
        let handle = match cx.hub.attach(attach) {
            Ok(handle) => Some(handle),
            Err(refusal) if !allowed => {
                cx.book
                    .line(format_args!("{} refused: {refusal}", self.name));
                return Ok(());
            }
            Err(refusal) if cx.draining && !self.once => {
                cx.book
                    .line(format_args!("{} put off: {refusal}", self.name));
                return Ok(());
            }
            Err(refusal) => return Err(format!("P7: {conn} refused: {refusal}")),
        };
        cx.open.push(conn.clone());
        self.link = Some(Link {
            conn,
            handle,
            verb,
            pipe,
            parser: Parser::default(),
            limit,
            messages: 0,
            came_closed: cx.withdrawn_at.map(|_| cx.withdrawals),
            opened: false,
            slow: false,
            last_read: cx.time.now(),
            poisoned: false,
            sent: 0,
            seen: cx.writes.clone(),
            replied: 0,
            ended: false,
            told: 0,
            greets,
            ready: false,
            warned: false,
        });
        Ok(())
    }

    /// Reads up to `most` bytes and judges what they hold.
    pub fn read(&mut self, cx: &mut Cx, most: usize) -> Verdict {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let now = cx.time.now();
        link.slow |= now - link.last_read > Duration::from_millis(800);
        link.last_read = now;
        let (bytes, end) = {
            let mut pipe = link.pipe.lock();
            let bytes = pipe.read(most);
            pipe.heard = cx.time.now();
            let end = pipe.ended.clone().filter(|_| pipe.is_dry());
            if pipe.take_writable()
                && let Some(handle) = &link.handle
            {
                handle.writable();
            }
            (bytes, end)
        };
        self.active |= !bytes.is_empty() || end.is_some();
        for unit in link.parser.feed(&bytes)? {
            cx.book.line(format_args!("{} reads {unit:?}", self.name));
            match unit {
                Unit::Preface if link.opened => return Err("the head comes twice".into()),
                Unit::Preface => link.opened = true,
                Unit::Rx(rx) => {
                    ensure(link.opened, "a unit before the head")?;
                    ensure(!link.ended, "a unit after the last words")?;
                    cx.book.count(kind(&rx));
                    link.permitted(cx, &rx)?;
                    link.greeted(cx, &rx)?;
                    link.note(&rx, self.once)?;
                    link.ready |= matches!(rx, Rx::Ready(_));
                    self.cursor = seen(&rx).or(self.cursor.take());
                    if matches!(rx, Rx::Answer(_)) && link.told + link.messages == 0 {
                        self.polled = Some(link.conn.clone());
                    }
                    cx.judge(Event::Rx(link.conn.clone(), rx))?;
                }
                Unit::Reply(number, at) => {
                    ensure(number == link.replied + 1, "replies in order, none missing")?;
                    link.replied = number;
                    if let Some(at) = at {
                        self.cursor = Some((at.clone(), "back with a reply's cursor"));
                        cx.judge(Event::Rx(link.conn.clone(), Rx::Cursor(at)))?;
                    }
                }
                Unit::End(why) => {
                    link.ended = true;
                    cx.book.line(format_args!("{} told: {why}", self.name));
                }
                Unit::Drain => {
                    ensure(cx.draining && !link.ended, "$drain without cause")?;
                    link.warned = true;
                }
                Unit::KeepAlive => cx.book.count("keep-alive"),
            }
        }
        match end {
            Some(end) => self.over(cx, &end),
            None => Ok(()),
        }
    }

    /// The server let it go, and everything is read: was there a reason?
    fn over(&mut self, cx: &mut Cx, end: &End) -> Verdict {
        let Some(link) = self.link.take() else {
            return Ok(());
        };
        cx.book.line(format_args!("{} ended: {end:?}", self.name));
        let (what, cause) = match end {
            End::Answered => ("answered", self.once),
            End::Gap(_) => ("ended for a gap", self.form == 1),
            End::Slow => ("ended slow", link.slow || self.greed < 100),
            End::Silent => ("ended silent", link.slow),
            // A poll that the broker left without an answer.
            End::Refused(why) if why.code == Code::Unavailable => ("ended unavailable", self.once),
            End::Refused(_) => ("ended refused", cx.withdrawals > 0),
            End::Shutdown => ("ended by shutdown", cx.draining && !self.once),
            End::Fault => ("ended by a fault", link.poisoned),
            End::Close(..) => ("ended by close", false),
            End::Gone => ("ended gone", link.pipe.lock().reset),
        };
        cx.book.count(what);
        ensure(cause, &format!("P7: {} {what} without cause", link.conn))?;
        // Whoever does not read may miss the last words of a stream, but no
        // answer is cut short and called one.
        let told = *end == End::Shutdown && link.ended && link.ready && self.form == 0;
        ensure(!told || link.warned, "an end without its $drain")?;
        let whole = *end == End::Answered;
        ensure(
            !whole || link.parser.is_empty(),
            "half a unit before an orderly end",
        )?;
        self.stalled = false;
        Ok(())
    }

    /// Brings the client to rest: it reads everything, and polls until there is
    /// nothing more to tell.
    pub fn settle(&mut self, cx: &mut Cx) -> Verdict {
        if self.stalled {
            return Ok(());
        }
        self.greet(cx)?;
        self.read(cx, usize::MAX)?;
        if cx.draining && !self.once {
            return Ok(());
        }
        if self.link.is_none() && self.polled.is_none() {
            self.active = true;
            let from = self
                .cursor
                .as_ref()
                .map_or(From::Latest, |((epoch, seq), _)| {
                    From::After(format!("{epoch}-{seq}"))
                });
            self.attach(cx, from)?;
        }
        Ok(())
    }

    /// True where the last [`Self::settle`] found something to do.
    pub fn moved(&mut self) -> bool {
        std::mem::take(&mut self.active)
    }

    /// A poll that had nothing to tell is not the last one.
    pub fn poll_again(&mut self) {
        self.polled = None;
    }

    pub fn leave(&mut self) {
        self.link = None;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let pipe = self.pipe.lock();
        let mut seen = self.seen.lock();
        seen.0 += pipe.blocks;
        seen.1 += pipe.partial;
    }
}

impl Link {
    /// What is withdrawn is not delivered: neither to whoever comes after it,
    /// nor anything that was published after it.
    fn permitted(&self, cx: &Cx, rx: &Rx) -> Verdict {
        let Rx::Message(heard) = rx else {
            return Ok(());
        };
        if !heard.channel.starts_with("priv:") {
            return Ok(());
        }
        let never = cx.withdrawn_at.is_some() && self.came_closed == Some(cx.withdrawals);
        ensure(!never, "heard without a right")?;
        let since = heard.id.as_ref().and_then(|id| cx.kept_since.get(id));
        let late = cx.withdrawn_at.is_some() && cx.rechecked && since.is_some();
        ensure(!late, "published after the right was withdrawn, yet heard")
    }

    fn note(&mut self, rx: &Rx, once: bool) -> Verdict {
        match rx {
            Rx::Message(_) => {
                self.messages += 1;
                let over = once && self.messages > self.limit;
                ensure(!over, "more messages than the poll's limit")
            }
            Rx::Gap(_) => {
                self.told += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

pub fn ensure(holds: bool, why: &str) -> Verdict {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}
