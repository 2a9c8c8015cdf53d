//! `GET /`: one page with a live tail, without anything from elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use sha2::{Digest as _, Sha256};

use crate::answer::{Answer, full};

const HTML: &str = include_str!("page/live.html");
const STYLE: &str = include_str!("page/live.css");
const SCRIPT: &str = include_str!("page/live.js");

/// The page and the policy that lets its own style and script run, and nothing else.
pub(crate) struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    pub(crate) fn new() -> Self {
        let html = HTML
            .replace("/* style */", STYLE)
            .replace("/* script */", SCRIPT);
        let policy = format!(
            "default-src 'none'; connect-src 'self'; style-src '{}'; script-src '{}'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT),
        );
        Self {
            html: html.into(),
            policy: HeaderValue::try_from(policy)
                .unwrap_or(HeaderValue::from_static("default-src 'none'")),
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut answer = full(
            StatusCode::OK,
            "text/html; charset=utf-8",
            self.html.clone(),
        );
        let headers = answer.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer
    }
}

/// The source expression of an inline element (CSP 3, 2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn o6_the_page_may_run_its_own_script_and_be_framed_by_nobody() {
        let page = Page::new();
        let html = std::str::from_utf8(&page.html).unwrap();
        assert!(html.contains(SCRIPT) && html.contains(STYLE));
        let policy = page.policy.to_str().unwrap();
        assert!(policy.contains(&hash(SCRIPT)));
        assert!(policy.contains("frame-ancestors 'none'"));
    }

    #[test]
    fn what_is_shown_never_becomes_markup() {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(sink), "{sink}");
        }
    }
}
