//! One client: a stream or a poll, and perhaps a connection that publishes.

use std::collections::VecDeque;

use super::walk::Walk;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not connected: never yet, cut by us, or closed by the server.
    Off,
    /// On the way to being subscribed.
    Opening,
    /// Subscribed.
    Ready,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) phase: Phase,
    /// The step of opening that comes next.
    pub(super) step: usize,
    /// How often the step was repeated.
    pub(super) tries: u32,
    /// It comes back with its cursor.
    pub(super) resuming: bool,
    /// What was cut out of what it received.
    pub(super) vars: Vec<(String, Vec<u8>)>,
    pub(super) publishes: bool,
    /// Latencies of what it hears count.
    pub(super) counts: bool,
    /// Requests that wait for the one under way, each with its message number.
    pub(super) posts: VecDeque<(Option<u32>, Vec<u8>)>,
    /// The post under way.
    pub(super) posting: Option<Option<u32>>,
    /// When it began to connect, and when it was ready.
    pub(super) began: u64,
    pub(super) ready_at: u64,
    /// It reads nothing.
    pub(super) stalled: bool,
    /// The server told it that it missed something.
    pub(super) told: bool,
}

impl Client {
    pub(super) fn new(publishes: bool) -> Client {
        Client {
            phase: Phase::Off,
            step: 0,
            tries: 0,
            resuming: false,
            vars: Vec::new(),
            publishes,
            counts: true,
            posts: VecDeque::new(),
            posting: None,
            began: 0,
            ready_at: 0,
            stalled: false,
            told: false,
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &[u8]) {
        match self.vars.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => {
                old.clear();
                old.extend_from_slice(value);
            }
            None => self.vars.push((name.to_owned(), value.to_vec())),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.vars.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    /// The head of the answer is still to come.
    Head,
    Open,
}

/// What carries one client's requests of a kind: a connection of its own, or on
/// HTTP/2 its part of one.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) stage: Stage,
    /// Received, and not done with.
    pub(super) inbox: Vec<u8>,
    /// Of the answer that comes in on HTTP/2.
    pub(super) status: u16,
    pub(super) walk: Walk,
}

impl Conn {
    pub(super) fn new() -> Conn {
        Conn {
            stage: Stage::Connecting,
            inbox: Vec::new(),
            status: 0,
            walk: Walk::default(),
        }
    }
}
