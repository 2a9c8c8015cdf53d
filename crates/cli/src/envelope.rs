//! A message in its envelope, as JSON on one line (`PROTOCOL.md`, section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanwire_client::{Message, MessageBody};
use serde_json::json;

/// The envelope, without a line end.
pub(crate) fn write(message: &Message) -> Vec<u8> {
    let mut out = Vec::from(*b"{");
    if let Some(id) = &message.id {
        member(&mut out, "id", &json!(id).to_string());
    }
    member(&mut out, "channel", &json!(message.channel).to_string());
    member(&mut out, "event", &json!(message.event).to_string());
    let (data, mark) = match &message.body {
        MessageBody::Json(raw) => (one_line(raw.get()), None),
        MessageBody::Text(text) => (
            json!(text).to_string(),
            Some(("kind", "\"text\"".to_owned())),
        ),
        MessageBody::Binary(bytes) => (
            json!(STANDARD.encode(bytes)).to_string(),
            Some(("kind", "\"binary\"".to_owned())),
        ),
        MessageBody::Args(raw) => {
            let count = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(raw.get())
                .map_or(0, |args| args.len());
            (one_line(raw.get()), Some(("args", count.to_string())))
        }
    };
    member(&mut out, "data", &data);
    if let Some(ts) = message.ts {
        member(&mut out, "ts", &ts.to_string());
    }
    if let Some(from) = &message.from {
        member(&mut out, "from", &json!(from).to_string());
    }
    if let Some(key) = &message.key {
        member(&mut out, "key", &json!(key).to_string());
    }
    if let Some((name, value)) = mark {
        member(&mut out, name, &value);
    }
    out.push(b'}');
    out
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    if out.len() > 1 {
        out.push(b',');
    }
    out.extend_from_slice(format!("\"{name}\":{value}").as_bytes());
}

/// Line ends in JSON stand only between tokens, where a space says the same.
fn one_line(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}
