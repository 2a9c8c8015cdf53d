//! The heartbeat: the server pings, the client pongs.

use std::time::Duration;

use super::{Config, Control, Ending, Output, Outputs, Poll, Reason, Session};

/// Where the heartbeat stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// The next ping is due at `at`.
    Quiet { at: Duration },
    /// A ping is due and waits for a poll to carry it.
    Owed { until: Duration },
    /// A ping was sent; its pong has to come before `until`.
    Sent { until: Duration },
}

impl Beat {
    /// The interval begins: at the handshake, and at every pong.
    pub(super) fn start(config: &Config, now: Duration) -> Self {
        Self::Quiet {
            at: now + config.ping_interval,
        }
    }

    pub(super) const fn deadline(self) -> Duration {
        match self {
            Self::Quiet { at } => at,
            Self::Owed { until } | Self::Sent { until } => until,
        }
    }
}

impl Session {
    pub(super) fn beat(&mut self, now: Duration, out: &mut Outputs) {
        if let Beat::Quiet { at } = self.beat
            && at <= now
        {
            // The time-out counts from when the ping was due, so that a late
            // timer does not lengthen it; but a server that itself stood still
            // gives its clients the whole of it.
            let timeout = self.config.ping_timeout;
            let from = if now - at <= timeout / 4 { at } else { now };
            self.beat = Beat::Owed {
                until: from + timeout,
            };
            self.send_ping(out);
        }
        if !matches!(self.beat, Beat::Quiet { .. }) && self.beat.deadline() <= now {
            self.end(Reason::PingTimeout, Ending::Broken, out);
        }
    }

    /// Sends an owed ping by the one transport that can carry it now, if any.
    pub(super) fn send_ping(&mut self, out: &mut Outputs) {
        let Beat::Owed { until } = self.beat else {
            return;
        };
        if let Some(id) = self.live {
            let packet = Control::Ping;
            out.push(Output::SendWs { id, packet });
        } else if let Some(Poll { id, parked: true }) = self.poll {
            self.poll = None;
            let with = Control::Ping;
            out.push(Output::AnswerPoll { id, with });
        } else {
            return;
        }
        self.beat = Beat::Sent { until };
    }
}
