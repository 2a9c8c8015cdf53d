//! What comes in over a WebSocket: publishes, and their answers.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_core::broker::Appended;
use fanwire_core::clock::{Clock as _, Instant};
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{Draft, End};
use fanwire_core::key::Key;
use fanwire_core::message::{Body, EventName};
use fanwire_core::policy::{Permit, Verb};
use fanwire_proto::error::DecodeError;
use fanwire_proto::native::command::{Payload, Ref, Request};
use fanwire_proto::native::system::System;
use fanwire_proto::ws::{Opcode, frame};

use super::renew::Renewing;
use crate::answer;
use crate::app::App;
use crate::handlers::{AtWork, Calling, Reply, Visit};
use crate::rates::Payer;

/// The close code of a raw socket whose event code refused by a word of its own: of
/// those that belong to the application (`PROTOCOL.md`, section 8).
const REJECTED: u16 = 4000;

type Published = Pin<Box<dyn Future<Output = Result<Appended, Refusal>> + Send>>;

/// A publish under way.
pub(super) struct Publishing {
    reference: Option<Ref>,
    /// Of its body.
    bytes: usize,
    published: Published,
}

/// An event that code handles.
pub(super) struct Calls {
    reference: Option<Ref>,
    calling: Calling,
}

/// What code answered.
pub(super) struct Called {
    reference: Option<Ref>,
    pub(super) reply: Reply,
}

/// By whom a frame came.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    /// The right to listen.
    pub(super) permit: &'a Permit,
    pub(super) payer: Payer<'a>,
    /// As code sees it, where any serves.
    pub(super) visit: Option<&'a Visit>,
    pub(super) envelope: bool,
}

/// What a frame set going.
pub(super) enum Work {
    /// A message.
    Publishes(Publishing),
    /// An event for code.
    Calls(Calls),
    /// Another token.
    Renews(Renewing),
    /// Code is told that it is in.
    Enters(AtWork),
}

impl Work {
    /// What of it goes on where nobody waits for it any more: code that has begun.
    pub(super) fn rest(self) -> Option<AtWork> {
        match self {
            Self::Calls(calls) => Some(Box::pin(async move { drop(calls.calling.await) })),
            Self::Enters(entering) => Some(entering),
            Self::Publishes(_) | Self::Renews(_) => None,
        }
    }
}

/// What became of a frame that wanted to publish.
pub(super) struct Outcome {
    reference: Option<Ref>,
    pub(super) bytes: usize,
    pub(super) result: Result<Appended, Refusal>,
}

impl Publishing {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.published.as_mut().poll(cx).map(|result| Outcome {
            reference: self.reference.take(),
            bytes: self.bytes,
            result,
        })
    }
}

impl Calls {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Called> {
        self.calling.as_mut().poll(cx).map(|reply| Called {
            reference: self.reference.take(),
            reply,
        })
    }
}

impl Called {
    /// `$ack` where the frame had a mark, or `$error`; none where there is nothing to
    /// say.
    pub(super) fn answer(&self) -> Option<Bytes> {
        let mut text = Vec::with_capacity(96);
        match &self.reply {
            Reply::None => return None,
            Reply::Ack(args) => System::Reply {
                reference: self.reference.as_ref()?,
                data: &args.to_value(),
            }
            .write(&mut text),
            Reply::Rejected(why) => System::Error {
                reference: self.reference.as_ref(),
                code: &why.code,
                message: &why.message,
                retry_in: why.retry_in,
                at: why.at.as_deref(),
            }
            .write(&mut text),
        }
        Some(frame(Opcode::Text, &text))
    }

    /// How a raw socket ends that was refused. A fault of the server's is none of its
    /// client's: the socket goes on.
    pub(super) fn end(self) -> Option<End> {
        let Reply::Rejected(why) = self.reply else {
            return None;
        };
        match why.as_refusal() {
            Some(refusal) if refusal.code == Code::Internal => None,
            Some(refusal) if refusal.code.close().is_some() => Some(End::Refused(refusal)),
            _ => Some(End::Close(
                REJECTED,
                format!("{}: {}", why.code, why.message),
            )),
        }
    }
}

impl Outcome {
    pub(super) fn refused(reference: Option<Ref>, refusal: Refusal) -> Self {
        Self {
            reference,
            bytes: 0,
            result: Err(refusal),
        }
    }

    /// `$ack`, where the frame had a mark.
    pub(super) fn ack(&self, appended: Appended) -> Option<Bytes> {
        let reference = self.reference.as_ref()?;
        let id = match appended {
            Appended::Kept { id, .. } => Some(id.to_string()),
            Appended::Volatile => None,
        };
        let mut text = Vec::with_capacity(96);
        let id = id.as_deref();
        System::Ack { reference, id }.write(&mut text);
        Some(frame(Opcode::Text, &text))
    }

    /// `$error`.
    pub(super) fn error(&self, refusal: &Refusal) -> Bytes {
        let mut text = Vec::with_capacity(160);
        System::Error {
            reference: self.reference.as_ref(),
            code: refusal.code.as_str(),
            message: &refusal.detail,
            retry_in: refusal.retry_in.map(answer::ms),
            at: refusal.place.as_deref(),
        }
        .write(&mut text);
        frame(Opcode::Text, &text)
    }
}

