//! `fanwire token make`.

use std::path::PathBuf;

use clap::Args;
use fanwire::config::TokenIssuer;
use fanwire::tokens::{Alg, SigningKey, Token, Verdict};
use serde_json::{Map, Value};

use super::{configured, judged, now, read};
use crate::failure::Failure;
use crate::output::{print, say};

/// Claims that a flag of their own sets.
const OWN_FLAG: [&str; 6] = ["sub", "iss", "aud", "exp", "iat", "fanwire"];

/// Sign a token
///
/// The key is a private key or a secret in a file (--key), or the secret of an
/// issuer of the server's configuration (--config), which then also says `iss`
/// and `aud`; stderr says where that server would refuse the token.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire token make --sub ada --subscribe 'news-*' --config fanwire.toml
  fanwire token make --sub ada --subscribe '*:*' --publish 'chat:*' --ttl 8h --key ada.key.pem --kid main
  FANWIRE_TOKEN=$(fanwire token make --sub ada --subscribe news --key secret.txt) fanwire sub news")]
pub(crate) struct Make {
    /// Whose it is: 1 to 255 bytes
    #[arg(long, value_name = "TEXT")]
    sub: String,
    /// A file with the key: a private key in PEM, or a secret of 32 bytes and more; - is stdin
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    key: Option<PathBuf>,
    /// The server's configuration, for the issuer's secret, `iss` and `aud`
    #[arg(
        long,
        value_name = "FILE",
        env = "FANWIRE_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Which issuer of the configuration, by its name there
    #[arg(long, value_name = "NAME", requires = "config")]
    issuer: Option<String>,
    /// HS256, RS256, PS256, ES256, EdDSA …; by the kind of key where it is left out
    #[arg(long, value_name = "ALG")]
    alg: Option<String>,
    /// The key's name, for the token's head
    #[arg(long)]
    kid: Option<String>,
    /// How long it lasts: 90s, 10m, 1h, 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
    ttl: u64,
    /// It never ends; taken only where require_exp = false
    #[arg(long, conflicts_with = "ttl")]
    endless: bool,
    /// By whom
    #[arg(long, value_name = "TEXT")]
    iss: Option<String>,
    /// For whom; may be repeated
    #[arg(long, value_name = "TEXT")]
    aud: Vec<String>,
    /// Channels to listen to: news, 'news-*', 'chat:*'; may be repeated, as those below
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,
    /// Channels to publish to
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// Channels whose past may be read; where it is left out, as --subscribe
    #[arg(long, value_name = "PATTERN")]
    history: Vec<String>,
    /// Channels on which to see who is there
    #[arg(long, value_name = "PATTERN")]
    presence: Vec<String>,
    /// Channels of calls to the server's own code
    #[arg(long, value_name = "PATTERN")]
    call: Vec<String>,
    /// Another claim, its value as JSON: 'jti="t1"', 'roles=["editor"]'
    #[arg(long = "claim", value_name = "NAME=JSON")]
    claims: Vec<String>,
}

/// Makes.
pub(crate) fn run(args: Make) -> Result<(), Failure> {
    let config = args.config.as_deref().map(configured).transpose()?;
    let issuer = match &config {
        Some(config) => Some(args.issuer(&config.issuers.by_name)?),
        None => None,
    };
    let key = args.signing_key(issuer)?;
    let alg = match &args.alg {
        None => key.usual(),
        Some(text) => text
            .parse::<Alg>()
            .map_err(|why| Failure::new(format_args!("--alg: {text:?} {why}")))?,
    };
    let token = Token {
        kid: args.kid.clone(),
        claims: args.claims(issuer)?,
    };
    let token = key.sign(alg, &token).map_err(Failure::new)?;
    if let Some(config) = &config
        && let Verdict::Refused { why, .. } = judged(config, &token, &[])?
    {
        say(format_args!(
            "a server with this configuration would refuse it: {why}"
        ));
    }
    print(format!("{token}\n").as_bytes())
}

