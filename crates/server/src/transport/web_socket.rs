//! A WebSocket's task: reads frames, carries publishes out one after the other,
//! goes on by another token, closes with a close frame.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::clock::Clock as _;
use fanwire_core::error::Code;
use fanwire_core::hub::{End, Subscriber};
use fanwire_core::policy::Permit;
use fanwire_proto::ws::{Decoder, Event, Limits, Opcode, Role, frame};
use tokio::time::Sleep;

use super::park::Closing;
use super::port::Port;
use super::publish::{By, Called, Outcome, Refusals, Work, publish_binary, publish_text};
use super::renew::Renewed;
use super::stream::{linger, with_scratch};
use crate::app::{App, Peer};
use crate::handlers::Visit;
use crate::rates::{Account, Payer};
use crate::refused::Kept;

/// The pings of one read. The first ones are answered one by one, of the rest
/// only the last (RFC 6455, 5.5.3), so that a flood of them does not become a
/// flood of commands to the shard.
#[derive(Default)]
struct Pings {
    answered: usize,
    held: Option<Bytes>,
}

impl Pings {
    const EACH: usize = 64;

    /// Whether this one is answered at once; else it is held in place of the
    /// one before.
    fn answers(&mut self, payload: &Bytes) -> bool {
        if self.answered < Self::EACH {
            self.answered += 1;
            return true;
        }
        self.held = Some(payload.clone());
        false
    }
}

/// A WebSocket, while it lasts. A future written by hand, as
/// [`super::park::Parked`] is.
pub(super) struct Socket(Option<Open>);

struct Open {
    app: Arc<App>,
    peer: Arc<Peer>,
    port: Port,
    /// Held on to here alone: code that says something to it has it for that moment.
    subscriber: Arc<Subscriber>,
    /// As code sees it, where any serves.
    visit: Option<Box<Visit>>,
    /// The right to listen; names who publishes, and where to.
    permit: Permit,
    /// Who pays for what comes.
    account: Account,
    /// Who is refused, where a frame is.
    who: Kept,
    envelope: bool,
    decoder: Decoder,
    /// Read, but not decoded yet, because a frame is being seen to.
    unread: Vec<u8>,
    work: Option<Work>,
    refusals: Refusals,
    /// Runs while a message has begun and not ended.
    assembly: Assembly,
    /// Runs while bytes wait that are this task's to write.
    closing: Closing,
    /// The end was asked for: nothing that comes matters any more.
    ending: bool,
    /// The peer's close frame came.
    peer_closed: bool,
}

impl Socket {
    /// A WebSocket behind `port`; it publishes as the holder of `permit`, to its
    /// keys. `deflated`: what comes may be compressed.
    pub(super) fn new(
        app: Arc<App>,
        peer: Arc<Peer>,
        port: Port,
        subscriber: Subscriber,
        permit: Permit,
        envelope: bool,
        deflated: bool,
    ) -> Self {
        let message = app.config.limits.message;
        let limits = Limits {
            // An envelope holds the message as JSON text: escaped, or in base64.
            max_message: if envelope {
                message * 2 + 4096
            } else {
                message
            },
            max_fragments: u32::try_from(app.config.ws.max_fragments).unwrap_or(u32::MAX),
        };
        let decoder = Decoder::new(Role::Server, limits);
        Self(Some(Open {
            refusals: Refusals::new(&app),
            app,
            peer,
            port,
            subscriber: Arc::new(subscriber),
            visit: None,
            permit,
            account: Account::default(),
            who: Kept::default(),
            envelope,
            decoder: match deflated {
                true => decoder.inflating(false),
                false => decoder,
            },
            unread: Vec::new(),
            work: None,
            assembly: Assembly::default(),
            closing: Closing::default(),
            ending: false,
            peer_closed: false,
        }))
    }

    /// The same, with who pays for what it brings.
    pub(super) fn charged_to(mut self, account: Account) -> Self {
        if let Some(open) = &mut self.0 {
            open.account = account;
        }
        self
    }

    /// The same, with who is refused where a frame of it is.
    pub(super) fn told_of(mut self, who: Kept) -> Self {
        if let Some(open) = &mut self.0 {
            open.who = who;
        }
        self
    }

    /// The same, of a client that code has let in. Its frames wait until code was told.
    pub(super) fn visiting(mut self, visit: Option<Box<Visit>>) -> Self {
        if let (Some(open), Some(mut visit)) = (&mut self.0, visit) {
            open.work = Some(Work::Enters(visit.enter(&open.subscriber)));
            open.visit = Some(visit);
        }
        self
    }

    /// The same, with bytes that came in the same packet as the request.
    pub(super) fn with_read(mut self, read: &[u8]) -> Self {
        if let Some(open) = &mut self.0 {
            open.unread = read.to_vec();
        }
        self
    }
}

impl Future for Socket {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(open) = &mut self.0 else {
            return Poll::Ready(());
        };
        let end = std::task::ready!(open.poll(cx));
        if let Some(mut open) = self.0.take() {
            open.part(&end);
            if end != End::Gone {
                tokio::spawn(open.finish());
            }
        }
        Poll::Ready(())
    }
}

