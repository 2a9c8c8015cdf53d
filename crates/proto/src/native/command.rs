//! What a client sends on an envelope WebSocket (`PROTOCOL.md`, section 6).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{args, json};
use crate::error::DecodeError;
use crate::limits::{REF_BYTES, REF_MAX};

/// A client's own mark on a command, given back in its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ref {
    /// 0 … 2^53 − 1.
    Number(u64),
    /// At most 64 bytes.
    Text(String),
}

/// The body that a command carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// JSON text, byte for byte.
    Json(Bytes),
    /// UTF-8 text.
    Text(Bytes),
    /// Bytes, from base64.
    Binary(Bytes),
    /// Several arguments, or none: a JSON array with placeholders, and what they stand
    /// for; see [`args`].
    Args {
        /// The array.
        json: Bytes,
        /// By the number of their placeholder.
        attachments: Vec<Bytes>,
    },
}

/// One publish. Names are not judged here: what an event or a key may be called
/// is for those who know what messages mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The body.
    pub payload: Payload,
    /// The event name; `message` where none is given.
    pub event: Option<String>,
    /// The conflation key.
    pub key: Option<String>,
    /// The mark for the answer.
    pub reference: Option<Ref>,
}

/// A token that is shown on the connection itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// The token, not looked at.
    pub token: String,
    /// The mark for the answer.
    pub reference: Option<Ref>,
}

/// One frame of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Publish this.
    Publish(Command),
    /// This is who I am.
    Auth(Auth),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// Why a command was refused, with its mark where that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// The command's mark.
    pub reference: Option<Ref>,
    /// What is wrong.
    pub error: DecodeError,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for CommandError {}

impl Command {
    /// Reads a command that publishes.
    ///
    /// # Errors
    /// As [`Request::parse`], and for what asks for anything else.
    pub fn parse(text: &Bytes) -> Result<Self, CommandError> {
        match Request::parse(text)? {
            Request::Publish(command) => Ok(command),
            Request::Auth(auth) => Err(CommandError {
                reference: auth.reference,
                error: DecodeError::malformed(0, "not a publish"),
            }),
        }
    }
}

impl Request {
    /// Reads a frame. Members that are not known are ignored; a known one may
    /// stand once, and `auth` beside `ref` alone. A JSON payload is a slice of
    /// `text`, not a copy.
    ///
    /// # Errors
    /// `TooLarge` for nesting over 128, else `Malformed`.
    pub fn parse(text: &Bytes) -> Result<Self, CommandError> {
        let bare = |error| CommandError {
            reference: None,
            error,
        };
        let valid = std::str::from_utf8(text)
            .map_err(|e| bare(DecodeError::malformed(e.valid_up_to(), "not UTF-8")))?;
        json::check_depth(text).map_err(bare)?;
        let members: Members<'_> = serde_json::from_str(valid).map_err(|e| {
            bare(DecodeError::malformed(
                json::offset(valid, &e),
                if e.is_data() {
                    "not an object with each member once"
                } else {
                    "not JSON"
                },
            ))
        })?;
        let reference = members.reference.map(read_ref).transpose().map_err(bare)?;
        if let Some(auth) = members.auth {
            let token = serde_json::from_str::<String>(auth.get()).ok();
            return match token.filter(|_| !members.publishes()) {
                Some(token) => Ok(Self::Auth(Auth { token, reference })),
                None => Err(CommandError {
                    reference,
                    error: DecodeError::malformed(0, "auth is a string and stands alone"),
                }),
            };
        }
        match members.read(text) {
            Ok((payload, event, key)) => Ok(Self::Publish(Command {
                payload,
                event,
                key,
                reference,
            })),
            Err(why) => Err(CommandError {
                reference,
                error: DecodeError::malformed(0, why),
            }),
        }
    }
}

/// The members as they stand, none judged yet.
#[derive(Default)]
struct Members<'a> {
    auth: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    event: Option<&'a RawValue>,
    key: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    args: Option<&'a RawValue>,
    reference: Option<&'a RawValue>,
}