/// A text frame: a command on an envelope socket, else a text.
pub(super) fn publish_text(app: &Arc<App>, by: By<'_>, text: &Bytes) -> Result<Work, Outcome> {
    if !by.envelope {
        let draft = Draft::new(Body::Text(text.clone()));
        return publish(app, by, None, draft);
    }
    let request = Request::parse(text).map_err(|error| {
        let code = match error.error {
            DecodeError::TooLarge { .. } => Code::InvalidBody,
            _ => Code::BadRequest,
        };
        Outcome::refused(error.reference, Refusal::new(code, error.error.to_string()))
    })?;
    let command = match request {
        Request::Publish(command) => command,
        Request::Auth(auth) => {
            // Looking at a token takes work, as a message does.
            if let Err(refusal) = app.rates.controls(by.payer, app.clock.now()) {
                return Err(Outcome::refused(auth.reference, refusal));
            }
            let renewing = Renewing::new(app.clone(), by.permit.clone(), auth);
            return Ok(Work::Renews(renewing));
        }
    };
    match draft(command.payload, command.event, command.key) {
        Ok(draft) => publish(app, by, command.reference, draft),
        Err(refusal) => Err(Outcome::refused(command.reference, refusal)),
    }
}

/// A binary frame of a raw socket.
pub(super) fn publish_binary(app: &Arc<App>, by: By<'_>, bytes: Bytes) -> Result<Work, Outcome> {
    let draft = Draft::new(Body::Binary(bytes));
    publish(app, by, None, draft)
}

fn draft(payload: Payload, event: Option<String>, key: Option<String>) -> Result<Draft, Refusal> {
    let body = match payload {
        // A slice of the frame: copied, so that history does not keep the frame.
        Payload::Json(json) => Body::Json(Bytes::copy_from_slice(&json)),
        Payload::Text(text) => Body::Text(text),
        Payload::Binary(bytes) => Body::Binary(bytes),
        Payload::Args { json, attachments } => Body::Args { json, attachments },
    };
    let mut draft = Draft::new(body);
    if let Some(event) = event {
        draft.event = EventName::new(&event)
            .map_err(|why| Refusal::new(Code::InvalidEvent, why.to_string()))?;
    }
    draft.key = key.map(Arc::from);
    Ok(draft)
}

/// The door is asked for every frame, and the limits behind it: both may have
/// changed since the last.
fn publish(
    app: &Arc<App>,
    by: By<'_>,
    reference: Option<Ref>,
    draft: Draft,
) -> Result<Work, Outcome> {
    let listening = by.permit;
    let subject = listening.subject().clone();
    let keys = listening.keys().clone();
    let admitted = app.door.admit(subject, Verb::Publish, keys);
    let admitted = admitted.and_then(|permit| {
        let now = app.clock.now();
        let namespace = listening.keys()[0].namespace();
        app.rates
            .publishes(by.payer, namespace, draft.body.len(), now)?;
        let visit = by.visit.filter(|_| is_for_code(app, listening, &draft));
        if visit.is_some() && draft.key.is_some() {
            let sentence = "code handles this event here: it takes no key";
            return Err(Refusal::new(Code::BadRequest, sentence));
        }
        let calling = visit.and_then(|visit| {
            let event = (draft.event.as_str().to_owned(), draft.body.clone());
            visit.calls(listening.keys()[0].namespace(), event)
        });
        Ok((permit, calling))
    });
    match admitted {
        Ok((_, Some(calling))) => Ok(Work::Calls(Calls { reference, calling })),
        Ok((permit, None)) => Ok(Work::Publishes(Publishing {
            reference,
            bytes: draft.body.len(),
            published: Box::pin(app.hub.publish(&permit, draft)),
        })),
        Err(refusal) => Err(Outcome::refused(reference, refusal)),
    }
}

/// Whether code takes this: that of the channels' namespace, where it is one.
fn is_for_code(app: &App, listening: &Permit, draft: &Draft) -> bool {
    let Some(namespace) = listening.keys().first().map(Key::namespace) else {
        return false;
    };
    let mut keys = listening.keys().iter();
    keys.all(|key| key.namespace() == namespace)
        && app.spaces.taking(namespace, draft.event.as_str()).is_some()
}

/// Counts refused frames, so that a broken client does not go on for ever.
pub(super) struct Refusals {
    allowed: usize,
    recent: VecDeque<Instant>,
}

impl Refusals {
    pub(super) fn new(app: &App) -> Self {
        Self {
            allowed: app.config.ws.refused_frames,
            recent: VecDeque::new(),
        }
    }

    /// Counts one more; true where it is over what the window allows.
    pub(super) fn one_too_many(&mut self, app: &App) -> bool {
        self.count(app.clock.now(), app.config.ws.refused_window)
    }

    fn count(&mut self, now: Instant, window: std::time::Duration) -> bool {
        while self
            .recent
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > window)
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.allowed {
            return true;
        }
        self.recent.push_back(now);
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn j8_the_eleventh_refusal_within_the_window_is_one_too_many() {
        let mut refusals = Refusals {
            allowed: 10,
            recent: VecDeque::new(),
        };
        let window = Duration::from_secs(10);
        let at = Duration::from_millis;
        for n in 0..10 {
            assert!(!refusals.count(at(n * 1000), window), "{n}");
        }
        assert!(refusals.count(at(9_999), window));
        assert!(!refusals.count(at(10_001), window));
    }

    #[test]
    fn a_reserved_event_and_a_good_one() {
        let draft_of = |event: &str| {
            let payload = Payload::Text(Bytes::from_static(b"x"));
            draft(payload, Some(event.to_owned()), None).map_err(|refusal| refusal.code)
        };
        assert_eq!(draft_of("$ready").unwrap_err(), Code::InvalidEvent);
        assert_eq!(draft_of("score").unwrap().event.as_str(), "score");
    }
}