impl Open {
    /// Code hears that its client has gone, behind what it is at.
    fn part(&mut self, end: &End) {
        if let Some(visit) = self.visit.take() {
            let at_work = self.work.take().and_then(Work::rest);
            // Counted among the connections until code is through.
            visit.leaves(reason(end, self.peer_closed), at_work, self.peer.clone());
        }
    }

    /// Our close frame is out. Its echo is awaited, whatever comes before; then
    /// the connection is closed.
    async fn finish(mut self) {
        let wait = self.app.config.ws.close_wait;
        if !self.peer_closed {
            let (port, decoder) = (&mut self.port, &mut self.decoder);
            let echo = poll_fn(|cx| poll_echo(decoder, |buffer| port.poll_in(cx, buffer)));
            // No echo in time is a peer that will not send one.
            let _ = tokio::time::timeout(wait, echo).await;
        }
        let Self { port, peer, .. } = self;
        linger(port.into_stream(), wait).await;
        drop(peer);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.port.poll_out(cx, &self.subscriber) {
                Poll::Ready(Ok(end)) => return Poll::Ready(end),
                Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
                Poll::Pending => {}
            }
            if self
                .closing
                .poll(cx, &self.port, &self.subscriber, &self.app)
                .is_ready()
            {
                return Poll::Ready(End::Gone);
            }
            if self.ending {
                return Poll::Pending;
            }
            // While a publish is under way nothing is read: that is how a
            // publisher feels that the node is busy.
            if let Some(work) = &mut self.work {
                match work {
                    Work::Publishes(publishing) => {
                        let outcome = std::task::ready!(publishing.poll(cx));
                        self.work = None;
                        self.settle(outcome);
                    }
                    Work::Calls(calls) => {
                        let called = std::task::ready!(calls.poll(cx));
                        self.work = None;
                        self.hear(called);
                    }
                    Work::Enters(entering) => {
                        std::task::ready!(entering.as_mut().poll(cx));
                        self.work = None;
                    }
                    Work::Renews(renewing) => {
                        let renewed = std::task::ready!(renewing.poll(cx));
                        self.work = None;
                        self.renew(renewed);
                    }
                }
                continue;
            }
            if !self.unread.is_empty() {
                let unread = std::mem::take(&mut self.unread);
                self.take_in(&unread);
                continue;
            }
            match self.poll_read(cx) {
                Poll::Ready(true) => continue,
                Poll::Ready(false) => return Poll::Ready(End::Gone),
                Poll::Pending => {}
            }
            let time = self.app.config.ws.assembly_timeout;
            return match self.assembly.poll(cx, &self.decoder, time) {
                Poll::Ready(()) => {
                    self.end(End::Close(
                        1008,
                        "a message took too long to come".to_owned(),
                    ));
                    continue;
                }
                Poll::Pending => Poll::Pending,
            };
        }
    }

    /// Reads once and decodes; false at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        with_scratch(|buffer| {
            let count = std::task::ready!(self.port.poll_in(cx, buffer));
            Poll::Ready(match count {
                Ok(0) | Err(_) => false,
                Ok(count) => {
                    self.take_in(&buffer[..count]);
                    true
                }
            })
        })
    }

    /// Decodes `input`, up to the first one that is not settled at once.
    fn take_in(&mut self, mut input: &[u8]) {
        let mut pings = Pings::default();
        while !self.ending {
            let event = match self.decoder.decode(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(broken) => {
                    self.end(End::Close(broken.close_code, broken.why.to_owned()));
                    break;
                }
            };
            if matches!(event, Event::Ping(_) | Event::Pong(_))
                && let Err(refusal) = self.app.rates.controls(self.payer(), self.app.clock.now())
            {
                self.end(End::Refused(refusal));
                break;
            }
            match event {
                Event::Ping(payload) if pings.answers(&payload) => self.pong(&payload),
                Event::Ping(_) => {}
                event => self.on(event),
            }
            if self.work.is_some() {
                self.unread = input.to_vec();
                break;
            }
        }
        if let Some(payload) = pings.held.filter(|_| !self.ending) {
            self.pong(&payload);
        }
    }

    fn pong(&self, payload: &[u8]) {
        self.subscriber.pong(frame(Opcode::Pong, payload));
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Ping(_) | Event::Pong(_) => {}
            Event::Close(code, _) => {
                self.peer_closed = true;
                // The same code back; a close without one gets 1000.
                self.end(End::Close(code.map_or(1000, |code| code.0), String::new()));
            }
            Event::Text(text) => {
                self.assembly.over();
                let begun = publish_text(&self.app, self.by(), &text);
                self.begin(begun);
            }
            Event::Binary(_) if self.envelope => {
                let reason = "an envelope socket takes text frames".to_owned();
                self.end(End::Close(1003, reason));
            }
            Event::Binary(bytes) => {
                self.assembly.over();
                let begun = publish_binary(&self.app, self.by(), bytes);
                self.begin(begun);
            }
        }
    }

    fn payer(&self) -> Payer<'_> {
        Payer {
            buckets: &self.peer.buckets,
            account: self.account,
        }
    }

    fn by(&self) -> By<'_> {
        By {
            permit: &self.permit,
            payer: self.payer(),
            visit: self.visit.as_deref(),
            envelope: self.envelope,
        }
    }

    fn begin(&mut self, begun: Result<Work, Outcome>) {
        match begun {
            Ok(work) => self.work = Some(work),
            Err(outcome) => self.settle(outcome),
        }
    }

    /// Answers a publish.
    fn settle(&mut self, outcome: Outcome) {
        self.app.metrics.publishes(outcome.bytes, &outcome.result);
        match outcome.result {
            Ok(appended) => {
                if let Some(ack) = outcome.ack(appended).filter(|_| self.envelope) {
                    self.subscriber.send(ack);
                }
            }
            Err(ref refusal) if !self.envelope => self.end(End::Refused(refusal.clone())),
            Err(ref refusal) => {
                let told = self.who.tell_frame(refusal);
                self.app.metrics.refuses(refusal.code, told);
                if self.refusals.one_too_many(&self.app) {
                    if refusal.code == Code::RateLimited {
                        // A client that is too fast may come back, and slower.
                        self.end(End::Refused(refusal.clone()));
                        return;
                    }
                    let reason = "too many refused frames".to_owned();
                    self.end(End::Close(3509, reason));
                } else {
                    self.subscriber.send(outcome.error(refusal));
                }
            }
        }
    }

    /// Says what code answered.
    fn hear(&mut self, called: Called) {
        if !self.envelope {
            if let Some(end) = called.end() {
                self.end(end);
            }
        } else if let Some(answer) = called.answer() {
            self.subscriber.send(answer);
        }
    }

    /// Goes on by another token, or ends.
    fn renew(&mut self, renewed: Renewed) {
        match renewed.result {
            Ok(ref permit) => {
                self.permit = permit.clone();
                self.account = self.app.rates.becomes(self.account, permit.subject());
                match &mut self.visit {
                    Some(visit) => visit.renews(permit),
                    None => self.subscriber.renew(permit.clone()),
                }
                if let Some(ack) = renewed.ack() {
                    self.subscriber.send(ack);
                }
            }
            // Not the token's fault: what it had lasts on.
            Err(refusal) if refusal.code == Code::Unavailable => {
                self.settle(Outcome::refused(renewed.reference, refusal));
            }
            Err(refusal) => self.end(End::Refused(refusal)),
        }
    }

    fn end(&mut self, end: End) {
        self.ending = true;
        self.subscriber.end(end);
    }
}

