//! Plays a script: every line that is not indented is a step (`#` a comment);
//! what came of it is written indented below, with the time where it came later.
//!
//! ```text
//! open polling                the session; ping 300 ms, time-out 200, upgrade 1000
//! wait MS                     the clock moves on, and what is due happens
//! stall MS                    the clock moves on while the server stands still
//! GET a · POST b 4x|4y        requests; | is the record separator
//! POST b ...                  a POST whose body is under way
//! b sends 4x|4y · b ends      its body comes, and is whole
//! a aborts                    the connection of a request ends; b oversizes: 413
//! WS w                        a WebSocket handshake with the session's id
//! w sends 2probe              a frame; w closes, w breaks: its end
//! send hello                  the application sends
//! unsent                      the ping of the last answer did not go out
//! close                       the application closes the session
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use fanwire_proto::engineio::session::{Idle, Outputs, PollId, PostId, Source, WsId};
use fanwire_proto::engineio::{
    Config, Output, Packet, Payload, PayloadLimits, Reason, Refusal, Session, Wire,
    frames_to_polling,
};
use fanwire_proto::ws;

/// Plays `script` and gives it back with the traces renewed.
pub(crate) fn play(script: &str) -> String {
    let mut player = Player::default();
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        writeln!(player.trace, "{line}").unwrap();
        if !line.is_empty() && !line.starts_with('#') {
            player.step(line);
        }
    }
    player.trace
}

const CONFIG: Config = Config {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    upgrade_timeout: Duration::from_millis(1000),
};

/// What a name in the script stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handle {
    Poll(PollId),
    Post(PostId),
    Ws(WsId),
}

/// Half a server: requests by name, and an outbox.
#[derive(Default)]
struct Player {
    trace: String,
    now: Duration,
    session: Option<Session>,
    /// Frames, whatever the transport.
    outbox: Vec<u8>,
    open: Vec<(String, Handle)>,
    /// The WebSocket that the session lives on.
    live: Option<WsId>,
}

impl Player {
    fn session(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }

