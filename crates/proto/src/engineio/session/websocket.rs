//! A WebSocket: the one that the session lives on, or one that tries to become it.

use std::time::Duration;

use super::{Control, Ending, Output, Outputs, Poll, Reason, Session, WsId};
use crate::engineio::packet::Packet;
use crate::engineio::query::Refusal;

/// A WebSocket that the session may move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Upgrade {
    pub(super) id: WsId,
    /// When it is too late.
    pub(super) until: Duration,
    /// Whether `2probe` has come.
    pub(super) probed: bool,
}

impl Session {
    /// A WebSocket handshake with this session's id came. One at a time may try,
    /// and none once the session lives on a WebSocket.
    pub fn ws_open(&mut self, now: Duration) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        if !self.is_open() {
            out.push(Output::RefuseWs(Refusal::SessionUnknown));
        } else if self.live.is_some() || self.upgrade.is_some() {
            out.push(Output::RefuseWs(Refusal::BadRequest));
        } else {
            let id = WsId(self.id());
            self.upgrade = Some(Upgrade {
                id,
                until: now + self.config.upgrade_timeout,
                probed: false,
            });
            out.push(Output::TakeWs(id));
        }
        out
    }

    /// The WebSocket was closed by the client. If it only tried, polling goes on.
    pub fn ws_closed(&mut self, now: Duration, id: WsId) -> Outputs {
        self.ws_gone(now, id, Reason::TransportClose)
    }

    /// The WebSocket broke: its connection ended without a close, or a frame
    /// was against the rules. If it only tried, polling goes on.
    pub fn ws_failed(&mut self, now: Duration, id: WsId) -> Outputs {
        self.ws_gone(now, id, Reason::TransportError)
    }

    fn ws_gone(&mut self, now: Duration, id: WsId, reason: Reason) -> Outputs {
        let mut out = Outputs::default();
        // First of all it is gone: nothing is to be sent to it or closed.
        if self.upgrade.is_some_and(|upgrade| upgrade.id == id) {
            self.upgrade = None;
        } else if self.live == Some(id) {
            self.live = None;
            self.end(reason, Ending::Broken, &mut out);
        }
        self.catch_up(now, &mut out);
        out
    }

    pub(super) fn drop_candidate(&mut self, out: &mut Outputs) {
        if let Some(Upgrade { id, .. }) = self.upgrade.take() {
            let goodbye = false;
            out.push(Output::CloseWs { id, goodbye });
        }
    }

    /// A packet on a WebSocket that tries.
    pub(super) fn candidate_packet(&mut self, id: WsId, packet: &Packet<'_>, out: &mut Outputs) {
        match (packet, &mut self.upgrade) {
            (Packet::Ping { probe: true }, Some(upgrade)) => {
                upgrade.probed = true;
                let packet = Control::ProbePong;
                out.push(Output::SendWs { id, packet });
                // The client waits for its poll to end before it moves.
                self.end_poll(out);
            }
            (Packet::Upgrade, Some(upgrade)) if upgrade.probed => {
                self.upgrade = None;
                self.live = Some(id);
                self.end_poll(out);
                out.push(Output::Upgraded(id));
                self.send_ping(out);
            }
            _ => self.drop_candidate(out),
        }
    }

    /// Answers a parked poll with nothing.
    fn end_poll(&mut self, out: &mut Outputs) {
        if let Some(Poll { id, parked: true }) = self.poll {
            self.poll = None;
            let with = Control::Noop;
            out.push(Output::AnswerPoll { id, with });
        }
    }
}
