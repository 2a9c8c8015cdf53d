//! What a token says, claim by claim. Nothing here is believed: whether it is
//! signed by somebody who counts, only [`super::judge`] says.

use fanwire_core::policy::{Right, Rights};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::time::{span, utc};
use crate::auth::{Alg, Claims, MAX_TOKEN, decoded};

/// The clocks of a server and of whoever made the token differ by less.
const LEEWAY: u64 = 30;
/// Members of `fanwire`.
const GRANTED: [&str; 5] = ["subscribe", "publish", "history", "presence", "call"];
/// Characters of a value that are shown.
const SHOWN: usize = 300;

/// A token, read aloud. It holds neither the signature nor a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// The members of its head.
    pub head: Vec<Said>,
    /// Its claims.
    pub claims: Vec<Said>,
    /// What it grants, by pattern, in the order of the token.
    pub grants: Vec<Granted>,
    /// What is not there and might be missed, or stands there in a way that no
    /// server takes.
    pub missing: Vec<Said>,
}

/// One thing that it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// Its name.
    pub name: String,
    /// Its value as JSON without control characters, cut after 300 characters.
    pub value: String,
    /// What it means.
    pub note: String,
    /// A server refuses the token for this, or it does not do what was meant.
    pub wrong: bool,
}

/// A pattern, and what may be done there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// The pattern.
    pub pattern: String,
    /// The words of the rights.
    pub rights: Vec<&'static str>,
}

impl Explained {
    /// Whether anything in it is wrong, whoever may have signed it.
    pub fn is_wrong(&self) -> bool {
        let all = [&self.head, &self.claims, &self.missing];
        all.into_iter().flatten().any(|said| said.wrong)
    }
}

/// Reads a token aloud, at `now` (seconds since 1970).
///
/// # Errors
/// What is no token at all.
pub fn explain(token: &str, now: u64) -> Result<Explained, &'static str> {
    if token.len() > MAX_TOKEN {
        return Err("a token has at most 8 KiB");
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else {
        return Err("a token has three parts with dots between");
    };
    let form = "a part of a token is base64url without padding";
    let head_text = decoded(head).map_err(|_| form)?;
    let claims_text = decoded(claims).map_err(|_| form)?;
    let signed = decoded(signature).map_err(|_| form)?;
    let object = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text);
    let head = object(&head_text).map_err(|_| "the token's head is not a JSON object")?;
    let claims = object(&claims_text).map_err(|_| "the token's claims are not a JSON object")?;

    let mut missing = absent(&head, &claims);
    if signed.is_empty() {
        missing.push(wrong("signature", "is empty: nobody signed it"));
    }
    let said: Vec<Said> = claims
        .iter()
        .map(|(name, value)| claim(name, value, now))
        .collect();
    // Each alone is well, and all of them are not: one stands twice.
    let whole = serde_json::from_slice::<Claims>(&claims_text);
    if let (Err(why), false) = (&whole, said.iter().any(|said| said.wrong)) {
        missing.push(wrong("claims", &format!("are refused as a whole: {why}")));
    }
    Ok(Explained {
        head: head
            .iter()
            .map(|(name, value)| of_head(name, value))
            .collect(),
        claims: said,
        grants: whole.map(|claims| granted(&claims)).unwrap_or_default(),
        missing,
    })
}

fn of_head(name: &str, value: &Value) -> Said {
    let (note, wrong) = match name {
        "alg" => match value.as_str().and_then(Alg::parse) {
            Some(Alg::Known(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)) => {
                ("signed with a secret", false)
            }
            Some(_) => ("signed with a private key", false),
            None => ("no algorithm that is taken", true),
        },
        "kid" if value.is_string() => ("the name of its key", false),
        "kid" => ("is a text", true),
        "typ" | "cty" => ("", false),
        "crit" | "b64" => ("asks for what is not done here", true),
        "jwk" | "jku" | "x5u" | "x5c" | "x5t" | "x5t#S256" => (
            "left alone: keys come from the configuration, never from a token",
            false,
        ),
        _ => ("not looked at", false),
    };
    said(name, Some(value), note, wrong)
}

