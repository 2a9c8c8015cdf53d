//! What the commands print. `println!` panics where the reader of a pipe has
//! gone; these don't.

use std::fmt;
use std::io::{self, Write};

use crate::failure::Failure;

/// Writes to stdout and flushes.
///
/// # Errors
/// [`Failure::ClosedOutput`] where nobody reads any more.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// Says a line on stderr; where nobody reads that, it is lost.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
