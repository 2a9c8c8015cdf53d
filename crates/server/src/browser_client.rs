//! `GET /socket.io/socket.io.js`: the browser client for Socket.IO, for pages that load it from
//! the server that they talk to. Its sources are in `clients/socketio`.

use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::answer::{Answer, empty, full, not_allowed};

const TYPE: &str = "text/javascript; charset=utf-8";
/// A page that isolates itself may load the client from elsewhere, too (Fetch, 3.7).
const POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What is needed to answer for one file, made when it is first asked for.
struct File {
    plain: Bytes,
    gzip: Bytes,
    /// Strong, so the two encodings have one each (RFC 9110, 8.8.3.3).
    tags: [HeaderValue; 2],
}

/// The one client, as a module: its last line exports.
const TEXT: &str = include_str!("assets/socket.io.esm.js");

static MODULE: LazyLock<File> = LazyLock::new(|| File::new(Bytes::from_static(TEXT.as_bytes())));
static CLASSIC: LazyLock<File> = LazyLock::new(|| File::new(classic(TEXT).into()));

/// Their names, also those under which pages know smaller files, of which ours are some.
const NAMES: [&str; 4] = [
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.esm.js",
    "socket.io.esm.min.js",
];

/// Whether a path is one of the client's, which stand below the path of Socket.IO.
pub(crate) fn is_here(below: &str, path: &str) -> bool {
    path.strip_prefix(below)
        .is_some_and(|name| NAMES.contains(&name))
}

/// The answer for a path that is one of the client's.
pub(crate) fn answer(path: &str, method: &Method, headers: &HeaderMap) -> Answer {
    let is_module = path.ends_with(".esm.js") || path.ends_with(".esm.min.js");
    let file = if is_module { &MODULE } else { &CLASSIC };
    match *method {
        Method::GET | Method::HEAD => file.answer(headers),
        _ => not_allowed("GET, HEAD"),
    }
}

/// What `<script src>` loads: the same, which makes the global `io` in place of exporting.
fn classic(module: &str) -> String {
    let code = module
        .rsplit_once("export {")
        .map_or(module, |(code, _)| code);
    format!("(()=>{{'use strict';\n{code}globalThis.io=io;\n}})();\n")
}

impl File {
    fn new(text: Bytes) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail; an empty variant would not be offered.
        let gzip = encoder.write_all(&text).and_then(|()| encoder.finish());
        let digest = Sha256::digest(&text);
        let tag = |mark: &str| {
            let hex: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
            HeaderValue::try_from(format!("\"{hex}{mark}\""))
                .unwrap_or(HeaderValue::from_static("\"\""))
        };
        Self {
            plain: text.clone(),
            gzip: gzip.unwrap_or_default().into(),
            tags: [tag(""), tag("-gzip")],
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Answer {
        let zipped = takes_gzip(headers) && !self.gzip.is_empty();
        let tag = &self.tags[usize::from(zipped)];
        let mut known = headers.get_all(IF_NONE_MATCH).iter();
        let mut answer = if known.any(|known| names(known, tag)) {
            empty(StatusCode::NOT_MODIFIED)
        } else if zipped {
            let mut answer = full(StatusCode::OK, TYPE, self.gzip.clone());
            let gzip = HeaderValue::from_static("gzip");
            answer.headers_mut().insert(CONTENT_ENCODING, gzip);
            answer
        } else {
            full(StatusCode::OK, TYPE, self.plain.clone())
        };
        let headers = answer.headers_mut();
        headers.insert(ETAG, tag.clone());
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        // Kept, and asked for again: a page never talks to a server with the client of another.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(POLICY, HeaderValue::from_static("cross-origin"));
        answer
    }
}

/// Whether `gzip` is accepted by name, and not with a weight of nothing (RFC 9110, 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let zero = weight.trim().strip_prefix("q=");
            let zero = zero.is_some_and(|q| q.trim_end_matches(['0', '.']).is_empty());
            name.trim().eq_ignore_ascii_case("gzip") && !zero
        })
}