impl Members<'_> {
    /// Whether any member is there that only a publish has.
    fn publishes(&self) -> bool {
        [self.data, self.event, self.key, self.kind, self.args]
            .iter()
            .any(Option::is_some)
    }

    fn read(
        &self,
        text: &Bytes,
    ) -> Result<(Payload, Option<String>, Option<String>), &'static str> {
        let string = |raw: Option<&RawValue>, why| {
            raw.map(|raw| serde_json::from_str::<String>(raw.get()).map_err(|_| why))
                .transpose()
        };
        let event = string(self.event, "event is not a string")?;
        let key = string(self.key, "key is not a string")?;
        let kind = string(self.kind, "kind is not a string")?;
        let data = self.data.ok_or("data is missing")?;
        if let Some(args) = self.args {
            let several = several(args, kind.as_deref(), data)?;
            return Ok((several, event, key));
        }
        let payload = match kind.as_deref() {
            None => Payload::Json(text.slice_ref(data.get().as_bytes())),
            Some("text") => {
                let text = string(Some(data), "data is not a string")?.unwrap_or_default();
                Payload::Text(text.into())
            }
            Some("binary") => {
                let text = string(Some(data), "data is not a string")?.unwrap_or_default();
                Payload::Binary(
                    STANDARD
                        .decode(text)
                        .map_err(|_| "data is not base64")?
                        .into(),
                )
            }
            Some(_) => return Err("kind is neither text nor binary"),
        };
        Ok((payload, event, key))
    }
}

/// The data of several arguments, of which `args` says how many.
fn several(args: &RawValue, kind: Option<&str>, data: &RawValue) -> Result<Payload, &'static str> {
    if kind.is_some() {
        return Err("kind and args exclude each other");
    }
    let count: usize = serde_json::from_str(args.get()).map_err(|_| "args is not a count")?;
    let Ok((json, attachments)) = args::parse_surface(data.get().as_bytes()) else {
        return Err("with args, data is an array, with binary as {\"$bin\":\"<base64>\"}");
    };
    match args::count(&json) == count {
        true => Ok(Payload::Args { json, attachments }),
        false => Err("args is not how many stand in data"),
    }
}

fn read_ref(raw: &RawValue) -> Result<Ref, DecodeError> {
    match serde_json::from_str::<Ref>(raw.get()) {
        Ok(Ref::Number(n)) if n <= REF_MAX => Ok(Ref::Number(n)),
        Ok(Ref::Text(text)) if text.len() <= REF_BYTES => Ok(Ref::Text(text)),
        _ => Err(DecodeError::malformed(
            0,
            "ref is neither a string of at most 64 bytes nor an integer of 0 to 2^53-1",
        )),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;

        impl<'de> Visitor<'de> for Walk {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members::default();
                while let Some(name) = map.next_key::<String>()? {
                    let slot = match name.as_str() {
                        "auth" => &mut members.auth,
                        "data" => &mut members.data,
                        "event" => &mut members.event,
                        "key" => &mut members.key,
                        "kind" => &mut members.kind,
                        "args" => &mut members.args,
                        "ref" => &mut members.reference,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    if slot.replace(map.next_value::<&RawValue>()?).is_some() {
                        return Err(de::Error::custom("a member stands twice"));
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Walk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_may_have_several_arguments_or_none() {
        let parse = |text: &str| {
            let parsed = Command::parse(&Bytes::copy_from_slice(text.as_bytes()));
            parsed.map(|command| command.payload)
        };
        let Ok(Payload::Args { json, attachments }) =
            parse(r#"{"data":["a",{"$bin":"AQ=="}],"args":2}"#)
        else {
            panic!("not taken")
        };
        assert!(json.starts_with(b"[\"a\",") && attachments[..] == [&b"\x01"[..]]);
        assert!(parse(r#"{"data":[],"args":0}"#).is_ok());
        for bad in [
            r#"{"data":[1],"args":2}"#,
            r#"{"data":1,"args":1}"#,
            r#"{"data":[1],"args":"1"}"#,
            r#"{"data":[1],"args":-1}"#,
            r#"{"data":["a"],"args":1,"kind":"text"}"#,
            r#"{"data":[{"$bin":"?"}],"args":1}"#,
            r#"{"auth":"a","args":1}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_frame_that_shows_a_token_asks_for_nothing_else_and_does_not_show_it_again() {
        let parse = |text: &str| Request::parse(&Bytes::copy_from_slice(text.as_bytes()));
        let Ok(Request::Auth(auth)) = parse(r#"{"auth":"eyJ.x.y","ref":7}"#) else {
            panic!("not taken")
        };
        assert!(auth.token == "eyJ.x.y" && !format!("{auth:?}").contains("eyJ"));
        for bad in [
            r#"{"auth":5}"#,
            r#"{"auth":"a","data":1}"#,
            r#"{"auth":"a","auth":"a"}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
