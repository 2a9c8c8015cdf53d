//! For whom a proxy speaks, by its headers: `X-Forwarded-For`, or `Forwarded`
//! (RFC 7239). Believed of configured proxies alone; anyone can write a header.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName};

use crate::config::{Access, ProxyHeader};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whether `address` is a proxy's.
pub(crate) fn is_proxy(access: &Access, address: IpAddr) -> bool {
    access.proxies.iter().any(|proxy| proxy.contains(address))
}

/// For whom `peer` sends these headers; none where it is no proxy.
///
/// Each proxy appends whom it heard from. So the list is walked from its end,
/// over all lines of the header, past every address that is a proxy's: the first
/// other one is the client's. What stands before it could have been made up by
/// the client. Where a proxy's own entry cannot be read, `peer` is all that is
/// known.
pub(crate) fn client(access: &Access, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    if !is_proxy(access, peer) {
        return None;
    }
    let mut client = peer;
    for entry in entries(access.proxy_header, headers).into_iter().rev() {
        let Some(address) = entry else {
            return Some(peer);
        };
        client = address;
        if !is_proxy(access, address) {
            break;
        }
    }
    Some(client)
}

/// The addresses of all lines, in order; none for one that is not such.
fn entries(header: ProxyHeader, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let name = match header {
        ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
        ProxyHeader::Forwarded => FORWARDED,
    };
    let mut all = Vec::new();
    // Entry by entry: what a client wrote on a line must not make unreadable
    // what a proxy appended to it.
    for line in headers.get_all(name) {
        let line = line.as_bytes();
        match header {
            ProxyHeader::XForwardedFor => {
                let entries = line.split(|b| *b == b',').map(<[u8]>::trim_ascii);
                let entries = entries.filter(|entry| !entry.is_empty());
                all.extend(entries.map(|entry| address(text(entry)?)));
            }
            ProxyHeader::Forwarded => {
                all.extend(split(line, b',').map(|entry| named(text(entry)?)));
            }
        }
    }
    all
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The parts between `by`, where it is not quoted; empty ones are left out
/// (RFC 9110, 5.6.1.2). Where a quote does not end, nothing is taken for quoted.
fn split(line: &[u8], by: u8) -> impl Iterator<Item = &[u8]> {
    let mut whole = Quotes::default();
    line.iter().for_each(|b| {
        whole.is_bare(*b);
    });
    let (legal, mut quotes) = (!whole.open, Quotes::default());
    let parts = line.split(move |b| {
        let bare = quotes.is_bare(*b);
        *b == by && (bare || !legal)
    });
    parts
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
}

/// Where in a line one is.
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    /// Takes the next byte; whether it stands outside of quotes.
    fn is_bare(&mut self, byte: u8) -> bool {
        let bare = !self.open;
        if self.escaped {
            self.escaped = false;
        } else if byte == b'"' {
            self.open = !self.open;
        } else {
            self.escaped = self.open && byte == b'\\';
        }
        bare
    }
}

