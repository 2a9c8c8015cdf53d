//! `fanwire token explain`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use fanwire::tokens::{Explained, Said, Taken, Verdict, explain};

use super::{configured, judged, now, read};
use crate::failure::Failure;
use crate::output::print;

/// Say what a token grants and whether a server would take it
///
/// Tells every claim, what is missing and what is wrong; with --config also what
/// that server would answer, by its own code, and what it allows on a channel.
/// Neither the signature nor a secret is printed. Ends with 1 where the token is
/// wrong or would be refused.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire token explain < token.txt
  fanwire token explain eyJhbGciOi… --config fanwire.toml --channel news")]
pub(crate) struct Explain {
    /// The token; without it, stdin is read
    token: Option<String>,
    /// The server's configuration
    #[arg(
        long,
        value_name = "FILE",
        env = "FANWIRE_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// What its bearer may do on this channel; may be repeated
    #[arg(long = "channel", value_name = "CHANNEL", requires = "config")]
    channels: Vec<String>,
}

/// Explains.
pub(crate) fn run(args: &Explain) -> Result<(), Failure> {
    let text = match &args.token {
        Some(token) => token.clone(),
        None => String::from_utf8(read(Path::new("-"))?)
            .map_err(|_| Failure::new("this is not a token"))?,
    };
    let token = text.trim();
    // As it stands in a request that somebody copied.
    let token = token.strip_prefix("Authorization:").unwrap_or(token).trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    let config = args.config.as_deref().map(configured).transpose()?;
    let explained = explain(token, now()).map_err(Failure::new)?;
    let mut out = written(&explained);
    let verdict = match &config {
        Some(config) => Some(judged(config, token, &args.channels)?),
        None => None,
    };
    match &verdict {
        None => {}
        Some(Verdict::Taken(taken)) => tell(&mut out, taken),
        Some(Verdict::Refused { code, why }) => {
            let _ = writeln!(out, "\nserver\n  refuses it ({code}): {why}");
        }
    }
    print(out.as_bytes())?;
    let refused = matches!(verdict, Some(Verdict::Refused { .. }));
    match refused || (verdict.is_none() && explained.is_wrong()) {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}

fn written(explained: &Explained) -> String {
    let mut out = String::new();
    section(&mut out, "head", &explained.head);
    section(&mut out, "claims", &explained.claims);
    if !explained.missing.is_empty() {
        section(&mut out, "missing", &explained.missing);
    }
    out.push_str("\ngrants\n");
    if explained.grants.is_empty() {
        out.push_str("  nothing by itself\n");
    }
    for one in &explained.grants {
        let _ = writeln!(out, "  {:<30} {}", one.pattern, one.rights.join(", "));
    }
    out
}

fn section(out: &mut String, title: &str, all: &[Said]) {
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{title}");
    for said in all {
        let mark = if said.wrong { "WRONG: " } else { "" };
        let line = format!("  {:<9} {}", said.name, said.value);
        let _ = match said.note.is_empty() {
            true => writeln!(out, "{}", line.trim_end()),
            false => writeln!(out, "{:<44}  {mark}{}", line.trim_end(), said.note),
        };
    }
}

fn tell(out: &mut String, taken: &Taken) {
    let by = taken.iss.as_ref().map(|iss| format!(" of {iss:?}"));
    let by = by.unwrap_or_default();
    let _ = writeln!(out, "\nserver\n  takes it, as {:?}{by}", taken.sub);
    for one in &taken.asked {
        for (what, may) in [
            ("listen to", &one.subscribe),
            ("read the past of", &one.history),
            ("publish to", &one.publish),
        ] {
            let _ = match may {
                Ok(()) => writeln!(out, "  may {what} {:?}", one.channel),
                Err(why) => writeln!(out, "  may not {what} {:?}: {why}", one.channel),
            };
        }
    }
}