    fn say(&mut self, words: &str) {
        writeln!(self.trace, "    {words}").unwrap();
    }

    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let now = self.now;
        match words[..] {
            ["open", "polling"] => self.session = Some(Session::polling(CONFIG, now)),
            ["open", "websocket"] => {
                let (session, id) = Session::websocket(CONFIG, now);
                self.session = Some(session);
                self.open.push(("w".to_owned(), Handle::Ws(id)));
                self.live = Some(id);
            }
            ["wait", ms] => self.wait(Duration::from_millis(ms.parse().unwrap())),
            ["stall", ms] => self.now += Duration::from_millis(ms.parse().unwrap()),
            ["GET", name] => {
                let outputs = self.session().poll(now);
                self.carry_out(name, outputs);
            }
            ["POST", name, body] => {
                let outputs = self.session().post(now);
                self.carry_out(name, outputs);
                if body != "..." {
                    self.body(name, body);
                    self.ends(name);
                }
            }
            ["WS", name] => {
                let outputs = self.session().ws_open(now);
                self.carry_out(name, outputs);
            }
            ["send", text] => self.send(text),
            ["unsent"] => {
                let outputs = self.session().unsent(now);
                self.carry_out("", outputs);
            }
            ["close"] => {
                let outputs = self.session().close(now, Reason::ForcedClose);
                self.carry_out("", outputs);
            }
            [name, "sends", body] => self.body(name, body),
            [name, "ends"] => self.ends(name),
            [name, end @ ("closes" | "breaks" | "aborts" | "oversizes")] => {
                let session = self.session.as_mut().unwrap();
                let at = self.open.iter().position(|(open, _)| open == name);
                let outputs = match (self.open.remove(at.unwrap()).1, end) {
                    (Handle::Poll(id), "aborts") => session.poll_aborted(now, id),
                    (Handle::Post(id), "aborts") => session.post_aborted(now, id),
                    (Handle::Post(id), "oversizes") => session.post_refused(now, id),
                    (Handle::Ws(id), "closes") => session.ws_closed(now, id),
                    (Handle::Ws(id), "breaks") => session.ws_failed(now, id),
                    other => panic!("no such end: {other:?}"),
                };
                self.carry_out("", outputs);
            }
            _ => panic!("no such step: {line}"),
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.session().next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let now = self.now;
            let outputs = self.session().tick(now);
            let next = self.session().next_deadline();
            assert!(next.is_none_or(|next| next > now), "time has to move on");
            if !outputs.is_empty() {
                self.say(&format!("after {} ms", now.as_millis()));
            }
            self.carry_out("", outputs);
        }
        self.now = end;
    }

    fn handle(&self, name: &str) -> Option<Handle> {
        let found = self.open.iter().find(|(open, _)| open == name);
        found.map(|(_, handle)| *handle)
    }

    /// Takes a request's name, which ends it.
    fn end(&mut self, handle: Handle) -> String {
        let at = self.open.iter().position(|(_, open)| *open == handle);
        at.map_or("(gone)".to_owned(), |at| self.open.remove(at).0)
    }

    fn name(&self, handle: Handle) -> &str {
        let found = self.open.iter().find(|(_, open)| *open == handle);
        found.map_or("(gone)", |(name, _)| name)
    }

    /// Bytes from a POST or a WebSocket.
    fn body(&mut self, name: &str, body: &str) {
        let body = body.replace('|', "\x1e");
        match self.handle(name) {
            Some(Handle::Post(id)) => {
                let from = Source::Post(id);
                match Payload::new(body.as_bytes(), PayloadLimits::of(1_000_000)) {
                    Ok(packets) => {
                        packets.for_each(|packet| self.packet(from, packet.as_ref().ok()));
                    }
                    Err(_) => self.packet(from, None),
                }
            }
            Some(Handle::Ws(id)) => {
                self.packet(Source::Ws(id), Packet::decode_text(&body).as_ref().ok());
            }
            _ => {}
        }
    }

    fn ends(&mut self, name: &str) {
        let now = self.now;
        if let Some(Handle::Post(id)) = self.handle(name) {
            let outputs = self.session().post_done(now, id);
            self.carry_out(name, outputs);
        }
    }

    fn packet(&mut self, from: Source, packet: Option<&Packet<'_>>) {
        let now = self.now;
        let outputs = match packet {
            Some(packet) => self.session().packet(now, from, packet),
            None => self.session().malformed(now, from),
        };
        for output in outputs {
            match (output, packet) {
                (Output::Deliver, Some(packet)) => {
                    self.say(&format!("the application gets {packet:?}"));
                }
                _ => self.output("", output),
            }
        }
    }

    /// The application sends.
    fn send(&mut self, text: &str) {
        let packet = Packet::Text(text);
        Wire::WebSocket.packet(&packet, &mut self.outbox);
        if let Some(id) = self.live {
            self.flush(id);
            return;
        }
        let parked = self.open.iter().find_map(|(_, handle)| match handle {
            Handle::Poll(id) => Some(*id),
            _ => None,
        });
        if let Some(id) = parked {
            self.answer(id, "");
        }
    }

    /// Answers a poll with `first` and the outbox.
    fn answer(&mut self, id: PollId, first: &str) {
        let mut body = Vec::new();
        frames_to_polling(&std::mem::take(&mut self.outbox), &mut body);
        if !first.is_empty() {
            body.splice(0..0, format!("\x1e{first}").into_bytes());
        }
        let name = self.end(Handle::Poll(id));
        self.say_answer("GET", &name, &body[1..]);
        let now = self.now;
        let outputs = self.session().poll_answered(now, id);
        self.carry_out("", outputs);
    }

    fn say_answer(&mut self, method: &str, name: &str, body: &[u8]) {
        let body = String::from_utf8_lossy(body).replace('\x1e', "|");
        self.say(&format!("{method} {name}: 200 {body}"));
    }

    /// Shows the frames of the outbox as the client reads them.
    fn flush(&mut self, id: WsId) {
        let name = self.name(Handle::Ws(id)).to_owned();
        let bytes = std::mem::take(&mut self.outbox);
        let mut decoder = ws::Decoder::new(ws::Role::Client, ws::Limits::default());
        let mut rest = &bytes[..];
        while let Some(event) = decoder.decode(&mut rest).unwrap() {
            let ws::Event::Text(text) = event else {
                panic!("{event:?}")
            };
            self.say(&format!("{name} gets {}", String::from_utf8_lossy(&text)));
        }
    }

    fn carry_out(&mut self, name: &str, outputs: Outputs) {
        for output in outputs {
            self.output(name, output);
        }
    }

    /// Does what the session asks for; `name` is that of the request at hand.
    fn output(&mut self, name: &str, output: Output) {
        let refused = |kind: &str, refusal: Refusal| {
            let (status, body) = (refusal.status(), refusal.body());
            format!("{kind} {name}: {status} {body}")
        };
        match output {
            Output::ServePoll { id, ping, idle } => {
                self.open.push((name.to_owned(), Handle::Poll(id)));
                let first = if ping { "2" } else { "" };
                match idle {
                    Idle::Park if !ping && self.outbox.is_empty() => {}
                    Idle::Noop if !ping && self.outbox.is_empty() => self.answer(id, "6"),
                    Idle::Close => {
                        Wire::WebSocket.packet(&Packet::Close, &mut self.outbox);
                        self.answer(id, "");
                    }
                    Idle::Park | Idle::Noop => self.answer(id, first),
                }
            }
            Output::AnswerPoll { id, with } => {
                let name = self.end(Handle::Poll(id));
                self.say_answer("GET", &name, with.text().as_bytes());
            }
            Output::TakePost(id) => self.open.push((name.to_owned(), Handle::Post(id))),
            Output::AnswerPost { id, refused } => {
                let name = self.end(Handle::Post(id));
                match refused {
                    None => self.say_answer("POST", &name, b"ok"),
                    Some(refusal) => {
                        self.say(&format!(
                            "POST {name}: {} {}",
                            refusal.status(),
                            refusal.body()
                        ));
                    }
                }
            }
            Output::TakeWs(id) => {
                self.open.push((name.to_owned(), Handle::Ws(id)));
                self.say(&format!("WS {name}: 101"));
            }
            Output::RefusePoll(refusal) => self.say(&refused("GET", refusal)),
            Output::RefusePost(refusal) => self.say(&refused("POST", refusal)),
            Output::RefuseWs(refusal) => self.say(&refused("WS", refusal)),
            Output::SendWs { id, packet } => {
                let name = self.name(Handle::Ws(id));
                let words = format!("{name} gets {}", packet.text());
                self.say(&words);
            }
            Output::CloseWs { id, goodbye } => {
                let name = self.end(Handle::Ws(id));
                if goodbye {
                    self.say(&format!("{name} gets 1"));
                }
                self.say(&format!("{name} is closed"));
            }
            Output::Upgraded(id) => {
                self.live = Some(id);
                let words = format!("the session lives on {}", self.name(Handle::Ws(id)));
                self.say(&words);
                self.flush(id);
            }
            Output::Deliver => panic!("nothing to deliver"),
            Output::Closed(reason) => self.say(&format!("disconnected: {}", reason.as_str())),
            Output::Gone => self.say("the sid is forgotten"),
        }
    }
}
