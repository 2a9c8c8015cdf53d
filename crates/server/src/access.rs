//! Who may reach the server through a browser, and under which name: `Origin`,
//! `Host` and the traces of a proxy (`PROTOCOL.md`, section 9).
//!
//! Everything here compares whole, normalised values; nothing matches by prefix
//! or suffix, so that neither `https://good.com.evil.com` nor
//! `https://evilgood.com` passes for `https://good.com`.

use http::header::{FORWARDED, HOST, HeaderMap, HeaderValue, ORIGIN, VIA};

use fanwire_core::error::{Code, Refusal};

use crate::config::Config;

/// Names that always mean this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The rules, from the configuration.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rules {
    /// Normalised origins, `null` among them where it was named.
    origins: Vec<String>,
    /// `*`: every origin.
    any_origin: bool,
    /// Lower-case names, with their port where one was given.
    hosts: Vec<(String, Option<u16>)>,
    /// No key, no `open`: nobody has thought about proxies yet.
    unconfigured: bool,
    /// Allowed origins may send credentials.
    credentials: bool,
}

/// What a request's origin may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No page: a program.
    Absent,
    /// A page that may read what is answered.
    Allowed(HeaderValue),
    /// A page that may not.
    Denied,
}

impl Rules {
    /// Rules from lists as configured; an origin that cannot be one never matches.
    pub(crate) fn new(origins: &[String], hosts: &[String], unconfigured: bool) -> Self {
        Self {
            any_origin: origins.iter().any(|origin| origin == "*"),
            origins: origins.iter().filter_map(|text| normal(text)).collect(),
            hosts: hosts.iter().filter_map(|text| split_host(text)).collect(),
            unconfigured,
            credentials: false,
        }
    }

    /// The rules of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let access = &config.access;
        Self::new(
            &access.allow_origins,
            &access.allow_hosts,
            config.is_unconfigured(),
        )
        .with_credentials(access.allow_credentials)
    }

    /// The same, with `Access-Control-Allow-Credentials` for allowed origins.
    #[must_use]
    pub(crate) fn with_credentials(mut self, on: bool) -> Self {
        self.credentials = on;
        self
    }

    /// Whether allowed origins may send credentials.
    pub(crate) fn credentials(&self) -> bool {
        self.credentials
    }

    /// Judges `Host` and the traces of a proxy. `authority` is that of an
    /// absolute request target, which replaces `Host` (RFC 9112, 3.2.2);
    /// `loopback` says that the listener's address is one.
    ///
    /// # Errors
    /// `host_denied`, `proxy_unconfigured`, or `bad_request` where `Host` is
    /// missing from HTTP/1.1 or stands twice.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
        loopback: bool,
        http_10: bool,
    ) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() || (host.is_none() && !http_10) {
            return Err(Refusal::new(
                Code::BadRequest,
                "send exactly one Host header (RFC 9112, 3.2)",
            ));
        }
        let host = match authority {
            Some(authority) => Some(authority.as_bytes()),
            None => host.map(HeaderValue::as_bytes),
        };
        // A browser always sends Host; without one there is nothing to rebind.
        if let Some(host) = host
            && (loopback || !self.hosts.is_empty())
            && !self.knows_host(host)
        {
            return Err(Refusal::new(
                Code::HostDenied,
                "this server does not answer to this Host; name it with --allow-host NAME, in code \
                 and in the file access.allow_hosts",
            ));
        }
        if self.unconfigured && through_proxy(headers) {
            return Err(Refusal::new(
                Code::ProxyUnconfigured,
                "the request came through a proxy, which makes everyone look local: set an API \
                 key (--api-key NAME=SECRET) or choose --open",
            ));
        }
        Ok(())
    }

    /// Judges `Origin`.
    pub(crate) fn origin(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
        loopback: bool,
    ) -> Origin {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(value) = values.next() else {
            return Origin::Absent;
        };
        if values.next().is_some() {
            return Origin::Denied;
        }
        let Some(origin) = value.to_str().ok().and_then(normal) else {
            return Origin::Denied;
        };
        let host = authority.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()));
        let allowed = self.any_origin
            || self.origins.contains(&origin)
            || host.is_some_and(|host| is_own(&origin, host))
            || (loopback && is_loopback(&origin));
        if allowed {
            Origin::Allowed(value.clone())
        } else {
            Origin::Denied
        }
    }

    fn knows_host(&self, host: &[u8]) -> bool {
        let Some((name, port)) = std::str::from_utf8(host).ok().and_then(split_host) else {
            return false;
        };
        LOOPBACK.contains(&name.as_str())
            || self
                .hosts
                .iter()
                .any(|(known, only)| *known == name && (only.is_none() || *only == port))
    }
}

