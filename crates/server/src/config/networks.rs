//! Networks of addresses, and by what header a proxy names its client.

use std::fmt;
use std::net::IpAddr;

use super::forms::{Form, Given, List, items, text};

/// An address, or all that share its first bits: `192.0.2.7`, `10.0.0.0/8`,
/// `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    /// Of 32 for IPv4, of 128 for IPv6.
    bits: u8,
}

impl Network {
    /// Reads `ADDRESS` or `ADDRESS/BITS`. None for anything else, as for bits
    /// behind the network's: `10.1.0.0/8` is more likely a slip than meant.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let digits = |bits: &str| bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit());
        let bits = match bits {
            None => all,
            Some(bits) if digits(bits) => bits.parse().ok().filter(|bits| *bits <= all)?,
            Some(_) => return None,
        };
        let network = Self { address, bits };
        let (value, mask) = (widened(address), network.mask());
        (value & mask == value).then_some(network)
    }

    /// Whether `address` is one of them. An IPv4 address is one, even where it
    /// is written as IPv6 (`::ffff:192.0.2.7`).
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && widened(address) & self.mask() == widened(self.address)
    }

    fn mask(&self) -> u128 {
        let all = if self.address.is_ipv4() { 32 } else { 128 };
        u128::MAX
            .checked_shl(u32::from(all - self.bits))
            .unwrap_or(0)
    }
}

fn widened(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == all {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

/// A list of networks.
pub(super) struct Networks;
impl Form for Networks {
    type Value = Vec<Network>;
    const NAME: &'static str = "list of IP or IP/BITS";
    const MANY: bool = true;
    fn read(given: &Given) -> Result<Vec<Network>, String> {
        let network = |item: &str| {
            Network::parse(item).ok_or_else(|| {
                format!("{item:?} is no address or network, such as 192.0.2.7 or 10.0.0.0/8")
            })
        };
        items(given)?.into_iter().map(network).collect()
    }
    fn show(value: &Vec<Network>) -> String {
        List::show(&value.iter().map(Network::to_string).collect())
    }
}

/// The header by which proxies say for whom they speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// `x-forwarded-for` or `forwarded`.
pub(super) struct HeaderName;
impl Form for HeaderName {
    type Value = ProxyHeader;
    const NAME: &'static str = "x-forwarded-for|forwarded";
    fn read(given: &Given) -> Result<ProxyHeader, String> {
        match text(given)?.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(ProxyHeader::XForwardedFor),
            "forwarded" => Ok(ProxyHeader::Forwarded),
            other => Err(format!(
                "{other:?} is neither x-forwarded-for nor forwarded"
            )),
        }
    }
    fn show(value: &ProxyHeader) -> String {
        super::forms::quoted(match value {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let network = Network::parse(network).unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_those_that_share_its_bits() {
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("10.0.0.0/8", "10.255.1.2") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.128.0.0/9", "10.129.0.0") && !holds("10.128.0.0/9", "10.127.0.0"));
        assert!(holds("0.0.0.0/0", "255.1.2.3") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::/33", "2001:db8:8000::1"));
        assert!(holds("::/0", "::1") && !holds("::/0", "1.2.3.4"));
    }

    #[test]
    fn r2_an_ipv4_address_in_ipv6_is_one() {
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!holds("::/0", "::ffff:10.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.1.0.0/8",
            "::1/129",
            "10.0.0.0/8/8",
            "localhost",
            "[::1]",
            "fe80::1%eth0",
            "10.0.0.1:80",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        for text in ["10.0.0.0/8", "::1", "2001:db8::/32"] {
            assert_eq!(Network::parse(text).unwrap().to_string(), text);
        }
    }
}
