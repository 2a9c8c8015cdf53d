//! The PROXY protocol, versions 1 and 2: the header by which a proxy says, as
//! the first bytes of a connection, for whom it speaks
//! (`proxy-protocol.txt` of HAProxy, sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::DecodeError;
use crate::limits::PROXY_HEADER_BYTES;

/// The first bytes of version 1.
const V1: &[u8] = b"PROXY ";
/// Longest line of version 1, CR LF included (2.1).
const V1_LINE: usize = 107;
/// The first bytes of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses: signature, command, family, length.
const V2_FIXED: usize = 16;

/// For whom the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The proxy speaks for itself (a health check), or cannot say for whom:
    /// the connection's own address is the only one.
    Own,
    /// Some client's.
    Client {
        /// The client's address, as the proxy saw it.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
}

/// Reads the header at the beginning of `input`, which is everything that has
/// come so far. Gives what it says and how many bytes it is; none while it is
/// not whole. What stands behind the addresses (TLVs) is skipped unread.
///
/// # Errors
/// `Malformed` at the first byte that shows it; `TooLarge` where the header
/// declares more than [`PROXY_HEADER_BYTES`]. The connection has to be closed:
/// nothing says where the next protocol begins.
pub fn decode(input: &[u8]) -> Result<Option<(Origin, usize)>, DecodeError> {
    if begins(input, V2) {
        return version_2(input);
    }
    if begins(input, V1) {
        return version_1(input);
    }
    Err(DecodeError::malformed(0, "this is no PROXY header"))
}

/// Whether `input` may be, or go on to be, one that starts with `sign`.
fn begins(input: &[u8], sign: &[u8]) -> bool {
    let known = input.len().min(sign.len());
    input[..known] == sign[..known]
}

fn version_1(input: &[u8]) -> Result<Option<(Origin, usize)>, DecodeError> {
    let window = &input[..input.len().min(V1_LINE)];
    let Some(end) = window.iter().position(|b| *b == b'\n') else {
        if input.len() >= V1_LINE {
            return Err(DecodeError::malformed(V1_LINE, "the line does not end"));
        }
        return Ok(None);
    };
    let wrong = |why| DecodeError::malformed(V1.len(), why);
    let line = window[..end].strip_suffix(b"\r");
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let Some(line) = line else {
        return Err(wrong("the line is not text that ends in CR LF"));
    };
    let rest = line.get(V1.len()..).unwrap_or_default();
    // What follows UNKNOWN is to be ignored (2.1).
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(Some((Origin::Own, end + 1)));
    }
    let words: Vec<&str> = rest.split(' ').collect();
    let &[family, source, destination, from, to] = words.as_slice() else {
        return Err(wrong("the line has not five words after PROXY"));
    };
    let address = |text: &str| match family {
        "TCP4" => text.parse().ok().map(IpAddr::V4),
        "TCP6" => text.parse().ok().map(IpAddr::V6),
        _ => None,
    };
    let ends = address(source).zip(address(destination));
    let ports = port(from).zip(port(to));
    let Some(((source, destination), (from, to))) = ends.zip(ports) else {
        return Err(wrong("the line's family, addresses or ports are not such"));
    };
    let origin = Origin::Client {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    };
    Ok(Some((origin, end + 1)))
}

/// 0 to 65535 without leading zeros (2.1).
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| digits && !leading)
}

fn version_2(input: &[u8]) -> Result<Option<(Origin, usize)>, DecodeError> {
    // Each byte is judged as soon as it is there: what is wrong need not be waited for.
    let local = match input.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => {
            return Err(DecodeError::malformed(
                12,
                "the version or command is not known",
            ));
        }
    };
    let family = match input.get(13) {
        None => return Ok(None),
        // Unspecified, IPv4, IPv6 or a path, each of no, a stream or a datagram protocol.
        Some(byte) if byte >> 4 <= 3 && byte & 0xf <= 2 => byte >> 4,
        Some(_) => {
            return Err(DecodeError::malformed(
                13,
                "the family or protocol is not known",
            ));
        }
    };
    let Some(&[high, low]) = input.get(14..V2_FIXED) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = V2_FIXED + length;
    if whole > PROXY_HEADER_BYTES {
        return Err(DecodeError::TooLarge {
            limit: PROXY_HEADER_BYTES,
            got: whole as u64,
        });
    }
    let needed = match family {
        _ if local => 0,
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    };
    if length < needed {
        return Err(DecodeError::malformed(
            14,
            "the addresses do not fit the length",
        ));
    }
    let Some(body) = input.get(V2_FIXED..whole) else {
        return Ok(None);
    };
    let origin = match family {
        _ if local => None,
        1 => pair::<4, 12>(body, |bytes| Ipv4Addr::from(bytes).into()),
        2 => pair::<16, 36>(body, |bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    };
    Ok(Some((origin.unwrap_or(Origin::Own), whole)))
}

