//! How values are written: read from what the file, a flag or a variable
//! gives, and shown as TOML. Error texts never repeat a value that could be a
//! secret.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fanwire_core::namespace::History;

use super::rules::{NamedRules, Who};
use super::secret::Secret;

/// A value as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A flag's or variable's text; a string, number or boolean of the file.
    Text(String),
    /// An array of the file, or a repeated flag.
    List(Vec<String>),
    /// A table of the file, flattened: the path to each value, and the value.
    Table(Vec<(Vec<String>, String)>),
}

/// One way of writing values of a type.
pub(super) trait Form {
    type Value;
    const NAME: &'static str;
    const MANY: bool = false;
    const SWITCH: bool = false;
    /// True where the setting is its whole group.
    const WHOLE: bool = false;
    fn read(given: &Given) -> Result<Self::Value, String>;
    /// As TOML; reading it gives the value back, but for secrets.
    fn show(value: &Self::Value) -> String;
}

pub(super) fn text(given: &Given) -> Result<&str, String> {
    match given {
        Given::Text(text) => Ok(text.trim()),
        Given::List(items) if items.len() == 1 => Ok(items[0].trim()),
        Given::List(_) => Err("takes one value, not a list".into()),
        Given::Table(_) => Err("takes one value, not a table".into()),
    }
}

/// The items of a list: an array, or a text with commas. An empty text is the
/// empty list.
pub(super) fn items(given: &Given) -> Result<Vec<&str>, String> {
    let parts: Vec<&str> = match given {
        Given::Text(text) => text.split(',').collect(),
        Given::List(items) => items.iter().flat_map(|item| item.split(',')).collect(),
        Given::Table(_) => return Err("takes a list, not a table".into()),
    };
    Ok(parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect())
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Splits `25s` into 25 and `s`; digits may be grouped by `_`.
fn number_and_unit(text: &str) -> Result<(u64, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let digits = text[..end].replace('_', "");
    let number = digits
        .parse()
        .map_err(|_| format!("{text:?} does not start with a whole number"))?;
    Ok((number, text[end..].trim_start()))
}

/// A whole number: `1000`, `100_000`.
pub(super) struct Count;
impl Form for Count {
    type Value = usize;
    const NAME: &'static str = "number";
    fn read(given: &Given) -> Result<usize, String> {
        let text = text(given)?;
        match number_and_unit(text)? {
            (number, "") => usize::try_from(number).map_err(|_| format!("{text} is too large")),
            _ => Err(format!("{text:?} is not a whole number, such as 1000")),
        }
    }
    fn show(value: &usize) -> String {
        value.to_string()
    }
}

/// A size in bytes: `64KiB`, `1MB`, `4096`.
pub(super) struct Size;
const SIZES: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];
impl Form for Size {
    type Value = usize;
    const NAME: &'static str = "size";
    fn read(given: &Given) -> Result<usize, String> {
        let text = text(given)?;
        let (number, unit) = number_and_unit(text)?;
        let factor = match SIZES.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1,
            None => {
                return Err(format!(
                    "{text:?} is not a size, such as 64KiB, 1MB or 4096"
                ));
            }
        };
        number
            .checked_mul(factor)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| format!("{text} is too large"))
    }
    fn show(value: &usize) -> String {
        let bytes = *value as u64;
        SIZES[..3]
            .iter()
            .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
            .map_or_else(
                || bytes.to_string(),
                |(name, factor)| format!("\"{}{name}\"", bytes / factor),
            )
    }
}

/// A length of time: `25s`, `500ms`, `10m`, `2h`, bare seconds.
pub(super) struct Time;
const TIMES: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
/// A century: longer ones only overflow sums with a clock.
const LONGEST_MS: u64 = 100 * 366 * 86_400_000;
impl Form for Time {
    type Value = Duration;
    const NAME: &'static str = "duration";
    fn read(given: &Given) -> Result<Duration, String> {
        let text = text(given)?;
        let (number, unit) = number_and_unit(text)?;
        let factor = match TIMES.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1_000,
            None => {
                return Err(format!(
                    "{text:?} is not a duration, such as 25s, 500ms or 10m"
                ));
            }
        };
        number
            .checked_mul(factor)
            .filter(|ms| *ms <= LONGEST_MS)
            .map(Duration::from_millis)
            .ok_or_else(|| format!("{text} is too long; at most 100 years"))
    }
    fn show(value: &Duration) -> String {
        let ms = value.as_millis() as u64;
        // Minutes and seconds read best; a day is seldom meant by "1440m".
        TIMES
            .iter()
            .find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor))
            .map_or_else(
                || "\"0s\"".to_owned(),
                |(name, factor)| format!("\"{}{name}\"", ms / factor),
            )
    }
}