/// The address of `for=` in one element of `Forwarded`.
fn named(element: &str) -> Option<IpAddr> {
    let mut pairs = split(element.as_bytes(), b';').filter_map(|pair| text(pair)?.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    address(match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => value,
    })
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`; a zone is left out.
fn address(text: &str) -> Option<IpAddr> {
    let whole = |text: &str| text.parse::<IpAddr>().ok();
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            let number = |port: &str| port.parse::<u16>().is_ok();
            if !port.is_empty() && !port.strip_prefix(':').is_some_and(number) {
                return None;
            }
            IpAddr::V6(without_zone(inner).parse::<Ipv6Addr>().ok()?)
        }
        None => whole(without_zone(text)).or_else(|| {
            text.parse::<SocketAddr>()
                .ok()
                .map(|with_port| with_port.ip())
        })?,
    };
    Some(address.to_canonical())
}

fn without_zone(text: &str) -> &str {
    text.split_once('%').map_or(text, |(address, _)| address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::header::HeaderValue;

    use super::*;
    use crate::config::Network;

    fn lines(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(name, value);
            }
        }
        headers
    }

    fn access(header: ProxyHeader) -> Access {
        let networks = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"];
        Access {
            proxies: networks.map(|text| Network::parse(text).unwrap()).into(),
            proxy_header: header,
            ..Access::default()
        }
    }

    fn by(header: ProxyHeader, peer: &str, headers: &HeaderMap) -> Option<String> {
        client(&access(header), peer.parse().unwrap(), headers).map(|ip| ip.to_string())
    }

    fn x(peer: &str, texts: &[&str]) -> Option<String> {
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        by(
            ProxyHeader::XForwardedFor,
            peer,
            &lines("x-forwarded-for", &texts),
        )
    }

    #[test]
    fn r1_who_is_no_proxy_is_not_believed() {
        assert_eq!(x("192.0.2.1", &["1.2.3.4"]), None);
        assert_eq!(x("11.0.0.1", &["1.2.3.4"]), None);
    }

    #[test]
    fn r1_the_first_from_the_right_that_is_no_proxy_is_the_client() {
        let of = |lines: &[&str]| x("10.0.0.1", lines).unwrap();
        assert_eq!(of(&["1.2.3.4"]), "1.2.3.4");
        assert_eq!(of(&["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(of(&["6.6.6.6, 1.2.3.4, 10.9.9.9,127.0.0.1"]), "1.2.3.4");
        // Lines are joined in their order.
        assert_eq!(of(&["6.6.6.6", "1.2.3.4", "10.9.9.9"]), "1.2.3.4");
        assert_eq!(of(&["1.2.3.4,, ,"]), "1.2.3.4");
        // Nobody else: the one farthest away.
        assert_eq!(of(&["10.3.3.3, 10.2.2.2"]), "10.3.3.3");
        assert_eq!(of(&[]), "10.0.0.1");
    }

    #[test]
    fn r1_garbage_is_the_proxy_itself_and_counts_only_where_it_is_reached() {
        let of = |lines: &[&str]| x("10.0.0.1", lines).unwrap();
        for garbage in [
            "unknown",
            "1.2.3",
            "1.2.3.4.5",
            "_x",
            "1.2.3.4:x",
            "[::1",
            "[::1]x",
            "%",
        ] {
            assert_eq!(of(&[garbage]), "10.0.0.1", "{garbage}");
            assert_eq!(of(&["1.2.3.4", garbage]), "10.0.0.1", "{garbage}");
            assert_eq!(of(&[garbage, "1.2.3.4"]), "1.2.3.4", "{garbage}");
        }
        let bytes = lines("x-forwarded-for", &[b"1.2.3.4", b"\xff"]);
        let of = by(ProxyHeader::XForwardedFor, "10.0.0.1", &bytes);
        assert_eq!(of.unwrap(), "10.0.0.1");
    }

    #[test]
    fn r1_nothing_that_a_client_writes_hides_what_a_proxy_appends_to_the_line() {
        for written in [
            &b"\""[..],
            b"\xff",
            b"a\"b\\",
            b"for=\"",
            b"for=\"\\",
            b"\\\"",
        ] {
            let line = [written, b", 1.2.3.4"].concat();
            let headers = lines("x-forwarded-for", &[&line]);
            let of = by(ProxyHeader::XForwardedFor, "10.0.0.1", &headers);
            assert_eq!(of.unwrap(), "1.2.3.4", "{line:?}");
            for appended in ["for=1.2.3.4", "for=\"[::ffff:1.2.3.4]:80\""] {
                let line = [written, b", ", appended.as_bytes()].concat();
                let headers = lines("forwarded", &[&line]);
                let of = by(ProxyHeader::Forwarded, "10.0.0.1", &headers);
                assert_eq!(of.unwrap(), "1.2.3.4", "{line:?}");
            }
        }
    }

    #[test]
    fn r2_ports_brackets_zones_and_mapped_addresses_are_read() {
        let of = |entry: &str| x("127.0.0.1", &[entry]).unwrap();
        assert_eq!(of("1.2.3.4:5678"), "1.2.3.4");
        assert_eq!(of("::ffff:1.2.3.4"), "1.2.3.4");
        assert_eq!(of("[::ffff:1.2.3.4]:80"), "1.2.3.4");
        assert_eq!(of("2a00::1"), "2a00::1");
        assert_eq!(of("[2a00::1]"), "2a00::1");
        assert_eq!(of("[2a00::1]:65535"), "2a00::1");
        assert_eq!(of("fe80::1%eth0"), "fe80::1");
        assert_eq!(of("[fe80::1%25eth0]:1"), "fe80::1");
        assert_eq!(of("[2a00::1]:65536"), "127.0.0.1");
    }

    #[test]
    fn r1_forwarded_is_read_where_it_is_the_header_and_the_other_is_not() {
        let of = |texts: &[&str]| {
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            let mut headers = lines("forwarded", &texts);
            headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("6.6.6.6"));
            by(ProxyHeader::Forwarded, "10.0.0.1", &headers).unwrap()
        };
        assert_eq!(of(&["for=1.2.3.4"]), "1.2.3.4");
        assert_eq!(
            of(&["For=\"[2a00::1]:4711\";proto=http;by=10.1.1.1"]),
            "2a00::1"
        );
        assert_eq!(
            of(&["proto=https ; for=1.2.3.4", "for=10.1.1.1"]),
            "1.2.3.4"
        );
        // What is quoted ends nothing.
        assert_eq!(of(&["for=\"a,for=6.6.6.6\\\",\", for=1.2.3.4"]), "1.2.3.4");
        assert_eq!(of(&["for=1.2.3.4;x=\"a;b,c\""]), "1.2.3.4");
        for nobody in [
            "for=unknown",
            "for=_secret",
            "proto=http",
            "for=\"1.2.3.4",
            "for",
            "",
        ] {
            assert_eq!(
                of(&["for=6.6.6.6", nobody]) == "6.6.6.6",
                nobody.is_empty(),
                "{nobody}"
            );
        }
        let both = lines("forwarded", &[b"for=6.6.6.6"]);
        assert_eq!(
            by(ProxyHeader::XForwardedFor, "10.0.0.1", &both).unwrap(),
            "10.0.0.1"
        );
    }
}