/// Source and destination of `N` bytes each, then their ports: `ALL` bytes.
fn pair<const N: usize, const ALL: usize>(
    body: &[u8],
    address: impl Fn([u8; N]) -> IpAddr,
) -> Option<Origin> {
    let body: &[u8; ALL] = body.first_chunk()?;
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, ports) = rest.split_first_chunk::<N>()?;
    let &[a, b, c, d] = ports else {
        return None;
    };
    Some(Origin::Client {
        source: SocketAddr::new(address(*source), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(address(*destination), u16::from_be_bytes([c, d])),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn client(source: &str, destination: &str) -> Origin {
        Origin::Client {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, body].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0, 80];

    fn headers() -> Vec<(Vec<u8>, Origin)> {
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 28], &[1, 0, 0, 80]].concat();
        let tlv = [&IPV4[..], &[1, 0, 2, b'h', b'2']].concat();
        let ipv4 = client("192.0.2.1:4660", "198.51.100.2:80");
        vec![
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\r\n".to_vec(),
                ipv4,
            ),
            (
                b"PROXY TCP6 2001:db8:: ::1 0 65535\r\n".to_vec(),
                client("[2001:db8::]:0", "[::1]:65535"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Origin::Own),
            (b"PROXY UNKNOWN ff:ff: what ever\r\n".to_vec(), Origin::Own),
            (v2(0x21, 0x11, &IPV4), ipv4),
            (v2(0x21, 0x11, &tlv), ipv4),
            (v2(0x21, 0x21, &v6), client("[2001:db8::]:256", "[::]:80")),
            (v2(0x20, 0x00, b""), Origin::Own),
            (v2(0x20, 0x11, b"anything"), Origin::Own),
            (v2(0x21, 0x00, b"tlvs"), Origin::Own),
            (v2(0x21, 0x31, &[0; 216]), Origin::Own),
        ]
    }

    #[test]
    fn headers_of_both_versions_say_for_whom() {
        for (bytes, origin) in headers() {
            let with_more = [&bytes[..], b"GET / HTTP/1.1"].concat();
            for input in [&bytes, &with_more] {
                let read = decode(input).unwrap();
                assert_eq!(read, Some((origin, bytes.len())), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_header_that_is_not_whole_is_waited_for_whatever_its_split() {
        for (bytes, _) in headers() {
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), Ok(None), "{cut} of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
        let bad: Vec<&[u8]> = vec![
            b"GET / HTTP/1.1\r\n",
            b"PROXIE",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4660\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 80 1\r\n",
            b"PROXY TCP4 192.0.2.1  198.51.100.2 4660 80\r\n",
            b"PROXY TCP4 192.0.2.256 198.51.100.2 4660 80\r\n",
            b"PROXY TCP4 192.0.2.01 198.51.100.2 4660 80\r\n",
            b"PROXY TCP4 ::1 ::1 4660 80\r\n",
            b"PROXY TCP6 192.0.2.1 198.51.100.2 4660 80\r\n",
            b"PROXY TCP6 fe80::1%eth0 ::1 4660 80\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 04660 80\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 80\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 80\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.2 1 80\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY \r\n",
            b"PROXY TCP4 \xff\r\n",
            &long,
            b"\r\n\r\n\0\r\nQUIT\n\x11",
            b"\r\n\r\n\0\r\nQUIT\n\x22",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x41",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x13",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0b",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x23",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd7",
            b"\r\n\r\n\0\r\nQUIX",
        ];
        for input in bad {
            assert!(decode(input).is_err(), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_header_has_a_limit_that_shows_before_its_bytes() {
        let declared = |length: usize| {
            let length = u16::try_from(length).unwrap().to_be_bytes();
            decode(&[V2, &[0x21, 0x11], &length].concat())
        };
        assert_eq!(declared(PROXY_HEADER_BYTES - V2_FIXED), Ok(None));
        assert_eq!(
            declared(PROXY_HEADER_BYTES - V2_FIXED + 1),
            Err(DecodeError::TooLarge {
                limit: PROXY_HEADER_BYTES,
                got: PROXY_HEADER_BYTES as u64 + 1,
            })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer_that_more_bytes_do_not_change(
            start in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", V2]),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let all = [start, &bytes].concat();
            let whole = decode(&all);
            for cut in 0..all.len() {
                match decode(&all[..cut]) {
                    Ok(None) => {}
                    Ok(read) => prop_assert_eq!(Ok(read), whole),
                    Err(_) => prop_assert!(whole.is_err()),
                }
            }
            if let Ok(Some((_, length))) = whole {
                prop_assert!(length <= all.len());
            }
        }
    }
}