/// Whether a list of entity tags has this one; weak ones count (RFC 9110, 13.1.2).
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(list), Ok(tag)) = (list.to_str(), tag.to_str()) else {
        return false;
    };
    list.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;

    use http_body_util::BodyExt as _;

    use super::*;

    async fn ask(path: &str, headers: &[(HeaderName, &str)]) -> (u16, HeaderMap, Bytes) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let (head, body) = answer(path, &Method::GET, &headers).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, body)
    }

    fn unzipped(body: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(body);
        decoder.read_to_end(&mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn the_client_is_less_than_8_kb_when_zipped_and_the_same_when_not() {
        for path in ["/socket.io/socket.io.js", "/socket.io/socket.io.esm.min.js"] {
            let (status, headers, plain) = ask(path, &[]).await;
            assert_eq!(status, 200);
            assert_eq!(headers[VARY], "Accept-Encoding");
            assert!(!headers.contains_key(CONTENT_ENCODING));
            assert_eq!(headers["content-type"], TYPE);
            let (_, headers, zipped) = ask(path, &[(ACCEPT_ENCODING, "br, gzip;q=0.5")]).await;
            assert_eq!(headers[CONTENT_ENCODING], "gzip");
            assert_eq!(unzipped(&zipped), plain);
            assert!(zipped.len() < 8000, "{} bytes", zipped.len());
        }
    }

    #[tokio::test]
    async fn a_script_makes_the_global_where_the_module_exports() {
        let text = async |path: &str| {
            let (.., body) = ask(path, &[]).await;
            String::from_utf8(body.to_vec()).unwrap()
        };
        let script = text("/socket.io/socket.io.js").await;
        let module = text("/socket.io/socket.io.esm.js").await;
        let (code, exports) = module.split_at(module.find("export {").unwrap());
        assert_eq!(exports.lines().count(), 1);
        let tail = format!("{code}globalThis.io=io;\n}})();\n");
        assert_eq!(script, format!("(()=>{{'use strict';\n{tail}"));
    }

    #[tokio::test]
    async fn a_page_that_has_it_is_not_sent_it_again() {
        const PATH: &str = "/socket.io/socket.io.js";
        let gzip = (ACCEPT_ENCODING, "gzip");
        let tags = [
            ask(PATH, &[]).await,
            ask(PATH, std::slice::from_ref(&gzip)).await,
        ]
        .map(|(_, headers, _)| headers[ETAG].to_str().unwrap().to_owned());
        assert_ne!(tags[0], tags[1]);
        let known = format!("\"other\", W/{}", tags[1]);
        let (status, headers, body) = ask(PATH, &[gzip, (IF_NONE_MATCH, &known)]).await;
        assert_eq!((status, body.len()), (304, 0));
        assert_eq!(headers[ETAG], tags[1]);
        let (status, ..) = ask(PATH, &[(IF_NONE_MATCH, &known)]).await;
        assert_eq!(status, 200);
    }

    #[test]
    fn only_what_is_the_clients_is_answered() {
        assert!(is_here("/socket.io/", "/socket.io/socket.io.js"));
        assert!(is_here("/chat/", "/chat/socket.io.esm.min.js"));
        for path in [
            "/socket.io/",
            "/socket.io/x.js",
            "/socket.io.js",
            "/c/socket.io.js",
        ] {
            assert!(!is_here("/socket.io/", path), "{path}");
        }
        let refused = answer("/socket.io/socket.io.js", &Method::POST, &HeaderMap::new());
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn gzip_is_taken_where_it_is_named_and_not_refused() {
        for (accepted, takes) in [
            ("gzip", true),
            ("deflate, GZIP ; q=0.1", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("*", false),
            ("identity", false),
        ] {
            let headers = [(ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap())];
            assert_eq!(
                takes_gzip(&headers.into_iter().collect()),
                takes,
                "{accepted}"
            );
        }
    }
}
