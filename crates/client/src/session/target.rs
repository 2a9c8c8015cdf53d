//! Addresses: the base, the path of a channel list, the query.

use std::fmt::{self, Write as _};

use crate::error::Error;

/// Most channels that one URL names.
pub const MAX_CHANNELS: usize = 16;

/// A parsed base address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Host to connect to, without brackets.
    pub host: String,
    /// `https`.
    pub secure: bool,
    /// Port; 80 where none is written, 443 for `https`.
    pub port: u16,
    /// The `Host` header.
    pub authority: String,
    /// Path prefix without a slash at its end.
    pub prefix: String,
}

impl Base {
    /// Parses `http://host[:port][/prefix]` or `https://…`.
    ///
    /// # Errors
    /// `Config` with what is wrong.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Config(format!("{why}: {url}"));
        let uri: hyper::Uri = url.parse().map_err(|_| bad("not an address"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("the address must begin with http:// or https://")),
        };
        let usual = if secure { 443 } else { 80 };
        let authority = uri
            .authority()
            .ok_or_else(|| bad("an address without a host"))?;
        if authority.as_str().contains('@') {
            // Not repeated in the message: it would show a password.
            return Err(Error::Config(
                "no user and password in an address; use an API key".into(),
            ));
        }
        if uri.query().is_some() {
            return Err(bad("an address without a query, please"));
        }
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        if bare.is_empty() {
            return Err(bad("an address without a host"));
        }
        // What stands behind the host and is no port must not come to mean the usual one.
        let port = authority.as_str().strip_prefix(host).unwrap_or_default();
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => usual,
            Some("") => usual, // As RFC 3986, 3.2.3 reads it.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .map_err(|_| bad("the port is not a number from 0 to 65535"))?,
            _ => return Err(bad("the port is not a number from 0 to 65535")),
        };
        Ok(Self {
            host: bare.to_owned(),
            port,
            secure,
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Refuses a list of channels that no server would take.
///
/// # Errors
/// `Config` for none, more than 16, an empty name, or `.` and `..`.
pub fn check_channels(channels: &[String]) -> Result<(), Error> {
    if channels.is_empty() {
        return Err(Error::Config("no channel is named".into()));
    }
    if channels.len() > MAX_CHANNELS {
        return Err(Error::Config(format!("more than {MAX_CHANNELS} channels")));
    }
    if let Some(bad) = channels
        .iter()
        .find(|c| matches!(c.as_str(), "" | "." | ".."))
    {
        return Err(Error::Config(format!("not a channel: {bad:?}")));
    }
    Ok(())
}

/// `/c/a,b` with each name percent-encoded.
#[must_use]
pub fn path(channels: &[String]) -> String {
    let mut out = String::from("/c/");
    for (i, channel) in channels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        percent(&mut out, channel, b":@/");
    }
    out
}

/// A query string, with its question mark where it is not empty.
#[derive(Debug, Default)]
pub struct Query(String);

impl Query {
    /// Appends a parameter.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        percent(&mut self.0, value, b",:@/");
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends `text`, everything encoded but unreserved characters (RFC 3986, 2.3)
/// and those of `also`.
fn percent(out: &mut String, text: &str, also: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
