//! What an event carries.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use fanwire_core::message::Body;
use fanwire_proto::native::args::write_surface;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::convert::FromArg;
use super::place;

/// Binary arguments of one event; stock clients take no more.
const MAX_BINARY: usize = 10;

/// The arguments of an event or of an acknowledgement: JSON values, with binary
/// anywhere inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Args {
    /// A JSON array, in which `{"_placeholder":true,"num":n}` stands for the n-th
    /// attachment.
    array: Bytes,
    attachments: Vec<Bytes>,
}

/// Arguments that are not what was asked for, or cannot be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidArgs {
    /// A sentence that says why.
    pub why: Cow<'static, str>,
    /// The place of what is wrong: `args[0].name`; none where nothing is wrong with
    /// one of them alone.
    pub at: Option<String>,
}

/// One argument of any type that serde knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Json<T>(pub T);

/// Arguments that are put together.
#[derive(Debug)]
pub struct Builder {
    array: Vec<u8>,
    attachments: Vec<Bytes>,
}

impl fmt::Display for InvalidArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        match &self.at {
            Some(at) => write!(f, " ({at})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for InvalidArgs {}

impl InvalidArgs {
    /// A sentence that says why.
    pub fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            why: why.into(),
            at: None,
        }
    }

    /// The same, with the place of what is wrong. Within an argument
    /// ([`FromArg`](crate::FromArg)) it is that from the argument on: `.name`, `[3]`.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.at = Some(place.into());
        self
    }

    /// Wrong within what stands here.
    pub(super) fn within(mut self, place: &str) -> Self {
        let rest = self.at.as_deref().unwrap_or_default();
        self.at = Some(format!("{place}{rest}"));
        self
    }
}

impl Default for Args {
    fn default() -> Self {
        Self {
            array: Bytes::from_static(b"[]"),
            attachments: Vec::new(),
        }
    }
}

impl Args {
    /// What a client sent: the elements of an array that was checked, and what its
    /// placeholders stand for. Copied, so that nothing keeps the frame.
    pub(crate) fn received(elements: &str, attachments: Vec<Bytes>) -> Self {
        let mut array = Vec::with_capacity(elements.len() + 2);
        array.push(b'[');
        array.extend_from_slice(elements.as_bytes());
        array.push(b']');
        Self {
            array: array.into(),
            attachments,
        }
    }

    /// The JSON array. Binary is `{"_placeholder":true,"num":n}`.
    pub fn json(&self) -> &str {
        // Made of JSON alone, in both ways.
        std::str::from_utf8(&self.array).unwrap_or("[]")
    }

    /// The binary parts, by the number of their placeholder.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.values().len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.json()
            .trim_matches(['[', ']', ' ', '\t', '\r', '\n'])
            .is_empty()
    }

    /// Bytes of all of it.
    pub fn size(&self) -> usize {
        self.array.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Each argument as JSON text.
    pub fn values(&self) -> Vec<&str> {
        serde_json::from_slice::<Vec<&RawValue>>(&self.array)
            .unwrap_or_default()
            .into_iter()
            .map(RawValue::get)
            .collect()
    }

    /// One argument as JSON text.
    pub fn get(&self, number: usize) -> Option<&str> {
        self.values().get(number).copied()
    }

    /// One argument that is binary.
    pub fn binary(&self, number: usize) -> Option<Bytes> {
        binary_in(self.get(number)?, &self.attachments)
    }

    /// All arguments, as a tuple or another sequence: `args.parse::<(String, u32)>()`.
    ///
    /// # Errors
    /// Where they are of other types, more or fewer; with the place of what is wrong.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, InvalidArgs> {
        place::read(self.json()).map_err(|why| why.within("args"))
    }

    /// One argument as a type of yours: `args.read::<String>(0)`.
    ///
    /// # Errors
    /// Where it is missing, or of another type.
    pub fn read<T: FromArg>(&self, number: usize) -> Result<T, InvalidArgs> {
        self.read_at(number, self.places().get(number).cloned())
    }

    /// The same, where it is known where that argument stands.
    pub(super) fn read_at<T: FromArg>(
        &self,
        number: usize,
        place: Option<Range<usize>>,
    ) -> Result<T, InvalidArgs> {
        let value = place.and_then(|place| self.json().get(place));
        let read = match value {
            Some(value) => T::read(value, &self.attachments),
            None => T::missing(),
        };
        read.map_err(|why| why.within(&format!("args[{number}]")))
    }

    /// Where each argument stands in the array.
    pub(super) fn places(&self) -> Vec<Range<usize>> {
        let begin = self.array.as_ptr().addr();
        let place = |value: &str| {
            let at = value.as_ptr().addr() - begin;
            at..at + value.len()
        };
        self.values().into_iter().map(place).collect()
    }

    /// What a message carries: one argument, or several.
    pub(crate) fn of_body(body: Body) -> Self {
        let mut builder = Builder::new();
        let one = match body {
            Body::Args { json, attachments } => {
                return Self {
                    array: json,
                    attachments,
                };
            }
            // Checked as it came.
            Body::Json(bytes) => {
                return Self::received(std::str::from_utf8(&bytes).unwrap_or("null"), Vec::new());
            }
            Body::Text(bytes) => builder.json(&String::from_utf8_lossy(&bytes)),
            Body::Binary(bytes) => builder.binary(bytes),
        };
        // A text can be written as JSON, and one attachment is not too many.
        one.map_or_else(|_| Self::default(), |()| builder.finish())
    }

    /// The same as one JSON value, binary as `{"$bin":"<base64>"}`: the argument;
    /// all of several as an array; none as `null`.
    pub(crate) fn to_value(&self) -> String {
        let values = self.values();
        let value = match values.as_slice() {
            [] => "null",
            [one] => one,
            _ => self.json(),
        };
        let mut text = Vec::with_capacity(value.len());
        write_surface(&mut text, value.as_bytes(), &self.attachments);
        // Made of JSON alone.
        String::from_utf8(text).unwrap_or_else(|_| "null".to_owned())
    }

    /// What is published: one argument is plain JSON, text or binary, as `POST`
    /// would have published it; several are kept as they are.
    pub(crate) fn into_body(self) -> Body {
        let values = self.values();
        if let [one] = values.as_slice() {
            if self.attachments.is_empty() {
                return match serde_json::from_str::<Cow<'_, str>>(one) {
                    Ok(text) => Body::Text(Bytes::copy_from_slice(text.as_bytes())),
                    Err(_) => Body::Json(Bytes::copy_from_slice(one.as_bytes())),
                };
            }
            if self.attachments.len() == 1
                && let Some(bytes) = binary_in(one, &self.attachments)
            {
                return Body::Binary(bytes);
            }
        }
        Body::Args {
            json: self.array,
            attachments: self.attachments,
        }
    }
}