/// `true` or `false`; a flag alone is `true`.
pub(super) struct Switch;
impl Form for Switch {
    type Value = bool;
    const NAME: &'static str = "true|false";
    const SWITCH: bool = true;
    fn read(given: &Given) -> Result<bool, String> {
        match text(given)? {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        }
    }
    fn show(value: &bool) -> String {
        value.to_string()
    }
}

/// A list of texts.
pub(super) struct List;
impl Form for List {
    type Value = Vec<String>;
    const NAME: &'static str = "list";
    const MANY: bool = true;
    fn read(given: &Given) -> Result<Vec<String>, String> {
        Ok(items(given)?.into_iter().map(str::to_owned).collect())
    }
    fn show(value: &Vec<String>) -> String {
        let parts: Vec<String> = value.iter().map(|item| quoted(item)).collect();
        format!("[{}]", parts.join(", "))
    }
}

/// A list of `IP:PORT`.
pub(super) struct Addresses;
impl Form for Addresses {
    type Value = Vec<SocketAddr>;
    const NAME: &'static str = "list of IP:PORT";
    const MANY: bool = true;
    fn read(given: &Given) -> Result<Vec<SocketAddr>, String> {
        items(given)?
            .into_iter()
            .map(|item| {
                let named = item.replacen("localhost:", "127.0.0.1:", 1);
                named.parse().map_err(|_| {
                    format!("{item:?} is not an address, such as 127.0.0.1:3000 or [::1]:3000")
                })
            })
            .collect()
    }
    fn show(value: &Vec<SocketAddr>) -> String {
        List::show(&value.iter().map(SocketAddr::to_string).collect())
    }
}

/// API keys: a table of the file, or `NAME=SECRET,…`.
pub(super) struct ApiKeys;
impl Form for ApiKeys {
    type Value = BTreeMap<String, Secret>;
    const NAME: &'static str = "NAME=SECRET";
    const MANY: bool = true;
    fn read(given: &Given) -> Result<Self::Value, String> {
        let mut keys = BTreeMap::new();
        let mut add =
            |name: &str, secret: &str| match keys.insert(name.to_owned(), Secret::new(secret)) {
                None => Ok(()),
                Some(_) => Err(format!("key {name:?} is given twice")),
            };
        if let Given::Table(entries) = given {
            for (path, secret) in entries {
                let [name] = path.as_slice() else {
                    return Err("takes NAME = \"SECRET\" lines, without tables inside".into());
                };
                add(name, secret)?;
            }
        } else {
            for (at, item) in items(given)?.into_iter().enumerate() {
                let (name, secret) = item
                    .split_once('=')
                    .ok_or_else(|| format!("key {} is not of the form NAME=SECRET", at + 1))?;
                add(name, secret)?;
            }
        }
        Ok(keys)
    }
    fn show(value: &Self::Value) -> String {
        let parts: Vec<String> = value
            .keys()
            .map(|name| format!("{} = \"***\"", quoted(name)))
            .collect();
        match parts.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", parts.join(", ")),
        }
    }
}

/// One text; the empty one is none.
pub(super) struct Text;
impl Form for Text {
    type Value = String;
    const NAME: &'static str = "text";
    fn read(given: &Given) -> Result<String, String> {
        text(given).map(str::to_owned)
    }
    fn show(value: &String) -> String {
        quoted(value)
    }
}

