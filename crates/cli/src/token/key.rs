//! `fanwire token key`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use fanwire::tokens::{self, KeyPair};

use crate::failure::Failure;
use crate::output::print;

/// Make a key for tokens, or an API key
///
/// Prints it with the lines of the configuration that belong to it. Of a key
/// pair the private half goes to OUT.key.pem, which only its owner may read, and
/// the public one, which the server needs, to OUT.pub.pem; no file is written
/// over.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire token key secret
  fanwire token key ed25519 --out backend --name backend
  fanwire token key api --name ops")]
pub(crate) struct Key {
    /// What for
    #[arg(value_enum)]
    kind: Kind,
    /// Its name in the configuration
    #[arg(long, default_value = "backend", value_parser = name)]
    name: String,
    /// Where a key pair goes: OUT.key.pem and OUT.pub.pem
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// A secret for tokens: HS256, HS384, HS512
    Secret,
    /// A key pair for tokens: EdDSA
    Ed25519,
    /// A key pair for tokens: ES256
    P256,
    /// A key pair for tokens: ES384
    P384,
    /// A key pair for tokens: RS256 to RS512, PS256 to PS512
    Rsa,
    /// An API key, with its hash for the configuration
    Api,
}

/// Makes.
pub(crate) fn run(args: &Key) -> Result<(), Failure> {
    let name = &args.name;
    let pair = match args.kind {
        Kind::Secret => {
            let secret = tokens::secret().map_err(Failure::new)?;
            return print(format!("[issuers.{name}]\nsecret = \"{secret}\"\n").as_bytes());
        }
        Kind::Api => {
            let key = tokens::api_key().map_err(Failure::new)?;
            let hash = tokens::hashed(&key);
            let text = format!(
                "# For whoever sends it (Authorization: Bearer …); it is written down nowhere else:\n\
                 # {key}\n\
                 # For the server:\n\
                 [access.api_keys]\n{name} = \"{hash}\"\n"
            );
            return print(text.as_bytes());
        }
        Kind::Ed25519 => tokens::Kind::Ed25519,
        Kind::P256 => tokens::Kind::P256,
        Kind::P384 => tokens::Kind::P384,
        Kind::Rsa => tokens::Kind::Rsa,
    };
    let out = args.out.as_ref().ok_or_else(|| {
        Failure::new("say where the key pair goes: --out NAME writes NAME.key.pem and NAME.pub.pem")
    })?;
    let with = |end: &str| {
        let mut path = out.clone().into_os_string();
        path.push(end);
        PathBuf::from(path)
    };
    let (private, public) = (with(".key.pem"), with(".pub.pem"));
    if let Some(there) = [&private, &public].into_iter().find(|path| path.exists()) {
        let why = "is there already; nothing was written";
        return Err(Failure::new(format_args!("{} {why}", there.display())));
    }
    let pair = KeyPair::new(pair).map_err(Failure::new)?;
    write(&private, &pair.private, 0o600)?;
    write(&public, &pair.public, 0o644)?;
    let shown = public.display();
    let text = format!(
        "# For whoever makes tokens: {}\n\
         # For the server:\n\
         [issuers.{name}]\npublic_keys = {:?}\n",
        private.display(),
        shown.to_string()
    );
    print(text.as_bytes())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::new(format_args!("cannot write {}: {error}", path.display())))
}

/// A name that needs no quotes in TOML.
fn name(text: &str) -> Result<String, String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    match !text.is_empty() && text.len() <= 64 && text.bytes().all(legal) {
        true => Ok(text.to_owned()),
        false => Err("a name is 1 to 64 of A-Z a-z 0-9 _ -".to_owned()),
    }
}
