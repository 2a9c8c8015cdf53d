//! What is said of a conversation's own accord, as finished units.

use bytes::Bytes;
use fanwire_core::error::Refusal;
use fanwire_proto::engineio::Wire;
use fanwire_proto::native::envelope::Body;
use fanwire_proto::socketio::{Ack, ConnectError, Disconnect};

use crate::handlers::{Args, ConnectRefusal, Rejected};

/// A client may not come in.
pub(super) fn connect_error(namespace: &str, why: &ConnectRefusal) -> Bytes {
    let data = why.data.as_ref().map(ToString::to_string);
    let mut unit = Vec::with_capacity(96);
    ConnectError {
        namespace,
        message: &why.message,
        data: data.as_deref(),
    }
    .write(Wire::WebSocket, &mut unit);
    unit.into()
}

/// It is let go.
pub(super) fn disconnect(namespace: &str) -> Bytes {
    let mut unit = Vec::with_capacity(16);
    Disconnect { namespace }.write(Wire::WebSocket, &mut unit);
    unit.into()
}

/// The answer to an event.
pub(super) fn ack(namespace: &str, id: u64, args: &Args) -> Bytes {
    let mut unit = Vec::with_capacity(64);
    Ack {
        namespace,
        id,
        body: body(args),
    }
    .write(Wire::WebSocket, &mut unit);
    unit.into()
}

/// Arguments as proto writes them.
pub(super) fn body(args: &Args) -> Body<'_> {
    Body::Args {
        json: args.json().as_bytes(),
        attachments: args.attachments(),
    }
}

/// One argument: what was refused, and why; `event` where one was.
pub(super) fn error(why: &Rejected, event: Option<&str>) -> Args {
    let mut told = why.to_json();
    if let Some(event) = event {
        told["event"] = event.into();
    }
    Args::received(&told.to_string(), Vec::new())
}

/// What a client is told that came back and is not who it was: what it missed
/// cannot be given.
pub(super) fn gap() -> Args {
    let told = serde_json::json!({
        "room": null,
        "reason": "not_recovered",
        "lost_through": null,
    });
    Args::received(&told.to_string(), Vec::new())
}

/// `$error`, and then the end: what a client hears that may no longer be in.
pub(super) fn farewell(namespace: &str, refusal: &Refusal) -> Bytes {
    let told = error(&Rejected::from(refusal.clone()), None);
    let error = crate::dialect::socketio::event(namespace, "$error", body(&told), None, None);
    [error, disconnect(namespace)].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_core::error::Code;

    #[test]
    fn an_unknown_namespace_is_told_in_the_words_of_the_protocol() {
        let unit = connect_error("/random", &"Invalid namespace".into());
        assert_eq!(&unit[2..], br#"44/random,{"message":"Invalid namespace"}"#);
    }

    #[test]
    fn whoever_is_let_go_hears_why_first() {
        let refusal = Refusal::new(Code::TokenExpired, "get another one");
        let unit = farewell("/chat", &refusal);
        let text = String::from_utf8_lossy(&unit);
        let error = r#"42/chat,["$error",{"code":"token_expired","message":"get another one"}]"#;
        assert!(text.contains(error), "{text}");
        assert!(text.ends_with("41/chat,"), "{text}");
    }

    #[test]
    fn an_ack_without_arguments_is_an_empty_array() {
        assert_eq!(&ack("/", 7, &Args::default())[2..], b"437[]");
    }
}
