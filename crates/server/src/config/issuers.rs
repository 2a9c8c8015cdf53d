//! Who may make tokens, as an operator writes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::forms::{Form, Given, List, Switch, Time, items, quoted};
use super::secret::Secret;

/// Bytes of an HMAC secret, at least: as many as the shortest hash (RFC 7518, 3.2).
pub const MIN_TOKEN_SECRET: usize = 32;

/// One issuer of tokens, and how its tokens are verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenIssuer {
    /// `iss`, exactly. Left out: for tokens of whoever has no entry of its own.
    pub issuer: Option<String>,
    /// `aud` must name one of these. Without any, a token must name none.
    pub audience: Vec<String>,
    /// For HS256, HS384, HS512: 32 to 512 bytes.
    pub secret: Option<Secret>,
    /// Files with public keys in PEM, each a path or `KID=PATH`.
    pub public_keys: Vec<String>,
    /// Where its keys are published, as a JWKS (RFC 7517).
    pub jwks: Option<String>,
    /// Whether a token must end (`exp`).
    pub require_exp: bool,
    /// How far the clocks may differ; at most 30 s.
    pub leeway: Duration,
}

impl Default for TokenIssuer {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            secret: None,
            public_keys: Vec::new(),
            jwks: None,
            require_exp: true,
            leeway: Duration::from_secs(30),
        }
    }
}

impl TokenIssuer {
    /// The files of its public keys: the key's name, where it has one, and the path.
    pub fn key_files(&self) -> impl Iterator<Item = (Option<&str>, PathBuf)> {
        self.public_keys
            .iter()
            .map(|text| match text.split_once('=') {
                Some((kid, path)) => (Some(kid), path.into()),
                None => (None, text.into()),
            })
    }

    fn set(&mut self, rule: &str, value: &str) -> Result<(), String> {
        let given = Given::Text(value.to_owned());
        match rule {
            "issuer" => self.issuer = Some(value.to_owned()),
            "audience" => self.audience = List::read(&given)?,
            "secret" => self.secret = Some(Secret::new(value)),
            "public_keys" => self.public_keys = List::read(&given)?,
            "jwks" => self.jwks = Some(value.to_owned()),
            "require_exp" => self.require_exp = Switch::read(&given)?,
            "leeway" => self.leeway = Time::read(&given)?,
            _ => {
                return Err(
                    "there are issuer, audience, secret, public_keys, jwks, require_exp and leeway"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    fn show(&self) -> String {
        let mut parts = Vec::new();
        if let Some(issuer) = &self.issuer {
            parts.push(format!("issuer = {}", quoted(issuer)));
        }
        if !self.audience.is_empty() {
            parts.push(format!("audience = {}", quoted(&self.audience.join(","))));
        }
        if self.secret.is_some() {
            parts.push("secret = \"***\"".to_owned());
        }
        if !self.public_keys.is_empty() {
            let paths = quoted(&self.public_keys.join(","));
            parts.push(format!("public_keys = {paths}"));
        }
        if let Some(url) = &self.jwks {
            parts.push(format!("jwks = {}", quoted(url)));
        }
        parts.push(format!("require_exp = {}", self.require_exp));
        parts.push(format!("leeway = {}", Time::show(&self.leeway)));
        format!("{{ {} }}", parts.join(", "))
    }
}

/// Issuers by a name of the operator's: tables of the file, or
/// `NAME:RULE=VALUE,…`.
pub(super) struct Issuers;
impl Form for Issuers {
    type Value = BTreeMap<String, TokenIssuer>;
    const NAME: &'static str = "NAME:RULE=VALUE";
    const MANY: bool = true;
    const WHOLE: bool = true;
    fn read(given: &Given) -> Result<Self::Value, String> {
        let mut issuers: Self::Value = BTreeMap::new();
        let mut put = |name: &str, rule: &str, value: &str| {
            let issuer = issuers.entry(name.to_owned()).or_default();
            issuer
                .set(rule, value)
                .map_err(|why| format!("{name}: {rule}: {why}"))
        };
        if let Given::Table(entries) = given {
            for (path, value) in entries {
                let [name, rule] = path.as_slice() else {
                    return Err(format!("write a table [issuers.{}]", path.join(".")));
                };
                put(name, rule, value)?;
            }
        } else {
            // The text itself may hold a secret, and is not repeated.
            for (at, item) in items(given)?.into_iter().enumerate() {
                let (name, rule, value) = item
                    .split_once(':')
                    .and_then(|(name, rest)| {
                        let (rule, value) = rest.split_once('=')?;
                        Some((name, rule, value))
                    })
                    .ok_or_else(|| format!("item {} is not of the form NAME:RULE=VALUE", at + 1))?;
                put(name, rule, value)?;
            }
        }
        Ok(issuers)
    }
    fn show(value: &Self::Value) -> String {
        let parts: Vec<String> = value
            .iter()
            .map(|(name, issuer)| format!("{} = {}", quoted(name), issuer.show()))
            .collect();
        match parts.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", parts.join(", ")),
        }
    }
}
