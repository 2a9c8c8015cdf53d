//! `fanwire check-config`.

use std::path::PathBuf;

use clap::Args;
use fanwire::Config;

use crate::failure::Failure;
use crate::output::print;
use crate::settings::Settings;

/// Tell everything that is wrong with a configuration
///
/// Reads the file as `serve --config` does, with the same flags and variables
/// over it, and starts nothing. Ends with 0 where it can be served, else with 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire check-config fanwire.toml
  fanwire check-config fanwire.toml --show
  fanwire default-config > fanwire.toml")]
pub(crate) struct CheckConfig {
    /// The file; without it, the flags and variables alone are checked
    #[arg(env = "FANWIRE_CONFIG", hide_env_values = true)]
    file: Option<PathBuf>,
    /// Print every setting in force; secrets are left out
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Checks.
pub(crate) fn run(args: CheckConfig) -> Result<(), Failure> {
    let config = args.settings.load(args.file.as_deref())?;
    if !args.show {
        return print(b"the configuration is fine\n");
    }
    let mut out = String::new();
    for setting in Config::settings() {
        out.push_str(&format!("{} = {}\n", setting.key, (setting.get)(&config)));
    }
    print(out.as_bytes())
}
