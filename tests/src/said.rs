//! What a server said, in one form for all transports.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// One thing heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A message.
    Heard(Heard),
    /// `$gap`.
    Gap(Gap),
    /// `$ready`.
    Ready(Ready),
    /// `$cursor`, or the end of one poll answer.
    Cursor(String),
    /// `$drain`: ends within so many milliseconds.
    Drain(u64),
    /// `$ack` or `$error`, as it came.
    Reply(Value),
    /// A WebSocket was closed with a close frame.
    Closed(u16, String),
    /// The stream ended cleanly.
    Ended,
    /// The connection broke.
    Cut,
}

/// A message, as far as the form shows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    /// Its id; none on a volatile message and on a raw WebSocket.
    pub id: Option<String>,
    /// Its channel, where the form says it.
    pub channel: Option<String>,
    /// Its event; empty where the form does not say it.
    pub event: String,
    /// How `data` is to be read.
    pub kind: Kind,
    /// The `data` member's own text, or the bytes of the frame or of the event.
    pub data: Vec<u8>,
    /// When it was sequenced; 0 where the form does not say it.
    pub ts: u64,
    /// The verified publisher.
    pub from: Option<String>,
    /// The conflation key.
    pub key: Option<String>,
    /// The names of an envelope's members, in their order.
    pub members: Vec<String>,
}

/// How a form shows a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Raw: the form does not say.
    #[default]
    Raw,
    /// A binary frame of a raw WebSocket.
    Frame,
    /// Envelope: plain JSON.
    Json,
    /// Envelope: a JSON string.
    Text,
    /// Envelope: base64 in a JSON string.
    Binary,
    /// Envelope: an array of that many arguments.
    Args(u64),
}

/// The data of `$gap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Of which channel.
    pub channel: String,
    /// Why.
    pub reason: String,
    /// The newest message that is gone.
    pub lost_through: Option<String>,
    /// Just past the loss.
    pub cursor: String,
    /// Its `id:`, on SSE.
    pub id: Option<String>,
}

/// The data of `$ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The stream starts after it.
    pub cursor: String,
    /// What it hears.
    pub channels: Vec<String>,
    /// The connection.
    pub conn: String,
    /// Its `id:`, on SSE.
    pub id: Option<String>,
    /// Its `retry:`, on SSE.
    pub retry: Option<u64>,
}

impl Heard {
    /// The data as text. In an envelope, JSON as it was written.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The published text, whether the form wraps it or not.
    ///
    /// # Panics
    /// Where an envelope's `data` is not a string.
    pub fn plain(&self) -> String {
        match self.kind {
            Kind::Text | Kind::Binary => match serde_json::from_slice(&self.data) {
                Ok(text) => text,
                Err(error) => panic!("{error}: {}", self.text()),
            },
            _ => self.text(),
        }
    }

    /// The seq of its id.
    ///
    /// # Panics
    /// Where it has none.
    pub fn seq(&self) -> u64 {
        seq(self.id.as_deref().unwrap_or_default())
    }
}

/// The number after the last `-` of an id.
///
/// # Panics
/// Where there is none.
pub fn seq(id: &str) -> u64 {
    match id.rsplit_once('-').map(|(_, seq)| seq.parse()) {
        Some(Ok(seq)) => seq,
        _ => panic!("not an id: {id:?}"),
    }
}

/// Reads one envelope: a message or a system event.
///
/// # Panics
/// Where it is not of the form of section 4.
pub fn envelope(text: &[u8]) -> Said {
    let shown = String::from_utf8_lossy(text).into_owned();
    let members: BTreeMap<String, Box<RawValue>> = match serde_json::from_slice(text) {
        Ok(members) => members,
        Err(error) => panic!("not an object ({error}): {shown}"),
    };
    let string = |name: &str| members.get(name).map(|raw| string(raw.get(), &shown));
    let Some(event) = string("event") else {
        panic!("no event: {shown}")
    };
    let Some(data) = members.get("data") else {
        panic!("no data: {shown}")
    };
    if let Some(system) = system(&event, data.get().as_bytes(), None, None) {
        return system;
    }
    let kind = match (string("kind").as_deref(), members.get("args")) {
        (None, None) => Kind::Json,
        (Some("text"), None) => Kind::Text,
        (Some("binary"), None) => Kind::Binary,
        (None, Some(count)) => Kind::Args(number(count.get(), &shown)),
        _ => panic!("not a kind: {shown}"),
    };
    Said::Heard(Heard {
        id: string("id"),
        channel: string("channel"),
        event,
        kind,
        data: data.get().as_bytes().to_vec(),
        ts: members.get("ts").map_or(0, |raw| number(raw.get(), &shown)),
        from: string("from"),
        key: string("key"),
        members: member_order(&shown),
    })
}

/// Reads a system event from its name and its data; none where it is no system event.
///
/// # Panics
/// Where its data is not of the form of section 7.
pub fn system(event: &str, data: &[u8], id: Option<&str>, retry: Option<u64>) -> Option<Said> {
    if !event.starts_with('$') {
        return None;
    }
    let shown = format!("{event} {}", String::from_utf8_lossy(data));
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        panic!("not JSON: {shown}")
    };
    let text = |name: &str| match value[name].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no {name}: {shown}"),
    };
    let id = id.map(str::to_owned);
    Some(match event {
        "$ready" => Said::Ready(Ready {
            cursor: text("cursor"),
            channels: value["channels"].as_array().map_or(Vec::new(), |all| {
                all.iter()
                    .filter_map(|c| c.as_str().map(str::to_owned))
                    .collect()
            }),
            conn: text("conn"),
            id,
            retry,
        }),
        "$gap" => Said::Gap(Gap {
            channel: text("channel"),
            reason: text("reason"),
            lost_through: value["lost_through"].as_str().map(str::to_owned),
            cursor: text("cursor"),
            id,
        }),
        "$cursor" => Said::Cursor(text("cursor")),
        "$drain" => {
            assert_eq!(value["reason"], "shutdown", "{shown}");
            match value["in"].as_u64() {
                Some(within) => Said::Drain(within),
                None => panic!("no in: {shown}"),
            }
        }
        "$ack" | "$error" => {
            let mut value = value;
            value["event"] = event.into();
            Said::Reply(value)
        }
        _ => panic!("unknown system event: {shown}"),
    })
}

fn string(raw: &str, shown: &str) -> String {
    match serde_json::from_str(raw) {
        Ok(text) => text,
        Err(error) => panic!("{error}: {raw} in {shown}"),
    }
}

fn number(raw: &str, shown: &str) -> u64 {
    match raw.parse() {
        Ok(number) => number,
        Err(error) => panic!("{error}: {raw} in {shown}"),
    }
}

/// The names of the outermost object's members in their order: a string at
/// depth one that a colon follows.
fn member_order(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let (mut names, mut depth, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                if depth == 1 && bytes.get(at + 1) == Some(&b':') {
                    names.push(text[start..at].to_owned());
                }
            }
            _ => {}
        }
        at += 1;
    }
    names
}
