//! Another token on a running WebSocket: the connection goes on by it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::policy::{Permit, Subject};
use fanwire_proto::native::system::System;
use fanwire_proto::native::{Auth, Ref};
use fanwire_proto::ws::{Opcode, frame};

use crate::app::App;

/// A token that is being looked at.
pub(super) struct Renewing {
    reference: Option<Ref>,
    asked: Pin<Box<dyn Future<Output = Result<Permit, Refusal>> + Send>>,
}

/// What became of it.
pub(super) struct Renewed {
    pub(super) reference: Option<Ref>,
    pub(super) result: Result<Permit, Refusal>,
}

impl Renewing {
    /// Looks at the token that `auth` shows on a connection that lasts by `permit`.
    pub(super) fn new(app: Arc<App>, permit: Permit, auth: Auth) -> Self {
        let Auth { token, reference } = auth;
        Self {
            reference,
            asked: Box::pin(async move { renew(&app, &permit, &token).await }),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Renewed> {
        self.asked.as_mut().poll(cx).map(|result| Renewed {
            reference: self.reference.take(),
            result,
        })
    }
}

impl Renewed {
    /// `$ack`, where the frame had a mark.
    pub(super) fn ack(&self) -> Option<Bytes> {
        let reference = self.reference.as_ref()?;
        let mut text = Vec::with_capacity(96);
        System::Ack {
            reference,
            id: None,
        }
        .write(&mut text);
        Some(frame(Opcode::Text, &text))
    }
}

async fn renew(app: &App, permit: &Permit, token: &str) -> Result<Permit, Refusal> {
    let subject = app.auth.user(token, app.now(), &app.metrics).await?;
    if !may_follow(permit.subject(), &subject) {
        let sentence = "a connection does not go from one to another; open a new one";
        return Err(Refusal::new(Code::Unauthorized, sentence));
    }
    app.door
        .admit(subject, permit.verb(), permit.keys().clone())
}

/// Whether a connection of one may go on as the other's: the same user, or one
/// where there was nobody in particular.
fn may_follow(before: &Subject, after: &Subject) -> bool {
    match (before, after) {
        (Subject::Anonymous(_), Subject::User(_)) => true,
        (Subject::User(before), Subject::User(after)) => {
            before.id == after.id && before.issuer == after.issuer
        }
        _ => false,
    }
}