/// Why a client has gone, in the words that Socket.IO has for it.
fn reason(end: &End, peer_closed: bool) -> &'static str {
    match end {
        _ if peer_closed => "transport close",
        End::Gone | End::Answered => "transport close",
        End::Silent => "ping timeout",
        End::Slow | End::Gap(_) => "transport error",
        End::Shutdown => "server shutting down",
        End::Fault => "forced server close",
        // What came is not the protocol (RFC 6455, 7.4.1).
        End::Close(1002..=1010, _) => "parse error",
        End::Close(..) | End::Refused(_) => "server namespace disconnect",
    }
}

/// Bounds the time that a message may take once it has begun.
#[derive(Default)]
pub(crate) struct Assembly(Option<Pin<Box<Sleep>>>);

impl Assembly {
    /// Ready where the message that `decoder` is at has taken more than `time`.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        decoder: &Decoder,
        time: Duration,
    ) -> Poll<()> {
        if !decoder.is_mid_message() {
            self.0 = None;
            return Poll::Pending;
        }
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        sleep.as_mut().poll(cx)
    }

    /// A message is whole: the next one has a time of its own.
    pub(crate) fn over(&mut self) {
        self.0 = None;
    }
}

/// Reads by `read` until the peer's close frame or its end; what else comes means nothing.
pub(crate) fn poll_echo(
    decoder: &mut Decoder,
    mut read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<()> {
    loop {
        let over = with_scratch(|buffer| {
            let count = std::task::ready!(read(buffer)).unwrap_or(0);
            let mut input = &buffer[..count];
            let mut over = count == 0;
            while !over {
                match decoder.decode(&mut input) {
                    Ok(Some(Event::Close(..))) => over = true,
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    // Broken before we closed, or now: no echo will come.
                    Err(_) => over = true,
                }
            }
            Poll::Ready(over)
        });
        if std::task::ready!(over) {
            return Poll::Ready(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f9_of_a_flood_of_pings_only_the_last_is_held() {
        let mut pings = Pings::default();
        let answered = (0..1000_u16)
            .filter(|n| pings.answers(&Bytes::copy_from_slice(&n.to_be_bytes())))
            .count();
        assert_eq!(answered, Pings::EACH);
        assert_eq!(pings.held.as_deref(), Some(&999_u16.to_be_bytes()[..]));
    }
}