fn claim(name: &str, value: &Value, now: u64) -> Said {
    // One by one, by the door's own reading.
    if let Err(why) = serde_json::from_value::<Claims>(json!({ name: value })) {
        return said(name, Some(value), &why.to_string(), true);
    }
    let seconds = value.as_u64().unwrap_or_default();
    let (note, wrong) = match name {
        "sub" => ("who; shown to others as `from`".to_owned(), false),
        "iss" => ("who made it; held against `issuer`".to_owned(), false),
        "aud" => ("for whom; held against `audience`".to_owned(), false),
        "exp" if seconds.saturating_add(LEEWAY) <= now => {
            let ago = span(now - seconds);
            (format!("ended {}, {ago} ago", utc(seconds)), true)
        }
        "exp" => {
            let left = span(seconds.saturating_sub(now));
            (format!("ends {}, in {left}", utc(seconds)), false)
        }
        "nbf" | "iat" if seconds > now.saturating_add(LEEWAY) => {
            let ahead = span(seconds - now);
            (
                format!("{}, {ahead} ahead: not valid yet", utc(seconds)),
                true,
            )
        }
        "nbf" => (format!("valid from {}", utc(seconds)), false),
        "iat" => (format!("made {}", utc(seconds)), false),
        "jti" => ("its own name, by which it can be revoked".to_owned(), false),
        "fanwire" => members(value),
        "subscribe" | "publish" | "history" | "presence" | "call" | "channels" | "scope" => (
            "grants nothing: rights stand in the claim `fanwire`".to_owned(),
            false,
        ),
        _ => ("not looked at".to_owned(), false),
    };
    said(name, Some(value), &note, wrong)
}

/// What is passed over in silence at the door, and is most likely a slip.
fn members(value: &Value) -> (String, bool) {
    let names = value.as_object().into_iter().flat_map(Map::keys);
    let strange: Vec<&str> = names
        .map(String::as_str)
        .filter(|name| !GRANTED.contains(name))
        .collect();
    match strange.is_empty() {
        true => ("what it grants, see below".to_owned(), false),
        false => (
            format!(
                "grants nothing by {}; there are {}",
                plain(&strange.join(", ")),
                GRANTED.join(", ")
            ),
            true,
        ),
    }
}

fn absent(head: &Map<String, Value>, claims: &Map<String, Value>) -> Vec<Said> {
    let mut absent = Vec::new();
    let mut miss = |from: &Map<String, Value>, name: &str, note: &str, wrong: bool| {
        if !from.contains_key(name) {
            absent.push(said(name, None, note, wrong));
        }
    };
    miss(head, "alg", "no server knows how it is signed", true);
    miss(
        claims,
        "sub",
        "no server takes it: it does not say whose it is",
        true,
    );
    miss(
        claims,
        "exp",
        "it never ends; taken only where require_exp = false",
        false,
    );
    miss(
        claims,
        "iat",
        "whoever revokes its user stops it, however new it is",
        false,
    );
    miss(
        claims,
        "fanwire",
        "it grants nothing of its own; namespaces may be open to users",
        false,
    );
    absent
}

fn granted(claims: &Claims) -> Vec<Granted> {
    let mut all: Vec<(String, Rights)> = Vec::new();
    for (rights, pattern) in claims.fanwire.grants.iter() {
        let pattern = pattern.to_string();
        let known = all.iter().position(|(text, _)| *text == pattern);
        let at = known.unwrap_or_else(|| {
            all.push((pattern, Rights::NONE));
            all.len() - 1
        });
        let more = Right::ALL.into_iter().filter(|right| rights.has(*right));
        all[at].1 = more.fold(all[at].1, Rights::and);
    }
    let words = |rights: Rights| {
        let all = Right::ALL.into_iter().filter(|right| rights.has(*right));
        all.map(Right::as_str).collect()
    };
    all.into_iter()
        .map(|(pattern, rights)| Granted {
            pattern: plain(&pattern),
            rights: words(rights),
        })
        .collect()
}

fn said(name: &str, value: Option<&Value>, note: &str, wrong: bool) -> Said {
    Said {
        name: plain(name),
        value: value
            .map(|value| plain(&value.to_string()))
            .unwrap_or_default(),
        note: plain(note),
        wrong,
    }
}

fn wrong(name: &str, note: &str) -> Said {
    said(name, None, note, true)
}

/// Without what could play tricks on a terminal, and not for ever.
fn plain(text: &str) -> String {
    let bidi = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        match c {
            _ if at == SHOWN => {
                out.push('…');
                break;
            }
            c if c.is_control() || bidi(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
