//! `fanwire default-config`.

use crate::failure::Failure;
use crate::output::print;

/// Prints the annotated default file.
pub(crate) fn run() -> Result<(), Failure> {
    print(fanwire::Config::default_toml().as_bytes())
}
