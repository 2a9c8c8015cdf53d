//! Reading what a client sent, and saying where it is wrong.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::args::InvalidArgs;

/// Characters of a sentence, of a key and of a whole place at most: what is wrong came
/// from a stranger, and is said back.
const SENTENCE: usize = 200;
const KEY: usize = 40;
const PLACE: usize = 200;

/// Reads JSON. What is wrong has its place in it: `.to.name`, `[3]`; none where it is
/// the whole.
///
/// # Errors
/// Where it is something else.
pub(super) fn read<T: DeserializeOwned>(json: &str) -> Result<T, InvalidArgs> {
    // Keeping track of the place costs; it is looked for where there is a fault.
    serde_json::from_str(json).map_err(|why| located::<T>(json, &why))
}

fn located<T: DeserializeOwned>(json: &str, why: &serde_json::Error) -> InvalidArgs {
    let mut again = serde_json::Deserializer::from_str(json);
    let place = match serde_path_to_error::deserialize::<_, T>(&mut again) {
        Ok(_) => String::new(),
        Err(found) => place(found.path()),
    };
    let invalid = InvalidArgs::new(sentence(why));
    match place.as_str() {
        "" => invalid,
        _ => invalid.at(place),
    }
}

/// What serde says, without lines and columns, which mean nothing to the client.
fn sentence(why: &serde_json::Error) -> String {
    let said = why.to_string();
    let position = format!(" at line {} column {}", why.line(), why.column());
    shortened(said.strip_suffix(&position).unwrap_or(&said), SENTENCE)
}

/// As JavaScript would write it: `.name`, `["a key"]`, `[3]`.
fn place(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        let key = match segment {
            Segment::Seq { index } => {
                // Into a String: cannot fail.
                let _ = write!(text, "[{index}]");
                continue;
            }
            Segment::Map { key } => key,
            Segment::Enum { variant } => variant,
            // What is left of the way is not known.
            Segment::Unknown => break,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
        let key = shortened(key, KEY);
        if !key.is_empty() && key.chars().all(plain) {
            text.push('.');
            text.push_str(&key);
        } else {
            let _ = write!(text, "[{}]", serde_json::Value::from(key));
        }
    }
    shortened(&text, PLACE)
}

/// At most so many characters: of what is longer, as much of its beginning and of its
/// end, where the interesting words stand.
fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = (most - 1) / 2;
    let begin = text.chars().take(half);
    let end = text.chars().skip(count - half);
    begin.chain(['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)] // It is never what comes.
    struct Letter {
        to: Vec<Name>,
        #[serde(default)]
        more: BTreeMap<String, u8>,
    }

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Name {
        name: String,
    }

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code)]
    enum Move {
        Step { x: i8 },
    }

    fn wrong<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> (String, String) {
        let why = read::<T>(json).unwrap_err();
        (why.at.unwrap_or_default(), why.why.into_owned())
    }

    #[test]
    fn what_is_wrong_has_its_place_and_neither_line_nor_column() {
        let (at, why) = wrong::<Letter>(r#"{"to":[{"name":"a"},{"name":7}]}"#);
        assert_eq!(at, ".to[1].name");
        assert_eq!(why, "invalid type: integer `7`, expected a string");
        let (at, why) = wrong::<Letter>(r#"{"to":[{}]}"#);
        assert_eq!(
            (at.as_str(), why.as_str()),
            (".to[0]", "missing field `name`")
        );
        let (at, _) = wrong::<Letter>(r#"{"to":[],"more":{"a b":256}}"#);
        assert_eq!(at, r#".more["a b"]"#);
        assert_eq!(wrong::<Move>(r#"{"step":{"x":"no"}}"#).0, ".step.x");
        assert_eq!(wrong::<u8>("300").0, "");
        assert_eq!(read::<Vec<u8>>("[1, 2]"), Ok(vec![1, 2]));
    }

    #[test]
    fn what_is_said_back_is_short_whatever_came() {
        let long = "é\\\"".repeat(10_000);
        let (at, why) = wrong::<Letter>(&format!(r#"{{"to":[],"more":{{"{long}":"{long}"}}}}"#));
        assert!(at.starts_with(".more[\"é\\\""), "{at}");
        assert!(why.ends_with("…") || why.contains('…'), "{why}");
        assert!(why.ends_with(", expected u8"), "{why}");
        assert!(at.chars().count() <= PLACE && why.chars().count() <= SENTENCE);
        let deep = format!("{}7{}", "[".repeat(100), "]".repeat(100));
        type Deep = Vec<Vec<Vec<Vec<Vec<Vec<Vec<Vec<u8>>>>>>>>;
        assert_eq!(wrong::<Deep>(&deep).0, "[0]".repeat(8));
    }
}