impl Make {
    fn issuer<'a>(
        &self,
        all: &'a std::collections::BTreeMap<String, TokenIssuer>,
    ) -> Result<&'a TokenIssuer, Failure> {
        let names = || {
            let names: Vec<&str> = all.keys().map(String::as_str).collect();
            names.join(", ")
        };
        if let Some(name) = &self.issuer {
            let none = || Failure::new(format_args!("no issuer {name:?}; there are: {}", names()));
            return all.get(name).ok_or_else(none);
        }
        // With a key of one's own any of them may be meant, else who has a secret.
        let fits = |one: &&TokenIssuer| self.key.is_some() || one.secret.is_some();
        let mut fitting = all.values().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(Failure::new(format_args!(
                "the configuration has no issuer with a secret; give the private key by --key and say --issuer ({})",
                names()
            ))),
            (Some(_), Some(_)) => Err(Failure::new(format_args!(
                "say which issuer: --issuer {}",
                names()
            ))),
        }
    }

    fn signing_key(&self, issuer: Option<&TokenIssuer>) -> Result<SigningKey, Failure> {
        let Some(path) = &self.key else {
            let secret = issuer.and_then(|issuer| issuer.secret.as_ref());
            let secret = secret.ok_or_else(|| {
                Failure::new("this issuer has no secret; give the private key by --key")
            })?;
            return SigningKey::secret(secret.expose().as_bytes()).map_err(Failure::new);
        };
        let text = read(path)?;
        let key = match text.trim_ascii().starts_with(b"-----BEGIN") {
            true => SigningKey::pem(&text),
            false => SigningKey::secret(text.trim_ascii()),
        };
        key.map_err(|why| Failure::new(format_args!("{}: {why}", path.display())))
    }

    fn claims(&self, issuer: Option<&TokenIssuer>) -> Result<Map<String, Value>, Failure> {
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("sub", self.sub.clone().into());
        let iss = self.iss.clone();
        if let Some(iss) = iss.or_else(|| issuer.and_then(|issuer| issuer.issuer.clone())) {
            put("iss", iss.into());
        }
        let configured = issuer.and_then(|issuer| issuer.audience.first());
        match self.aud.as_slice() {
            [] => configured.and_then(|one| put("aud", one.clone().into())),
            [one] => put("aud", one.clone().into()),
            many => put("aud", many.to_vec().into()),
        };
        let made = now();
        put("iat", made.into());
        if !self.endless {
            put("exp", made.saturating_add(self.ttl).into());
        }
        let mut granted = Map::new();
        for (right, patterns) in [
            ("subscribe", &self.subscribe),
            ("publish", &self.publish),
            ("history", &self.history),
            ("presence", &self.presence),
            ("call", &self.call),
        ] {
            if !patterns.is_empty() {
                granted.insert(right.to_owned(), patterns.clone().into());
            }
        }
        if !granted.is_empty() {
            put("fanwire", granted.into());
        }
        for text in &self.claims {
            let bad = |why: &str| Failure::new(format_args!("--claim {text}: {why}"));
            let (name, value) = text.split_once('=').ok_or_else(|| bad("write NAME=JSON"))?;
            if OWN_FLAG.contains(&name) {
                return Err(bad("this claim has flags of its own"));
            }
            let value: Value = serde_json::from_str(value)
                .map_err(|_| bad("the value is JSON; a text stands in quotes: 'name=\"text\"'"))?;
            if claims.insert(name.to_owned(), value).is_some() {
                return Err(bad("this claim is given twice"));
            }
        }
        Ok(claims)
    }
}

/// A duration as the configuration writes it, in whole seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let duration = fanwire::config::duration(text)?;
    match duration.as_secs() {
        0 => Err("lasts at least one second".to_owned()),
        seconds => Ok(seconds),
    }
}