/// The attachment that a value stands for, where it is a placeholder.
pub(super) fn binary_in(value: &str, attachments: &[Bytes]) -> Option<Bytes> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Placeholder {
        #[serde(rename = "_placeholder")]
        marked: bool,
        num: usize,
    }
    let placeholder: Placeholder = serde_json::from_str(value).ok()?;
    let bytes = attachments.get(placeholder.num)?;
    placeholder.marked.then(|| bytes.clone())
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            array: vec![b'['],
            attachments: Vec::new(),
        }
    }

    /// Adds an argument that serde knows.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), InvalidArgs> {
        self.comma();
        serde_json::to_writer(&mut self.array, value)
            .map_err(|why| InvalidArgs::new(why.to_string()))
    }

    /// Adds a binary argument.
    ///
    /// # Errors
    /// With more than 10 of them.
    pub fn binary(&mut self, bytes: Bytes) -> Result<(), InvalidArgs> {
        if self.attachments.len() >= MAX_BINARY {
            return Err(InvalidArgs::new("at most 10 binary arguments"));
        }
        self.comma();
        let mark = format!(
            "{{\"_placeholder\":true,\"num\":{}}}",
            self.attachments.len()
        );
        self.array.extend_from_slice(mark.as_bytes());
        self.attachments.push(bytes);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Args {
        self.array.push(b']');
        Args {
            array: self.array.into(),
            attachments: self.attachments,
        }
    }

    fn comma(&mut self) {
        if self.array.len() > 1 {
            self.array.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn received(elements: &str, attachments: &[&'static [u8]]) -> Args {
        let attachments = attachments.iter().map(|a| Bytes::from_static(a)).collect();
        Args::received(elements, attachments)
    }

    const MARK: &str = r#"{"_placeholder":true,"num":0}"#;

    #[test]
    fn one_argument_is_published_as_a_post_would_and_several_as_they_are() {
        let body = |elements: &str| received(elements, &[]).into_body();
        assert_eq!(body(r#""a\"b""#), Body::Text(Bytes::from_static(b"a\"b")));
        assert_eq!(
            body("{\"a\": 1}"),
            Body::Json(Bytes::from_static(b"{\"a\": 1}"))
        );
        let lone = r#""\ud800""#;
        assert_eq!(body(lone), Body::Json(Bytes::from_static(lone.as_bytes())));
        let one = received(MARK, &[b"\x00\xff"]).into_body();
        assert_eq!(one, Body::Binary(Bytes::from_static(b"\x00\xff")));
        assert!(matches!(body("1,2"), Body::Args { .. }));
        assert!(matches!(body(""), Body::Args { .. }));
        let nested = format!("[{MARK}]");
        assert!(matches!(
            received(&nested, &[b"x"]).into_body(),
            Body::Args { .. }
        ));
    }

    #[test]
    fn what_was_published_is_arguments_and_they_are_one_value() {
        let value = |body: Body| Args::of_body(body).to_value();
        let bytes = Bytes::from_static;
        assert_eq!(value(Body::Text(bytes(b"a\"b"))), r#""a\"b""#);
        assert_eq!(value(Body::Json(bytes(b"[1, 2]"))), "[1, 2]");
        assert_eq!(value(Body::Binary(bytes(b"\x01"))), r#"{"$bin":"AQ=="}"#);
        let several = received(&format!("1,{MARK}"), &[b"\x01"]);
        let Body::Args { json, attachments } = several.clone().into_body() else {
            panic!("one argument")
        };
        assert_eq!(Args::of_body(Body::Args { json, attachments }), several);
        assert_eq!(several.to_value(), r#"[1,{"$bin":"AQ=="}]"#);
        assert_eq!(received("", &[]).to_value(), "null");
    }

    #[test]
    fn arguments_are_taken_apart_and_parsed() {
        let args = received(&format!("\"a,b\", [1,2] ,{MARK}"), &[b"bin"]);
        assert_eq!(args.len(), 3);
        assert_eq!(args.get(1), Some("[1,2]"));
        assert_eq!(args.binary(2), Some(Bytes::from_static(b"bin")));
        assert_eq!(args.binary(0), None);
        let numbers = received("\"x\",7", &[]);
        assert_eq!(numbers.parse::<(String, u32)>().unwrap(), ("x".into(), 7));
        assert!(numbers.parse::<(String,)>().is_err());
        assert!(received("", &[]).is_empty() && !numbers.is_empty());
    }
}
