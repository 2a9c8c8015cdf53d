//! What an application shares with all its handlers, and what they ask for.

use std::any::{Any, TypeId, type_name};
use std::error::Error;
use std::fmt;

use hashbrown::HashMap;

/// Values of an application, one of each type.
#[allow(unreachable_pub)] // Of a sealed trait that is public.
#[derive(Default)]
pub struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

/// What a handler asks for that is not with its client: gathered as it is registered,
/// so that a server which lacks it does not start.
#[derive(Debug, Default)]
pub struct Needs(Vec<Need>);

/// One state that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    of: TypeId,
    name: &'static str,
}

/// What keeps an application from being served: handlers that ask for states which
/// nobody gave, and such as are never called. A line each, with its namespace and event.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Unready(String);

impl States {
    pub(super) fn set<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(value));
    }

    pub(super) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl Needs {
    /// Asks for the state of this type ([`State`](crate::State)).
    pub fn state<T: 'static>(&mut self) {
        self.0.push(Need {
            of: TypeId::of::<T>(),
            name: type_name::<T>(),
        });
    }

    pub(super) fn of(ask: fn(&mut Self)) -> Self {
        let mut needs = Self::default();
        ask(&mut needs);
        needs
    }

    /// Those that are not there.
    pub(super) fn missing(&self, states: &States) -> impl Iterator<Item = &'static str> {
        let there = |need: &&Need| states.0.contains_key(&need.of);
        self.0
            .iter()
            .filter(move |need| !there(need))
            .map(|need| need.name)
    }
}

impl Unready {
    /// An error, where there are lines of it.
    pub(super) fn among(lines: &[String]) -> Result<(), Self> {
        match lines {
            [] => Ok(()),
            lines => Err(Self(lines.join("\n"))),
        }
    }
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lines as they are: `main` shows an error so.
impl fmt::Debug for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unready {}
