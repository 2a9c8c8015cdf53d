//! The PROXY protocol.

use std::net::SocketAddr;

use fanwire_proto::error::DecodeError;
use fanwire_proto::limits::PROXY_HEADER_BYTES;
use fanwire_proto::proxy::{Origin, decode};

/// All of it is the beginning of a connection.
pub(super) fn header(data: &[u8]) {
    let mut first: Option<Result<(Origin, usize), DecodeError>> = None;
    for end in 0..=data.len().min(PROXY_HEADER_BYTES + 10) {
        let Some(read) = decode(&data[..end]).transpose() else {
            assert!(first.is_none(), "what was known is unknown again");
            assert!(end < PROXY_HEADER_BYTES, "it waits past the limit");
            continue;
        };
        if let Ok((_, len)) = read {
            assert!((1..=end).contains(&len));
        }
        let first = *first.get_or_insert(read);
        assert_eq!(first, read, "more bytes do not change what it says");
    }
    if let Some(Ok((
        origin @ Origin::Client {
            source,
            destination,
        },
        _,
    ))) = first
    {
        for header in [line(source, destination), binary(source, destination)] {
            let read = decode(&header).expect("a legal header");
            assert_eq!(read, Some((origin, header.len())));
        }
    }
}

/// A header of version 1.
fn line(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    )
    .into_bytes()
}

/// A header of version 2, without TLVs.
fn binary(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut body = Vec::new();
    for end in [source, destination] {
        match end {
            SocketAddr::V4(end) => body.extend_from_slice(&end.ip().octets()),
            SocketAddr::V6(end) => body.extend_from_slice(&end.ip().octets()),
        }
    }
    for end in [source, destination] {
        body.extend_from_slice(&end.port().to_be_bytes());
    }
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    out.push(family);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(&body);
    out
}
