//! From Rust's values to arguments and back.

use bytes::Bytes;
use fanwire_core::key::SocketId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{Args, Builder, InvalidArgs, Json, binary_in};
use super::place;
use super::refusal::Rejected;

/// What can be one argument: texts, numbers, booleans, [`serde_json::Value`],
/// [`Bytes`], a [`SocketId`], an `Option` of those, which is `null` where it is none, and
/// [`Json`] of anything else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument of an event",
    label = "cannot be sent as one argument",
    note = "`Json(…)` of it can, where it is `serde::Serialize`; binary is `Bytes`"
)]
pub trait IntoArg {
    /// Adds it.
    ///
    /// # Errors
    /// Where it cannot be sent.
    fn add(self, to: &mut Builder) -> Result<(), InvalidArgs>;
}

/// What can be all arguments: nothing (`()`), one argument, or a tuple of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of an event",
    label = "cannot be sent",
    note = "arguments are `()`, one argument, or a tuple of at most 8: texts, numbers, `bool`, \
            `serde_json::Value`, `SocketId`; `Json(…)` of anything that is `serde::Serialize`, also of a list; \
            `Bytes` for binary (`Bytes::from(vec)`)"
)]
pub trait IntoArgs {
    /// Makes arguments of it.
    ///
    /// # Errors
    /// Where it cannot be sent.
    fn into_args(self) -> Result<Args, InvalidArgs>;
}

/// What one argument can be read as: texts, numbers, booleans, [`serde_json::Value`],
/// [`Bytes`], [`Json`] of anything else, and an `Option` of those, which is none where
/// the argument is `null` or missing.
///
/// ```
/// use bytes::Bytes;
/// use fanwire::{FromArg, InvalidArgs};
///
/// /// A name of 1 to 20 letters.
/// struct Name(String);
///
/// impl FromArg for Name {
///     fn read(value: &str, attachments: &[Bytes]) -> Result<Self, InvalidArgs> {
///         let name = String::read(value, attachments)?;
///         match name.chars().count() {
///             1..=20 => Ok(Self(name)),
///             _ => Err(InvalidArgs::new("a name has 1 to 20 letters")),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from an argument of an event",
    note = "`Json<{Self}>` can, where it is `serde::Deserialize`"
)]
pub trait FromArg: Sized {
    /// Reads one argument: JSON text, in which `{"_placeholder":true,"num":n}` stands
    /// for the n-th attachment.
    ///
    /// # Errors
    /// Where it is something else.
    fn read(value: &str, attachments: &[Bytes]) -> Result<Self, InvalidArgs>;

    /// What it is where there is no such argument.
    ///
    /// # Errors
    /// Where there must be one, as nothing else is said.
    fn missing() -> Result<Self, InvalidArgs> {
        Err(InvalidArgs::new("an argument is missing"))
    }
}

/// What a handler answers, where the client asked for an acknowledgement.
#[derive(Debug)]
#[must_use = "the client gets what is returned"]
pub enum Reply {
    /// It gets none.
    None,
    /// It gets this.
    Ack(Args),
    /// It gets `{"code","message"}`; where it did not ask, a `$error` event says so.
    Rejected(Rejected),
}

/// What a handler may return: nothing, which acknowledges without arguments;
/// arguments; an `Option`, where `None` acknowledges nothing; a [`Reply`]; a `Result`
/// of those, whose error is a [`Rejected`] or becomes one (`impl From<E> for Rejected`).
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "is no answer to an event",
    note = "a handler returns `()`, arguments (`Json(…)` of anything that is `serde::Serialize`), an `Option` of \
            them, or a `Result` of them whose error is `Rejected` or has `impl From<E> for Rejected`"
)]
pub trait IntoReply {
    /// Makes a reply of it.
    fn into_reply(self) -> Reply;
}

impl<T: Serialize> IntoArg for Json<T> {
    fn add(self, to: &mut Builder) -> Result<(), InvalidArgs> {
        to.json(&self.0)
    }
}

impl IntoArg for Bytes {
    fn add(self, to: &mut Builder) -> Result<(), InvalidArgs> {
        to.binary(self)
    }
}

/// `null` where it is none.
impl<T: IntoArg> IntoArg for Option<T> {
    fn add(self, to: &mut Builder) -> Result<(), InvalidArgs> {
        match self {
            Some(value) => value.add(to),
            None => to.json(&()),
        }
    }
}

impl<T: DeserializeOwned> FromArg for Json<T> {
    fn read(value: &str, attachments: &[Bytes]) -> Result<Self, InvalidArgs> {
        let read = place::read(value).map(Json);
        read.map_err(|why| match binary_in(value, attachments) {
            Some(_) => InvalidArgs::new("this is binary, and JSON is needed"),
            None => why,
        })
    }
}

impl<T: FromArg> FromArg for Option<T> {
    fn read(value: &str, attachments: &[Bytes]) -> Result<Self, InvalidArgs> {
        match value {
            "null" => Ok(None),
            value => T::read(value, attachments).map(Some),
        }
    }

    fn missing() -> Result<Self, InvalidArgs> {
        Ok(None)
    }
}

