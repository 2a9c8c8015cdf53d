//! Answers to a publish, and errors as `application/problem+json`.

use serde::{Deserialize, Serialize};

/// The answer to a publish: `{"id":…}`, with `"duplicate":true` where the
/// idempotency key had been used for the same message before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The message's id; none for a volatile message.
    pub id: Option<String>,
    /// Whether this is the answer to an earlier twin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// An error as HTTP answers carry it (`PROTOCOL.md`, section 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank`.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The status in words.
    #[serde(default)]
    pub title: String,
    /// The status.
    #[serde(default)]
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What to do.
    #[serde(default)]
    pub detail: String,
    /// The channel at fault, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What the application's own refusal says beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// The place of what is wrong within what was sent, where it is one. It is `at`
    /// everywhere else; RFC 9457, 4 wants names of three letters and more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl Published {
    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and flags: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Problem {
    /// A problem with its code, title, status and sentence.
    #[must_use]
    pub fn new(status: u16, title: &str, code: &str, detail: &str) -> Self {
        Self {
            kind: about_blank(),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.to_owned(),
            channel: None,
            place: None,
            data: None,
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Made of JSON and what can be written as such: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
