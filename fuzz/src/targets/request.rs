//! What a request says.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use fanwire::{Config, fuzzing};
use fanwire_client::session::target::{Base, check_channels, path};
use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::key::{Key, Name, Namespace};
use fanwire_core::limits::{MAX_EVENT, MAX_NAME, MAX_NAMESPACE, MAX_URL_CHANNELS};
use fanwire_core::message::{Body, EventName};
use fanwire_proto::native::{args, json};
use http::{HeaderMap, HeaderValue, header};

use super::http::headers;
use crate::input::Input;

/// All of it is a cursor.
pub(super) fn cursor(data: &[u8]) {
    match Cursor::read(data) {
        CursorText::Cursor(cursor) => {
            let shown = cursor.to_string();
            assert_eq!(shown.as_bytes(), data, "one text for each cursor");
        }
        CursorText::Empty => assert!(data.is_empty()),
        CursorText::Malformed => assert!(!data.is_empty()),
    }
    // And every cursor can be read.
    let mut input = Input::new(data);
    let (epoch, seq) = (input.long(), input.long());
    let cursor = Cursor::new(
        fanwire_core::cursor::Epoch(epoch),
        fanwire_core::cursor::Seq(seq),
    );
    assert_eq!(
        Cursor::read(cursor.to_string().as_bytes()),
        CursorText::Cursor(cursor)
    );
}

/// All of it is a name of each kind.
pub(super) fn names(data: &[u8]) {
    if let Ok(key) = Key::parse(data) {
        assert_eq!(Key::parse(key.to_string().as_bytes()), Ok(key.clone()));
        match &key {
            Key::Channel(namespace, name) => {
                assert!((1..=MAX_NAME).contains(&name.as_str().len()));
                assert!(!name.as_str().contains(char::is_control));
                assert!(namespace.is_root() || Namespace::new(namespace.as_str()).is_ok());
            }
            Key::All(_) => {}
            Key::Socket(..) => panic!("a socket has no name outside"),
        }
    }
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(Key::parse(data).is_err());
        return;
    };
    if let Ok(namespace) = Namespace::new(text) {
        assert!(text.len() <= MAX_NAMESPACE && namespace.as_str() == text);
        assert!(Key::parse(format!("{text}:x").as_bytes()).is_ok());
    }
    if let Ok(name) = Name::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(Key::parse(format!(":{text}").as_bytes()).is_ok());
    }
    if let Ok(event) = EventName::new(text) {
        assert!((1..=MAX_EVENT).contains(&text.len()) && event.as_str() == text);
        assert!(!text.starts_with('$') && !text.contains(['\r', '\n', '\0']));
    }
}

/// A line for the list of channels, then the query.
pub(super) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (list, query) = match text.split_once('\n') {
        Some((list, query)) => (Some(list), Some(query)),
        None => (Some(&*text), None),
    };
    for (list, query) in [(list, query), (None, list), (list, None)] {
        let Ok(keys) = fuzzing::target(list, query) else {
            continue;
        };
        assert!((1..=MAX_URL_CHANNELS).contains(&keys.len()));
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{key} stands twice");
            assert_eq!(Key::parse(key.to_string().as_bytes()).as_ref(), Ok(key));
        }
    }
}

/// Lines, each a channel as a caller of the client names it; the first one is
/// an address, too.
pub(super) fn client_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let channels: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let address = &channels[0];
    for url in [address.clone(), format!("http://{address}")] {
        if let Ok(base) = Base::parse(&url) {
            assert!(!base.host.is_empty() && !base.prefix.ends_with('/'));
            assert!(!base.authority.contains(['@', '\r', '\n', ' ']));
            // What is behind the last colon and outside brackets is the port.
            let written = base.authority.rsplit_once(':').map_or("", |(_, port)| port);
            assert!(
                written.is_empty() || written.contains(']') || written.parse() == Ok(base.port)
            );
        }
    }
    let path = path(&channels);
    assert!(path.bytes().all(|b| b.is_ascii_graphic()));
    let list = path.strip_prefix("/c/").expect("a path of channels");
    let mut expected: Vec<Key> = Vec::new();
    for channel in &channels {
        match Key::parse(channel.as_bytes()) {
            Ok(key) if !expected.contains(&key) => expected.push(key),
            Ok(_) => {}
            Err(_) => {
                assert!(fuzzing::target(Some(list), None).is_err());
                return;
            }
        }
    }
    match fuzzing::target(Some(list), None) {
        Ok(keys) => assert_eq!(keys, expected),
        Err(_) => assert!(expected.len() > MAX_URL_CHANNELS),
    }
    if expected.len() == channels.len() && channels.len() <= MAX_URL_CHANNELS {
        check_channels(&channels).expect("the client takes what the server takes");
    }
}