/// A page of another origin asked.
pub(crate) fn origin_denied() -> Refusal {
    let sentence = "this page's origin may not do that; let it in with --allow-origin ORIGIN, in \
                    code and in the file access.allow_origins";
    Refusal::new(Code::OriginDenied, sentence)
}

fn through_proxy(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers
            .keys()
            .any(|name| name.as_str().starts_with("x-forwarded-"))
}

/// `scheme://host[:port]` with scheme and host in lower case and without the
/// scheme's default port; `null` as it is; none for anything else.
pub(crate) fn normal(origin: &str) -> Option<String> {
    if origin == "null" {
        return Some("null".to_owned());
    }
    let (scheme, rest) = origin.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let first = scheme.bytes().next()?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    if !first.is_ascii_alphabetic() || !scheme.bytes().all(legal) {
        return None;
    }
    let (host, port) = split_host(rest)?;
    Some(match port {
        Some(port) if Some(port) != default_port(&scheme) => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// A `Host` value: the name in lower case, and the port where there is one.
fn split_host(text: &str) -> Option<(String, Option<u16>)> {
    let (name, port) = if text.starts_with('[') {
        let end = text.find(']')? + 1;
        (&text[..end], &text[end..])
    } else {
        text.split_at(text.find(':').unwrap_or(text.len()))
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        // "example.org:" means the default port (RFC 3986, 3.2.3).
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let legal = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    legal.then(|| (name.to_ascii_lowercase(), port))
}

/// Whether a page's origin is the host that it talks to. The scheme is not
/// compared: behind a proxy that ends TLS the server cannot know it.
fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, _)) = origin.split_once("://") else {
        return false;
    };
    matches!(scheme, "http" | "https")
        && normal(&format!("{scheme}://{host}")).is_some_and(|own| own == origin)
}

fn is_loopback(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    matches!(scheme, "http" | "https")
        && split_host(host).is_some_and(|(name, _)| LOOPBACK.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn allowed(rules: &Rules, origin: &str, host: &str, loopback: bool) -> bool {
        let headers = headers(&[("origin", origin), ("host", host)]);
        rules.origin(&headers, None, loopback) != Origin::Denied
    }

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn o2_only_exact_origins_match() {
        let rules = Rules::new(
            &list(&["https://good.com", "http://dev.com:8080"]),
            &[],
            false,
        );
        let host = "api.example.org";
        for good in [
            "https://good.com",
            "https://GOOD.com",
            "HTTPS://good.com:443",
            "http://dev.com:8080",
        ] {
            assert!(allowed(&rules, good, host, false), "{good}");
        }
        for bad in [
            "null",
            "http://good.com",
            "https://good.com:8443",
            "https://good.com.evil.com",
            "https://evilgood.com",
            "https://good.com@evil.com",
            "https://good.com/",
            "good.com",
            "https://",
            "",
            "http://dev.com",
            "http://localhost",
        ] {
            assert!(!allowed(&rules, bad, host, false), "{bad}");
        }
    }

    #[test]
    fn o2_null_is_allowed_only_by_name_and_absent_is_no_page() {
        let rules = Rules::new(&list(&["null"]), &[], false);
        assert!(allowed(&rules, "null", "x", false));
        let none = rules.origin(&headers(&[("host", "x")]), None, false);
        assert_eq!(none, Origin::Absent);
        let any = Rules::new(&list(&["*"]), &[], false);
        assert!(allowed(&any, "https://whatever.example", "x", false));
    }

    #[test]
    fn p8_the_requests_own_host_is_allowed_with_its_port() {
        let rules = Rules::default();
        assert!(allowed(&rules, "http://a.org", "a.org", false));
        assert!(allowed(&rules, "http://a.org", "A.ORG:80", false));
        assert!(allowed(&rules, "https://a.org", "a.org:443", false));
        assert!(allowed(&rules, "http://a.org:3000", "a.org:3000", false));
        assert!(!allowed(&rules, "http://a.org:3000", "a.org", false));
        assert!(!allowed(&rules, "http://a.org", "a.org:3000", false));
        assert!(!allowed(&rules, "http://b.org", "a.org", false));
    }

    #[test]
    fn p8_loopback_origins_are_allowed_on_loopback_binds_alone() {
        let rules = Rules::default();
        for origin in [
            "http://localhost:5173",
            "https://127.0.0.1",
            "http://[::1]:1",
        ] {
            assert!(allowed(&rules, origin, "localhost:3000", true), "{origin}");
            assert!(!allowed(&rules, origin, "a.org", false), "{origin}");
        }
        assert!(!allowed(
            &rules,
            "http://localhost.evil.com",
            "localhost",
            true
        ));
        assert!(!allowed(&rules, "http://evil.com", "localhost", true));
        assert!(!allowed(
            &rules,
            "chrome-extension://localhost",
            "localhost",
            true
        ));
    }

    #[test]
    fn two_origins_are_denied() {
        let two = headers(&[
            ("origin", "http://localhost"),
            ("origin", "http://localhost"),
        ]);
        assert_eq!(Rules::default().origin(&two, None, true), Origin::Denied);
    }

    fn refused(rules: &Rules, pairs: &[(&'static str, &str)], loopback: bool) -> Option<Code> {
        rules
            .admit(&headers(pairs), None, loopback, false)
            .err()
            .map(|refusal| refusal.code)
    }

    #[test]
    fn o5_on_loopback_only_its_own_names_are_answered() {
        let rules = Rules::new(&[], &[], true);
        for host in [
            "localhost",
            "LOCALHOST:3000",
            "127.0.0.1:1",
            "[::1]:3000",
            "[::1]",
        ] {
            assert_eq!(refused(&rules, &[("host", host)], true), None, "{host}");
        }
        for host in [
            "evil.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "[::2]",
            "a b",
            "",
        ] {
            let code = refused(&rules, &[("host", host)], true);
            assert_eq!(code, Some(Code::HostDenied), "{host}");
        }
        assert_eq!(refused(&rules, &[("host", "evil.com")], false), None);
    }

    #[test]
    fn o5_once_hosts_are_named_no_other_is_answered_anywhere() {
        let rules = Rules::new(&[], &list(&["a.org", "b.org:8080"]), false);
        assert_eq!(refused(&rules, &[("host", "a.org:77")], false), None);
        assert_eq!(refused(&rules, &[("host", "b.org:8080")], false), None);
        assert_eq!(refused(&rules, &[("host", "localhost")], false), None);
        let denied = Some(Code::HostDenied);
        assert_eq!(refused(&rules, &[("host", "b.org")], false), denied);
        assert_eq!(refused(&rules, &[("host", "c.org")], false), denied);
    }

    #[test]
    fn an_absolute_target_replaces_host() {
        let rules = Rules::new(&[], &[], true);
        let map = headers(&[("host", "localhost")]);
        let refusal = rules
            .admit(&map, Some("evil.com"), true, false)
            .unwrap_err();
        assert_eq!(refusal.code, Code::HostDenied);
    }

    #[test]
    fn host_stands_exactly_once_but_on_http_10() {
        let rules = Rules::default();
        assert_eq!(refused(&rules, &[], false), Some(Code::BadRequest));
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(refused(&rules, &two, false), Some(Code::BadRequest));
        assert!(rules.admit(&HeaderMap::new(), None, true, true).is_ok());
    }

    #[test]
    fn r1_p8_while_unconfigured_a_proxy_is_refused() {
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-x",
        ] {
            let pairs = [("host", "localhost"), (name, "1.2.3.4")];
            let code = refused(&Rules::new(&[], &[], true), &pairs, true);
            assert_eq!(code, Some(Code::ProxyUnconfigured), "{name}");
            assert_eq!(refused(&Rules::new(&[], &[], false), &pairs, true), None);
        }
    }
}
