//! Installs a peer's server.

use std::path::Path;

use super::server::Words;
use crate::adapter::Adapter;
use crate::error::{Error, Result};

/// Runs the commands that install an adapter's server, in its folder.
///
/// # Errors
/// One of them failed.
pub(crate) fn install(adapter: &Adapter, this: &[String]) -> Result<()> {
    let commands = adapter.server.iter().flat_map(|launch| &launch.install);
    let words = Words::new(adapter, this, 0, Path::new(""))?;
    let mut count = 0;
    for one in commands {
        count += 1;
        let mut command = words.command(one, adapter)?;
        println!("{}", one.join(" "));
        let status = command
            .status()
            .map_err(|error| Error::from(error).doing(one.join(" ")))?;
        if !status.success() {
            return Err(Error::new(format_args!("{}: {status}", one.join(" "))));
        }
    }
    if count == 0 {
        println!(
            "{} needs nothing to be installed by this command",
            adapter.name
        );
    }
    Ok(())
}