impl FromArg for Bytes {
    fn read(value: &str, attachments: &[Bytes]) -> Result<Self, InvalidArgs> {
        binary_in(value, attachments).ok_or(InvalidArgs::new("a binary argument is needed"))
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl IntoArg for $type {
            fn add(self, to: &mut Builder) -> Result<(), InvalidArgs> {
                to.json(&self)
            }
        }
    )*};
}
plain!(
    &str,
    String,
    bool,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64,
    serde_json::Value
);

macro_rules! named {
    ($($type:ty),*) => {$(
        impl IntoArg for $type {
            fn add(self, to: &mut Builder) -> Result<(), InvalidArgs> {
                to.json(self.as_str())
            }
        }
    )*};
}
named!(&String, SocketId, &SocketId);

macro_rules! readable {
    ($($type:ty),*) => {$(
        impl FromArg for $type {
            fn read(value: &str, attachments: &[Bytes]) -> Result<Self, InvalidArgs> {
                <Json<$type> as FromArg>::read(value, attachments).map(|json| json.0)
            }
        }
    )*};
}
readable!(
    String,
    bool,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64,
    serde_json::Value
);

macro_rules! alone {
    ($($type:ty),*) => {$(
        impl IntoArgs for $type {
            fn into_args(self) -> Result<Args, InvalidArgs> {
                (self,).into_args()
            }
        }
    )*};
}
alone!(
    &str,
    &String,
    SocketId,
    &SocketId,
    String,
    bool,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64,
    serde_json::Value,
    Bytes
);

impl<T: Serialize> IntoArgs for Json<T> {
    fn into_args(self) -> Result<Args, InvalidArgs> {
        (self,).into_args()
    }
}

impl IntoArgs for Args {
    fn into_args(self) -> Result<Args, InvalidArgs> {
        Ok(self)
    }
}

impl IntoArgs for () {
    fn into_args(self) -> Result<Args, InvalidArgs> {
        Ok(Args::default())
    }
}

macro_rules! tuples {
    ($($name:ident $at:tt),*) => {
        impl<$($name: IntoArg),*> IntoArgs for ($($name,)*) {
            fn into_args(self) -> Result<Args, InvalidArgs> {
                let mut builder = Builder::new();
                $(self.$at.add(&mut builder)?;)*
                Ok(builder.finish())
            }
        }
    };
}
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl<E: Into<Rejected>> IntoReply for Result<Reply, E> {
    fn into_reply(self) -> Reply {
        self.unwrap_or_else(|why| Reply::Rejected(why.into()))
    }
}

impl<T: IntoArgs> IntoReply for T {
    fn into_reply(self) -> Reply {
        match self.into_args() {
            Ok(args) => Reply::Ack(args),
            Err(why) => Reply::Rejected(Rejected::new("internal", why.to_string())),
        }
    }
}

impl<T: IntoArgs> IntoReply for Option<T> {
    fn into_reply(self) -> Reply {
        self.map_or(Reply::None, IntoReply::into_reply)
    }
}

impl<T: IntoArgs, E: Into<Rejected>> IntoReply for Result<T, E> {
    fn into_reply(self) -> Reply {
        match self {
            Ok(value) => value.into_reply(),
            Err(why) => Reply::Rejected(why.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tuples_are_arguments_in_both_directions() {
        let bytes = Bytes::from_static(b"\x01");
        let args = ("a", 7u32, bytes.clone()).into_args().unwrap();
        assert_eq!(args.json(), r#"["a",7,{"_placeholder":true,"num":0}]"#);
        assert_eq!(args.read(0), Ok("a".to_owned()));
        assert_eq!((args.read(1), args.read(2)), (Ok(7), Ok(bytes)));
        assert_eq!(().into_args().unwrap().json(), "[]");
        let list = Json(vec![1, 2]).into_args().unwrap();
        assert_eq!(list.json(), "[[1,2]]");
        assert_eq!(list.read(0), Ok(Json(vec![1, 2])));
    }

    #[test]
    fn what_is_missing_is_none_where_that_may_be_and_else_has_its_place() {
        let args = (7, Json(None::<u32>)).into_args().unwrap();
        let read = |number| args.read::<Option<u32>>(number);
        assert_eq!(
            (read(0), read(1), read(2)),
            (Ok(Some(7)), Ok(None), Ok(None))
        );
        let why = args.read::<String>(2).unwrap_err();
        assert_eq!(why.at.as_deref(), Some("args[2]"));
    }

    #[test]
    fn names_of_sockets_are_texts_and_none_is_null() {
        let (id, text) = (SocketId::new("abc"), "x".to_owned());
        let args = (&id, &text, None::<u8>, Some(Bytes::new())).into_args();
        let json = r#"["abc","x",null,{"_placeholder":true,"num":0}]"#;
        assert_eq!(args.unwrap().json(), json);
        assert_eq!(id.into_args().unwrap().json(), r#"["abc"]"#);
    }

    #[test]
    fn binary_where_json_belongs_is_called_so() {
        let args = Bytes::from_static(b"x").into_args().unwrap();
        let why = args.read::<Json<Vec<u8>>>(0).unwrap_err();
        assert_eq!(
            why.to_string(),
            "this is binary, and JSON is needed (args[0])"
        );
    }

    #[test]
    fn eleven_binary_arguments_are_refused() {
        let mut builder = Builder::new();
        for _ in 0..10 {
            builder.binary(Bytes::new()).unwrap();
        }
        assert!(builder.binary(Bytes::new()).is_err());
    }
}