/// A line for the query, the others are headers.
pub(super) fn negotiate(data: &[u8]) {
    let mut input = Input::new(data);
    let query = String::from_utf8_lossy(input.line()).into_owned();
    let headers = headers(input);
    for channels in [1, 2] {
        let _ = fuzzing::negotiate(&headers, &query, channels);
    }
    // However wrong a cursor is, it is no reason to refuse.
    let mut cursor = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(query.as_bytes()) {
        cursor.insert("last-event-id", value);
        let start = fuzzing::negotiate(&cursor, "", 1).expect("a cursor is never refused");
        let read = format!("{:?}", Cursor::read(query.as_bytes()));
        assert!(start.contains(&read), "{start} is not after {read}");
    }
}

/// A line for the content type, the others are the body.
pub(super) fn publish_body(data: &[u8]) {
    let mut input = Input::new(data);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(input.line()) {
        headers.insert(header::CONTENT_TYPE, value.clone());
        headers.insert("idempotency-key", value);
    }
    let body = input.rest();
    for several in [false, true] {
        match fuzzing::body(&headers, several, Bytes::copy_from_slice(body)) {
            Ok(Body::Json(kept)) => {
                assert_eq!(kept, body);
                json::check(body).expect("JSON that is taken is JSON");
            }
            Ok(Body::Text(kept)) => {
                assert_eq!(kept, body);
                assert!(std::str::from_utf8(body).is_ok());
            }
            Ok(Body::Binary(kept)) => assert_eq!(kept, body),
            Ok(Body::Args { json, attachments }) => {
                assert!(several);
                let mut surface = Vec::new();
                args::write_surface(&mut surface, &json, &attachments);
                assert!(args::parse_surface(&surface).is_ok());
            }
            Err(_) => {}
        }
    }
}

/// The first byte says in which header; the rest is what a client wrote there,
/// line by line, before a proxy appended whom it had heard from.
pub(super) fn forwarded(data: &[u8]) {
    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    let mut input = Input::new(data);
    let (word, name, entry) = match input.byte() % 3 {
        0 => ("x-forwarded-for", "x-forwarded-for", "192.0.2.9"),
        1 => ("forwarded", "forwarded", "for=192.0.2.9"),
        _ => ("forwarded", "forwarded", "for=\"[::ffff:192.0.2.9]:80\""),
    };
    let settings = format!("[access]\nproxies = [\"10.0.0.0/8\"]\nproxy_header = \"{word}\"\n");
    let config = Config::from_toml(&settings).expect("a legal configuration");
    let mut lines: Vec<Vec<u8>> = input
        .rest()
        .split(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .filter(|line| HeaderValue::from_bytes(line).is_ok())
        .collect();
    let client = |lines: &[Vec<u8>], peer| {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line).expect("a legal value");
            headers.append(name, value);
        }
        fuzzing::client(&config, peer, &headers)
    };
    assert_eq!(client(&lines, CLIENT), None, "no proxy is not believed");
    assert!(client(&lines, PROXY).is_some());
    // On a line of its own, and on the client's.
    let own = [&lines[..], &[entry.into()]].concat();
    assert_eq!(client(&own, PROXY), Some(CLIENT));
    if let Some(last) = lines.last_mut() {
        last.extend_from_slice(b", ");
        last.extend_from_slice(entry.as_bytes());
        assert_eq!(client(&lines, PROXY), Some(CLIENT), "{lines:?}");
    }
}
