//! Tokens and keys from the other side of the door: making them, and saying what
//! a token comes to here. Whether one is taken is asked of the door itself
//! ([`judge`]); there is no second verifier.

mod explain;
mod generate;
mod judge;
mod make;
#[cfg(test)]
mod tests;
mod time;

pub use explain::{Explained, Granted, Said, explain};
pub use generate::{KeyPair, Kind, api_key, hashed, secret};
pub use judge::{Asked, Taken, Verdict, judge};
pub use make::{Alg, SigningKey, Token};
pub use time::utc;
