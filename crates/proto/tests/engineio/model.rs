//! Any inputs in any order, and what has to hold of a session then: whoever
//! asks is answered once, one transport is live, a ping goes by one of them, the
//! end comes once and leaves nothing open, and time only moves on.

use std::time::Duration;

use fanwire_proto::engineio::query::Transport;
use fanwire_proto::engineio::session::{
    Control, Idle, Output, Outputs, PollId, PostId, Source, WsId,
};
use fanwire_proto::engineio::{Config, Packet, Reason, Session};

const CONFIG: Config = Config {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    upgrade_timeout: Duration::from_millis(250),
};

/// Each two bytes are an input and what it is about.
pub(crate) fn run(data: &[u8]) {
    let (&first, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut model = Model::new(first & 1 != 0);
    for pair in rest.chunks_exact(2) {
        model.input(pair[0], pair[1]);
    }
    model.time_alone_ends_it();
}

struct Model {
    session: Session,
    now: Duration,
    polls: Vec<PollId>,
    /// The one that waits; the others are being answered.
    parked: Option<PollId>,
    posts: Vec<PostId>,
    sockets: Vec<WsId>,
    live: Option<WsId>,
    /// When a ping was last not awaited.
    alive: Duration,
    pings: u32,
    closed: u32,
    gone: u32,
}

impl Model {
    fn new(websocket: bool) -> Self {
        let now = Duration::ZERO;
        let (session, live) = if websocket {
            let (session, id) = Session::websocket(CONFIG, now);
            (session, Some(id))
        } else {
            (Session::polling(CONFIG, now), None)
        };
        Self {
            session,
            now,
            polls: Vec::new(),
            parked: None,
            posts: Vec::new(),
            sockets: live.into_iter().collect(),
            live,
            alive: now,
            pings: 0,
            closed: 0,
            gone: 0,
        }
    }

    fn input(&mut self, input: u8, about: u8) {
        let now = self.now;
        let pick = usize::from(about >> 4);
        let session = &mut self.session;
        match input % 16 {
            0 => {
                self.now += Duration::from_millis(u64::from(about) * 2);
                let outputs = self.session.tick(self.now);
                self.check(outputs);
            }
            // The clock moves on, and no timer tells.
            1 => self.now += Duration::from_millis(u64::from(about)),
            2 | 3 => {
                let outputs = session.poll(now);
                let verdict = |o| matches!(o, Output::ServePoll { .. } | Output::RefusePoll(_));
                assert_eq!(outputs.into_iter().filter(|o| verdict(*o)).count(), 1);
                self.check(outputs);
            }
            4 if !self.polls.is_empty() => {
                let id = self.polls.swap_remove(pick % self.polls.len());
                self.parked = self.parked.filter(|parked| *parked != id);
                let outputs = session.poll_answered(now, id);
                self.check(outputs);
            }
            5 if !self.polls.is_empty() => {
                let id = self.polls.swap_remove(pick % self.polls.len());
                self.parked = self.parked.filter(|parked| *parked != id);
                let outputs = session.poll_aborted(now, id);
                self.check(outputs);
            }
            6 => {
                let outputs = session.post(now);
                let verdict = |o| matches!(o, Output::TakePost(_) | Output::RefusePost(_));
                assert_eq!(outputs.into_iter().filter(|o| verdict(*o)).count(), 1);
                self.check(outputs);
            }
            7 if !self.posts.is_empty() => {
                let id = self.posts[pick % self.posts.len()];
                let outputs = match about % 4 {
                    0 => session.post_aborted(now, id),
                    1 => session.post_refused(now, id),
                    _ => session.post_done(now, id),
                };
                if about % 4 < 2 {
                    self.posts.retain(|post| *post != id);
                }
                self.check(outputs);
                assert!(!self.posts.contains(&id), "a POST without an answer");
            }
            8 => {
                let outputs = session.ws_open(now);
                let verdict = |o| matches!(o, Output::TakeWs(_) | Output::RefuseWs(_));
                assert_eq!(outputs.into_iter().filter(|o| verdict(*o)).count(), 1);
                self.check(outputs);
            }
            9 if !self.sockets.is_empty() => {
                let id = self.sockets.swap_remove(pick % self.sockets.len());
                let outputs = match about % 2 {
                    0 => session.ws_closed(now, id),
                    _ => session.ws_failed(now, id),
                };
                self.check(outputs);
            }
            10 => {
                let outputs = session.unsent(now);
                self.pings = self.pings.saturating_sub(1);
                self.check(outputs);
            }
            11 if about < 64 => {
                let outputs = session.close(now, Reason::ForcedClose);
                self.check(outputs);
            }
            12 | 13 if !self.posts.is_empty() => {
                let from = Source::Post(self.posts[pick % self.posts.len()]);
                self.packet(from, about % 16);
            }
            14 | 15 if !self.sockets.is_empty() => {
                let from = Source::Ws(self.sockets[pick % self.sockets.len()]);
                self.packet(from, about % 16);
            }
            _ => {}
        }
    }

    fn packet(&mut self, from: Source, kind: u8) {
        let now = self.now;
        let was_open = self.closed == 0;
        let packet = match kind {
            0 => Packet::Close,
            1 => Packet::Ping { probe: false },
            2..=4 => Packet::Ping { probe: true },
            5..=7 => Packet::Pong { probe: false },
            8 => Packet::Pong { probe: true },
            9 => Packet::Noop,
            10..=12 => Packet::Upgrade,
            13 => Packet::Text("x"),
            14 => Packet::decode_binary(b"x"),
            _ => {
                let outputs = self.session.malformed(now, from);
                self.check(outputs);
                return;
            }
        };
        let outputs = self.session.packet(now, from, &packet);
        let delivers = outputs.into_iter().any(|o| o == Output::Deliver);
        let message = matches!(packet, Packet::Text(_) | Packet::Binary(_));
        assert!(!delivers || (was_open && message && self.may_send(from)));
        let pong = matches!(packet, Packet::Pong { probe: false }) && self.may_send(from);
        self.check(outputs);
        if pong {
            self.alive = now;
            self.pings = 0;
        }
    }

    fn may_send(&self, from: Source) -> bool {
        match from {
            Source::Post(id) => self.posts.contains(&id),
            Source::Ws(id) => self.live == Some(id),
        }
    }

    fn check(&mut self, outputs: Outputs) {
        assert_eq!(outputs.into_iter().count(), outputs.len());
        for output in outputs {
            self.output(output);
        }
        assert_eq!(self.session.is_open(), self.closed == 0);
        assert!(self.gone <= self.closed && self.closed <= 1);
        let live = match self.session.transport() {
            Transport::Polling => None,
            Transport::WebSocket => self.live,
        };
        assert!(live == self.live || self.closed == 1, "two live transports");
        match self.session.next_deadline() {
            None => {
                assert_eq!(self.gone, 1, "it waits for nothing");
                assert_eq!(self.parked, None, "a poll without an answer");
                assert!(self.posts.is_empty(), "a POST without an answer");
                assert!(self.sockets.is_empty(), "a WebSocket left open");
            }
            Some(at) => {
                assert_eq!(self.gone, 0);
                assert!(at > self.now, "time has to move on");
                assert!(self.posts.len() <= 1);
                let trying = self.sockets.len() - usize::from(self.live.is_some());
                assert!(trying <= usize::from(self.live.is_none()));
            }
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::ServePoll { id, ping, idle } => {
                assert!(self.live.is_none() && self.parked.is_none());
                assert_eq!(
                    idle == Idle::Park,
                    self.closed == 0 && !self.session.is_upgrading()
                );
                assert!(idle != Idle::Close || self.closed == 1);
                self.polls.push(id);
                if ping {
                    self.ping();
                } else if idle == Idle::Park {
                    self.parked = Some(id);
                }
            }
            Output::AnswerPoll { id, with } => {
                assert_eq!(self.parked.take(), Some(id), "only what waits is answered");
                self.polls.retain(|poll| *poll != id);
                if with == Control::Ping {
                    assert!(self.live.is_none());
                    self.ping();
                }
            }
            Output::TakePost(id) => {
                assert!(self.live.is_none() && self.closed == 0);
                self.posts.push(id);
            }
            Output::AnswerPost { id, .. } => {
                let at = self.posts.iter().position(|post| *post == id);
                self.posts.swap_remove(at.expect("a POST that is open"));
            }
            Output::TakeWs(id) => {
                assert!(self.sockets.is_empty() && self.closed == 0);
                self.sockets.push(id);
            }
            Output::SendWs { id, packet } => {
                assert!(self.sockets.contains(&id));
                match packet {
                    Control::Ping => {
                        assert_eq!(self.live, Some(id));
                        self.ping();
                    }
                    Control::ProbePong => assert_eq!(self.live, None),
                    other => panic!("{other:?}"),
                }
            }
            Output::CloseWs { id, .. } => {
                let at = self.sockets.iter().position(|open| *open == id);
                self.sockets
                    .swap_remove(at.expect("a WebSocket that is open"));
            }
            Output::Upgraded(id) => {
                assert!(self.live.is_none() && self.sockets.contains(&id));
                assert!(self.parked.is_none());
                self.live = Some(id);
            }
            Output::Closed(reason) => {
                self.closed += 1;
                let silence = self.now - self.alive;
                let least = CONFIG.ping_interval + CONFIG.ping_timeout;
                assert!(reason != Reason::PingTimeout || silence >= least);
            }
            Output::Gone => self.gone += 1,
            Output::Deliver => assert_eq!(self.closed, 0),
            Output::RefusePoll(_) | Output::RefusePost(_) | Output::RefuseWs(_) => {}
        }
    }

    fn ping(&mut self) {
        assert_eq!(self.closed, 0);
        self.pings += 1;
        assert_eq!(self.pings, 1, "a ping by two transports");
    }

    /// A client that says nothing more is given up, at the announced times.
    fn time_alone_ends_it(&mut self) {
        for _ in 0..8 {
            let Some(at) = self.session.next_deadline() else {
                assert_eq!((self.closed, self.gone), (1, 1));
                return;
            };
            self.now = self.now.max(at);
            let outputs = self.session.tick(self.now);
            self.check(outputs);
        }
        panic!("it goes on for ever");
    }
}