/// `anyone`, `users`, `keys`, `nobody` or `auto`.
pub(super) struct WhoMay;
impl Form for WhoMay {
    type Value = Who;
    const NAME: &'static str = "anyone|users|keys|nobody|auto";
    fn read(given: &Given) -> Result<Who, String> {
        match text(given)? {
            "anyone" => Ok(Who::Anyone),
            "users" => Ok(Who::Users),
            "keys" => Ok(Who::Keys),
            "nobody" => Ok(Who::Nobody),
            "auto" => Ok(Who::Auto),
            other => Err(format!(
                "{other:?} is none of anyone, users, keys, nobody, auto"
            )),
        }
    }
    fn show(value: &Who) -> String {
        quoted(match value {
            Who::Anyone => "anyone",
            Who::Users => "users",
            Who::Keys => "keys",
            Who::Nobody => "nobody",
            Who::Auto => "auto",
        })
    }
}

/// `off`, a table of messages, bytes and ttl, or `messages=…,bytes=…,ttl=…`.
pub(super) struct Kept;
impl Kept {
    /// Puts one part in force.
    pub(super) fn part(history: &mut History, name: &str, value: &str) -> Result<(), String> {
        let given = Given::Text(value.to_owned());
        match name {
            "messages" => history.messages = Count::read(&given)?,
            "bytes" => history.bytes = Size::read(&given)?,
            "ttl" => history.ttl = Time::read(&given)?,
            other => {
                return Err(format!(
                    "history has messages, bytes and ttl, but no {other:?}"
                ));
            }
        }
        Ok(())
    }
}
impl Form for Kept {
    type Value = History;
    const NAME: &'static str = "off|messages=N,bytes=SIZE,ttl=DURATION";
    fn read(given: &Given) -> Result<History, String> {
        let mut history = History::default();
        match given {
            Given::Table(entries) => {
                for (path, value) in entries {
                    Self::part(&mut history, &path.join("."), value)?;
                }
            }
            _ if matches!(text(given), Ok("off")) => return Ok(History::OFF),
            _ => {
                for item in items(given)? {
                    let (name, value) = item.split_once('=').ok_or_else(|| {
                        "write off, or messages=1000,bytes=1MiB,ttl=10m".to_owned()
                    })?;
                    Self::part(&mut history, name.trim(), value)?;
                }
            }
        }
        Ok(history)
    }
    fn show(value: &History) -> String {
        if value.is_off() {
            return "\"off\"".to_owned();
        }
        format!(
            "{{ messages = {}, bytes = {}, ttl = {} }}",
            value.messages,
            Size::show(&value.bytes),
            Time::show(&value.ttl)
        )
    }
}

/// Rules by namespace: tables of the file, or `NAME:RULE=VALUE,…`, where the
/// rule may be `history.messages`.
pub(super) struct Named;
impl Form for Named {
    type Value = BTreeMap<String, NamedRules>;
    const NAME: &'static str = "NAME:RULE=VALUE";
    const MANY: bool = true;
    const WHOLE: bool = true;
    fn read(given: &Given) -> Result<Self::Value, String> {
        let mut named: Self::Value = BTreeMap::new();
        if let Given::Table(entries) = given {
            for (path, value) in entries {
                let Some((name, rule)) = path.split_first().filter(|(_, rule)| !rule.is_empty())
                else {
                    return Err(format!(
                        "write a table [namespaces.{}] with rules",
                        path.join(".")
                    ));
                };
                let rule = rule.join(".");
                let rules = named.entry(name.clone()).or_default();
                rules
                    .set(&rule, value)
                    .map_err(|why| format!("{name}: {rule}: {why}"))?;
            }
        } else {
            for item in items(given)? {
                let (name, rule, value) = item
                    .split_once(':')
                    .and_then(|(name, rest)| {
                        let (rule, value) = rest.split_once('=')?;
                        Some((name, rule, value))
                    })
                    .ok_or_else(|| {
                        format!(
                            "{item:?} is not of the form NAME:RULE=VALUE, such as chat:publish=keys"
                        )
                    })?;
                let rules = named.entry(name.to_owned()).or_default();
                rules
                    .set(rule, value)
                    .map_err(|why| format!("{name}: {rule}: {why}"))?;
            }
        }
        Ok(named)
    }
    fn show(value: &Self::Value) -> String {
        let parts: Vec<String> = value
            .iter()
            .map(|(name, rules)| format!("{} = {}", quoted(name), rules.show()))
            .collect();
        match parts.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", parts.join(", ")),
        }
    }
}
