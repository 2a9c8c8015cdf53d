//! From Rust's values to arguments and back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{Args, Builder, InvalidArgs, Json, binary_in};
use super::refusal::Rejected;

/// What can be one argument: texts, numbers, booleans, [`serde_json::Value`],
/// [`Bytes`], and [`Json`] of anything else.
pub trait IntoArg {
    /// Adds it.
    ///
    /// # Errors
    /// Where it cannot be sent.
    fn add(self, to: &mut Builder) -> Result<(), InvalidArgs>;
}

/// What can be all arguments: nothing (`()`), one argument, or a tuple of them.
pub trait IntoArgs {
    /// Makes arguments of it.
    ///
    /// # Errors
    /// Where it cannot be sent.
    fn into_args(self) -> Result<Args, InvalidArgs>;
}

/// What one argument can be read as.
pub trait FromArg: Sized {
    /// Reads one argument.
    ///
    /// # Errors
    /// Where it is something else.
    fn read(value: &str, attachments: &[Bytes]) -> Result<Self, InvalidArgs>;
}

/// What all arguments can be read as: [`Args`] as they are, nothing, one, or a
/// tuple.
pub trait FromArgs: Sized {
    /// Reads them.
    ///
    /// # Errors
    /// Where they are something else, more or fewer.
    fn from_args(args: Args) -> Result<Self, InvalidArgs>;
}

/// What a handler answers, where the client asked for an acknowledgement.
#[derive(Debug)]
pub enum Reply {
    /// It gets none.
    None,
    /// It gets this.
    Ack(Args),
    /// It gets `{"code","message"}`; where it did not ask, a `$error` event says so.
    Rejected(Rejected),
}

/// What a handler may return: nothing, which acknowledges without arguments;
/// arguments; an `Option`, where `None` acknowledges nothing; a `Result`.
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

impl<T: DeserializeOwned> FromArg for Json<T> {
    fn read(value: &str, _: &[Bytes]) -> Result<Self, InvalidArgs> {
        let parsed = serde_json::from_str(value);
        parsed
            .map(Json)
            .map_err(|why| InvalidArgs(why.to_string().into()))
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
    i32,
    i64,
    u32,
    u64,
    usize,
    f64,
    serde_json::Value
);

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
    i32,
    i64,
    u32,
    u64,
    usize,
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
    String,
    bool,
    i32,
    i64,
    u32,
    u64,
    usize,
    f64,
    serde_json::Value,
    Bytes
);

macro_rules! read_alone {
    ($($type:ty),*) => {$(
        impl FromArgs for $type {
            fn from_args(args: Args) -> Result<Self, InvalidArgs> {
                <($type,)>::from_args(args).map(|(one,)| one)
            }
        }
    )*};
}
read_alone!(
    String,
    bool,
    i32,
    i64,
    u32,
    u64,
    usize,
    f64,
    serde_json::Value,
    Bytes
);

impl<T: Serialize> IntoArgs for Json<T> {
    fn into_args(self) -> Result<Args, InvalidArgs> {
        (self,).into_args()
    }
}

impl<T: DeserializeOwned> FromArgs for Json<T> {
    fn from_args(args: Args) -> Result<Self, InvalidArgs> {
        <(Self,)>::from_args(args).map(|(one,)| one)
    }
}

impl IntoArgs for Args {
    fn into_args(self) -> Result<Args, InvalidArgs> {
        Ok(self)
    }
}

impl FromArgs for Args {
    fn from_args(args: Args) -> Result<Self, InvalidArgs> {
        Ok(args)
    }
}

impl IntoArgs for () {
    fn into_args(self) -> Result<Args, InvalidArgs> {
        Ok(Args::default())
    }
}

/// Whatever came: a handler that takes nothing is not in the way of a client that
/// says more.
impl FromArgs for () {
    fn from_args(_: Args) -> Result<Self, InvalidArgs> {
        Ok(())
    }
}

macro_rules! tuples {
    ($count:literal: $($name:ident $at:tt),*) => {
        impl<$($name: IntoArg),*> IntoArgs for ($($name,)*) {
            fn into_args(self) -> Result<Args, InvalidArgs> {
                let mut builder = Builder::new();
                $(self.$at.add(&mut builder)?;)*
                Ok(builder.finish())
            }
        }

        impl<$($name: FromArg),*> FromArgs for ($($name,)*) {
            fn from_args(args: Args) -> Result<Self, InvalidArgs> {
                let values = args.values();
                if values.len() != $count {
                    let why = concat!("the event takes ", $count, " arguments");
                    return Err(InvalidArgs::new(why));
                }
                Ok(($($name::read(values[$at], args.attachments())?,)*))
            }
        }
    };
}
tuples!(1: A 0);
tuples!(2: A 0, B 1);
tuples!(3: A 0, B 1, C 2);
tuples!(4: A 0, B 1, C 2, D 3);

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
        let back = <(String, u32, Bytes)>::from_args(args.clone()).unwrap();
        assert_eq!(back, ("a".to_owned(), 7, bytes));
        assert!(<(String, u32)>::from_args(args.clone()).is_err());
        assert!(<(u32, u32, Bytes)>::from_args(args).is_err());
        assert_eq!(().into_args().unwrap().json(), "[]");
        let list = Json(vec![1, 2]).into_args().unwrap();
        assert_eq!(list.json(), "[[1,2]]");
        assert_eq!(Json::<Vec<u8>>::from_args(list).unwrap().0, [1, 2]);
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
