//! The way in: permit, credit, broker, delivery on this node, answer.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::Hub;
use crate::broker::{Append, AppendError, Appended, Idempotency};
use crate::cursor::Seq;
use crate::error::{Code, Refusal};
use crate::key::Key;
use crate::limits::{MAX_EXCEPT, MAX_KEY, MAX_TARGETS};
use crate::message::{Body, EventName, Message};
use crate::policy::{Permit, Verb};

/// A message to be published to the keys of a permit.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who does not hear it: at most 100.
    pub except: Vec<Key>,
    /// The event.
    pub event: EventName,
    /// The content: at most [`crate::limits::Limits::message`] bytes.
    pub body: Body,
    /// The conflation key: 1–255 bytes.
    pub key: Option<Arc<str>>,
    /// No id, not kept.
    pub volatile: bool,
    /// Delivered at most once under this: 1–255 bytes.
    pub idempotency_key: Option<Arc<str>>,
}

impl Draft {
    /// A plain message.
    pub fn new(body: Body) -> Self {
        Self {
            except: Vec::new(),
            event: EventName::default(),
            body,
            key: None,
            volatile: false,
            idempotency_key: None,
        }
    }
}

impl Hub {
    /// Publishes to the keys of `permit`. Ready when the message is kept as
    /// strongly as the broker promises and has been handed to this node's
    /// interested shards. Dropping the future does not take the message back.
    ///
    /// # Errors
    /// A [`Refusal`]: `too_large`, `bad_request`, `forbidden`; `overloaded` where
    /// no credit was to be had in time; `idempotency_mismatch`,
    /// `idempotency_full`, `unavailable`, `outcome_unknown` from the broker.
    pub fn publish(
        self: &Arc<Self>,
        permit: &Permit,
        draft: Draft,
    ) -> impl Future<Output = Result<Appended, Refusal>> + Send + 'static {
        let prepared = self.prepare(permit, draft);
        let hub = self.clone();
        async move { hub.publish_prepared(prepared?).await }
    }

    /// Checks what can be checked without anyone else.
    fn prepare(&self, permit: &Permit, draft: Draft) -> Result<Append, Refusal> {
        permit.check()?;
        if permit.verb() != Verb::Publish {
            return Err(Refusal::new(
                Code::Forbidden,
                "the permit is for something else",
            ));
        }
        if draft.body.len() > self.limits.message {
            let sentence = format!("a message has at most {} bytes", self.limits.message);
            return Err(Refusal::new(Code::TooLarge, sentence));
        }
        let bad = |sentence: &str| Refusal::new(Code::BadRequest, sentence);
        let targets = permit.keys().clone();
        let one_namespace = targets
            .windows(2)
            .all(|two| two[0].namespace() == two[1].namespace());
        if targets.is_empty() || !one_namespace {
            return Err(bad("a message goes to channels of one namespace"));
        }
        if targets.len() > MAX_TARGETS {
            return Err(Refusal::new(
                Code::TooManyChannels,
                "a message has at most 16 targets",
            ));
        }
        if draft.except.len() > MAX_EXCEPT {
            return Err(bad("a message has at most 100 exclusions"));
        }
        let legal = |text: &Option<Arc<str>>| {
            text.as_ref()
                .is_none_or(|text| (1..=MAX_KEY).contains(&text.len()))
        };
        if !legal(&draft.key) || !legal(&draft.idempotency_key) {
            return Err(bad("a key has 1 to 255 bytes"));
        }
        let idempotency = draft.idempotency_key.map(|key| Idempotency {
            publisher: permit.subject().publisher().into(),
            key,
        });
        let message = Message {
            targets,
            except: draft.except,
            event: draft.event,
            body: draft.body,
            from: permit.subject().identity(),
            key: draft.key,
        };
        Ok(Append {
            message,
            volatile: draft.volatile,
            idempotency,
            credit: None,
        })
    }

    async fn publish_prepared(&self, mut append: Append) -> Result<Appended, Refusal> {
        let cost = append.message.cost();
        append.credit = match self.credits.try_take(cost) {
            Some(credit) => Some(credit),
            None => {
                let waited = self
                    .within(self.limits.credit_wait, self.credits.take(cost))
                    .await;
                let sentence = "the slowest readers of this node are behind; try again shortly";
                Some(waited.ok_or_else(|| Refusal::new(Code::Overloaded, sentence))?)
            }
        };
        let outcome = self.broker.append(vec![append]).pop();
        self.pump();
        let Some(outcome) = outcome else {
            return Err(Refusal::new(Code::Internal, "the broker gave no answer"));
        };
        let answered = self.within(self.limits.broker_wait, outcome).await;
        let appended = answered
            .unwrap_or(Err(AppendError::OutcomeUnknown))
            .map_err(refusal)?;
        if let Appended::Kept { id, .. } = appended {
            // Kept is kept: a feed that lags costs the publisher a wait, no error.
            let _ = self
                .within(self.limits.applied_wait, self.reached(id.seq))
                .await;
        }
        Ok(appended)
    }

    /// Is ready once this node has applied `seq`.
    fn reached(&self, seq: Seq) -> impl Future<Output = ()> + '_ {
        poll_fn(move |cx| {
            let mut feed = self.feed.lock();
            if feed.applied >= seq {
                return Poll::Ready(());
            }
            feed.wait(seq, cx.waker().clone());
            Poll::Pending
        })
    }

    /// Runs `work` for at most `time`; none where it did not end. The sleep is
    /// made only where there is something to wait for.
    pub(super) async fn within<T>(
        &self,
        time: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut sleep = None;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let sleep = sleep.get_or_insert_with(|| self.runtime.sleep(time));
            sleep.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

fn refusal(error: AppendError) -> Refusal {
    let (code, sentence) = match error {
        AppendError::Mismatch => (
            Code::IdempotencyMismatch,
            "this Idempotency-Key was used for another message; use a new key",
        ),
        AppendError::KeysFull => (
            Code::IdempotencyFull,
            "too many idempotency keys are in use; try again in some minutes, or publish without one",
        ),
        AppendError::Unavailable => (
            Code::Unavailable,
            "the broker cannot be reached; the message was not kept, try again",
        ),
        AppendError::OutcomeUnknown => (
            Code::OutcomeUnknown,
            "the message may or may not have been kept; send it again with the same Idempotency-Key",
        ),
    };
    Refusal::new(code, sentence)
}
