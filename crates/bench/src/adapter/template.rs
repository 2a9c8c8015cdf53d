//! Text with `{variables}` in it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text with `{name}` where a value goes: lower-case letters and `_` between
/// braces. Any other brace is itself, so JSON needs no escaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

impl Template {
    pub(crate) fn parse(source: &str) -> Template {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(open) = rest.find('{') {
            text.push_str(&rest[..open]);
            let inner = &rest[open + 1..];
            let name_len = inner
                .find(|c: char| !c.is_ascii_lowercase() && c != '_')
                .unwrap_or(inner.len());
            if name_len > 0 && inner[name_len..].starts_with('}') {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Variable(inner[..name_len].to_owned()));
                rest = &inner[name_len + 1..];
            } else {
                text.push('{');
                rest = inner;
            }
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Template {
            source: source.to_owned(),
            parts,
        }
    }

    /// Text without variables.
    pub(crate) fn literal(text: &str) -> Template {
        Template {
            source: text.to_owned(),
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// Appends the text with its values. False, with `out` as it was, where a
    /// variable has none.
    pub(crate) fn render<'a>(
        &self,
        value: impl Fn(&str) -> Option<&'a [u8]>,
        out: &mut Vec<u8>,
    ) -> bool {
        let before = out.len();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(name) => match value(name) {
                    Some(value) => out.extend_from_slice(value),
                    None => {
                        out.truncate(before);
                        return false;
                    }
                },
            }
        }
        true
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Template, D::Error> {
        Ok(Template::parse(&String::deserialize(from)?))
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_where_their_names_stand_and_json_stays_as_it_is() {
        let template = Template::parse(r#"{"a":{"b":"{message}"},"c":"{message}{x}"}"#);
        let mut out = b">".to_vec();
        let value = |name: &str| match name {
            "message" => Some(&b"hi"[..]),
            "x" => Some(&b"!"[..]),
            _ => None,
        };
        assert!(template.render(value, &mut out));
        assert_eq!(out, br#">{"a":{"b":"hi"},"c":"hi!"}"#);
        assert!(!Template::parse("a{y}").render(value, &mut out));
        assert_eq!(out.len(), 27);
    }
}
