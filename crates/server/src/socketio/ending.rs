//! How a socket ends: by its client, by code, by the hub, or with its session.

use std::sync::Arc;

use fanwire_core::clock::Clock as _;
use fanwire_core::error::Refusal;
use fanwire_core::hub::End;

use super::conversation::Conversation;
use super::inbox::Item;
use super::joined::{Joined, Member};
use super::units;
use crate::engineio::Reason;

impl Conversation {
    /// The socket leaves its namespace; the session stays. Its client hears of it
    /// where it is `told`. Whoever left before stays gone.
    pub(super) fn part(&self, joined: &Joined, reason: Reason, told: bool) {
        if let Some(member) = self.remove(joined) {
            self.finish(&member, reason, told);
        }
    }

    /// The same, because its holder may no longer be here, which it hears.
    pub(super) fn refuse(&self, joined: &Joined, refusal: &Refusal) {
        let Some(member) = self.remove(joined) else {
            return;
        };
        let told = units::error(&refusal.clone().into(), None);
        crate::handlers::Link::send(&*member.joined, "$error", &told, None);
        self.finish(&member, Reason::ServerNamespaceDisconnect, true);
    }

    /// Another connection of its client has taken the socket over: nothing is said,
    /// and a session that has nothing else ends.
    pub(super) fn superseded(&self, joined: &Joined) {
        self.part(joined, Reason::ForcedClose, false);
        let alone = self.state.lock().members.is_empty();
        if let Some(engine) = self.engine().filter(|_| alone) {
            engine.close(Reason::ForcedClose);
        }
    }

    /// The session is over. What came before is handled yet, so who had said that it
    /// leaves goes for that reason: it does not come back.
    pub(super) fn close(&self, reason: Reason) {
        let (members, waker) = {
            let mut state = self.state.lock();
            state.closed = true;
            if let Some(timer) = state.timer.take() {
                timer.abort();
            }
            let members = state.members.iter().map(|member| {
                let why = match state.leaves(&member.joined.written) {
                    true => Reason::ClientNamespaceDisconnect,
                    false => reason,
                };
                (member.clone(), why)
            });
            (members.collect::<Vec<_>>(), state.take_reader())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        for (member, why) in members {
            self.finish(&member, why, false);
        }
    }

    /// The hub has let a subscriber go.
    pub(super) fn ended(&self, joined: &Arc<Joined>, end: End) {
        *joined.subscriber.lock() = None;
        let Some(engine) = self.engine() else { return };
        let here = {
            let state = self.state.lock();
            let mut members = state.members.iter();
            !state.closed && members.any(|member| Arc::ptr_eq(&member.joined, joined))
        };
        // Else it was let go from here, or never came in.
        if !here {
            return;
        }
        match end {
            End::Refused(refusal) => {
                engine.send(units::farewell(&joined.written, &refusal));
                self.part(joined, Reason::ServerNamespaceDisconnect, false);
            }
            End::Close(..) => {
                engine.send(units::disconnect(&joined.written));
                self.part(joined, Reason::ServerNamespaceDisconnect, false);
            }
            End::Shutdown => engine.close(Reason::ServerShuttingDown),
            End::Fault => engine.close(Reason::ForcedServerClose),
            End::Slow | End::Gap(_) => engine.close(Reason::TransportError),
            End::Gone | End::Silent | End::Answered => engine.close(Reason::TransportClose),
        }
    }

    fn remove(&self, joined: &Joined) -> Option<Member> {
        let most = self.app.config.socketio.namespaces;
        let mut state = self.state.lock();
        let mut members = state.members.iter();
        let at = members.position(|member| std::ptr::eq(&*member.joined, joined))?;
        let member = state.members.swap_remove(at);
        if state.left.len() >= most {
            state.left.remove(0);
        }
        state.left.push(joined.written.clone());
        Some(member)
    }

    fn finish(&self, member: &Member, reason: Reason, told: bool) {
        if !member.socket.go() {
            return;
        }
        let recovery = &self.shared.recovery;
        match reason {
            Reason::ServerNamespaceDisconnect | Reason::ClientNamespaceDisconnect => {
                recovery.forget(&member.socket);
            }
            _ => {
                let window = self.app.config.socketio.recovery;
                recovery.gone(&member.socket, self.app.clock.now(), window);
            }
        }
        member.joined.end(told);
        self.push(Item::Left(member.socket.clone(), reason));
    }
}
