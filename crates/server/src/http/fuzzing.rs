//! The decoders of requests, for the fuzz targets alone.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::Refusal;
use fanwire_core::key::Key;
use fanwire_core::message::Body;
use http::{HeaderMap, Method, Version};

use super::negotiate::Waits;
use super::{negotiate as forms, publish, target as targets};
use crate::answer::Dress;
use crate::config::Config;
use crate::forwarded;

/// The channels of `/c/LIST?query`.
///
/// # Errors
/// As the server refuses.
pub fn target(list: Option<&str>, query: Option<&str>) -> Result<Vec<Key>, Refusal> {
    targets::read(list, query).map(|(keys, _)| keys.into_vec())
}

/// What a GET wants and where it starts, for a person.
///
/// # Errors
/// As the server refuses.
pub fn negotiate(headers: &HeaderMap, query: &str, channels: usize) -> Result<String, Refusal> {
    let (_, query) = targets::read(Some("x"), Some(query))?;
    let waits = Waits {
        default: Duration::from_secs(25),
        max: Duration::from_secs(60),
    };
    let want = forms::want(headers, &query, channels, waits)?;
    let start = forms::start(headers, &query, want)?;
    Ok(format!("{want:?} {start:?}"))
}

/// The head that answers a WebSocket's handshake; none where it is refused.
pub fn handshake(headers: &HeaderMap, named: bool) -> Option<Bytes> {
    let key = super::handshake::check(&Method::GET, Version::HTTP_11, headers).ok()?;
    let agreed = super::handshake::compression(headers);
    let named = named && headers.contains_key(http::header::SEC_WEBSOCKET_PROTOCOL);
    let dress = Dress::default();
    Some(super::handshake::switching(&key, named, agreed, &dress))
}

/// What a publish keeps.
///
/// # Errors
/// As the server refuses.
pub fn body(headers: &HeaderMap, several: bool, bytes: Bytes) -> Result<Body, Refusal> {
    publish::idempotency_key(headers)?;
    publish::content(publish::kind(headers, several)?, bytes)
}

/// For whom `peer` sends these headers; none where it is no proxy.
pub fn client(config: &Config, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    forwarded::client(&config.access, peer, headers)
}
