//! The server's side of the WebSocket handshake (RFC 6455, 4.2).

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use fanwire_proto::ws::deflate::Agreed;
use fanwire_proto::ws::handshake::{accept_key, check_key};
use fanwire_proto::ws::{CloseCode, close_frame};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Response, StatusCode, Version, request};

use super::listen::Reply;
use super::negotiate::{SUBPROTOCOL, offers_envelope, wants_upgrade};
use crate::answer::{Dress, open_head};

/// Checks an opening handshake and gives its key.
///
/// # Errors
/// `upgrade_required` for another version of the protocol, else `bad_request`.
pub(super) fn check(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Result<HeaderValue, Refusal> {
    let bad = |why: &str| Err(Refusal::new(Code::BadRequest, why));
    if method != Method::GET || version < Version::HTTP_11 {
        return bad("a WebSocket is opened by a GET of HTTP/1.1");
    }
    if has_body(headers) {
        return bad("the request that opens a WebSocket has no body");
    }
    if !wants_upgrade(headers) {
        return bad("a WebSocket handshake has 'Connection: Upgrade'");
    }
    let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION).iter();
    let version = versions.next().map(HeaderValue::as_bytes);
    if version != Some(b"13") || versions.next().is_some() {
        return Err(Refusal::new(
            Code::UpgradeRequired,
            "this server speaks WebSocket version 13",
        ));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if check_key(key.as_bytes()).is_ok() => Ok(key.clone()),
        _ => bad("Sec-WebSocket-Key stands once and is the base64 of 16 bytes"),
    }
}

/// Whether the request announces a body; `Content-Length: 0` announces none.
pub(super) fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get_all(CONTENT_LENGTH)
            .iter()
            .any(|value| value != "0")
}

/// What of the compression that the client offers can be met; none where it
/// offers none, or none that is well-formed.
pub(super) fn compression(headers: &HeaderMap) -> Option<Agreed> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    Agreed::answer(lines.map(HeaderValue::as_bytes))
}

/// Answers a handshake that is refused so that a page hears why: it never sees
/// the status of one, so the socket is opened and closed with the code.
///
/// # Errors
/// As [`check`].
pub(super) fn close_at_once(
    head: &request::Parts,
    dress: &Dress,
    refusal: &Refusal,
) -> Result<Reply, Refusal> {
    let key = check(&head.method, head.version, &head.headers)?;
    // A browser that offered it hears nothing of a socket that does not name it.
    let named = offers_envelope(&head.headers);
    let head = switching(&key, named, None, dress);
    let code = refusal.code.close().map(CloseCode);
    let words = close_frame(code, &refusal.detail);
    Ok(Reply::Says { head, named, words })
}

/// The whole 101 head. `named`: the envelope's subprotocol was offered and
/// chosen. `agreed`: compression was, too.
pub(super) fn switching(
    key: &HeaderValue,
    named: bool,
    agreed: Option<Agreed>,
    dress: &Dress,
) -> Bytes {
    let mut response = Response::new(());
    switch(&mut response, key);
    let headers = response.headers_mut();
    name(headers, named, agreed);
    dress.put_on(headers);
    let mut head = open_head(&response.into_parts().0);
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// Makes of an answer of HTTP/1.1 the one that grants a WebSocket.
pub(super) fn switch<B>(response: &mut Response<B>, key: &HeaderValue) {
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::try_from(accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
}

/// Names what was agreed on, whichever HTTP says it.
pub(super) fn name(headers: &mut HeaderMap, named: bool, agreed: Option<Agreed>) {
    if named {
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
    }
    if let Some(Ok(extension)) = agreed.map(|agreed| HeaderValue::try_from(agreed.header())) {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
    }
}

/// Makes a handshake of HTTP/2 (RFC 8441, 5) one of HTTP/1.1, so that the same
/// code judges it: what says so there is in the protocol here.
pub(super) fn translate(head: &mut http::request::Parts) {
    head.method = Method::GET;
    let headers = &mut head.headers;
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let key = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");
    headers.insert(SEC_WEBSOCKET_KEY, key);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn headers(change: impl FnOnce(&mut HeaderMap)) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        change(&mut headers);
        headers
    }

    fn judged(change: impl FnOnce(&mut HeaderMap)) -> Option<Code> {
        let headers = headers(change);
        check(&Method::GET, Version::HTTP_11, &headers)
            .err()
            .map(|refusal| refusal.code)
    }

    #[test]
    fn h5_a_good_handshake_passes() {
        assert_eq!(judged(|_| {}), None);
        let zero = |h: &mut HeaderMap| {
            h.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        };
        assert_eq!(judged(zero), None);
    }

    #[test]
    fn h1_another_version_is_426() {
        let required = Some(Code::UpgradeRequired);
        assert_eq!(judged(|h| drop(h.remove(SEC_WEBSOCKET_VERSION))), required);
        let eight = |h: &mut HeaderMap| {
            h.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        };
        assert_eq!(judged(eight), required);
    }

    #[test]
    fn h2_a_key_is_one_base64_of_16_bytes() {
        let bad = Some(Code::BadRequest);
        assert_eq!(judged(|h| drop(h.remove(SEC_WEBSOCKET_KEY))), bad);
        for key in [
            "",
            "short",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "****************************",
        ] {
            let other = |h: &mut HeaderMap| {
                h.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(key).unwrap());
            };
            assert_eq!(judged(other), bad, "{key}");
        }
        let twice = |h: &mut HeaderMap| {
            h.append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        };
        assert_eq!(judged(twice), bad);
    }

    #[test]
    fn h3_h4_no_other_method_no_old_version_no_body() {
        let headers = headers(|_| {});
        let code = |method, version| check(&method, version, &headers).unwrap_err().code;
        assert_eq!(code(Method::POST, Version::HTTP_11), Code::BadRequest);
        assert_eq!(code(Method::GET, Version::HTTP_10), Code::BadRequest);
        let bad = Some(Code::BadRequest);
        let length = |h: &mut HeaderMap| {
            h.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
        };
        assert_eq!(judged(length), bad);
        let chunked = |h: &mut HeaderMap| {
            h.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        };
        assert_eq!(judged(chunked), bad);
        assert_eq!(judged(|h| drop(h.remove(CONNECTION))), bad);
    }

    #[test]
    fn h6_a_socket_that_is_closed_at_once_names_the_subprotocol_that_was_offered() {
        let said = |offer: &'static str| {
            let request = http::Request::get("/c/a")
                .header(CONNECTION, "Upgrade")
                .header(UPGRADE, "websocket")
                .header(SEC_WEBSOCKET_VERSION, "13")
                .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
                .header(SEC_WEBSOCKET_PROTOCOL, offer);
            let head = request.body(()).unwrap().into_parts().0;
            let refusal = Refusal::new(Code::ConnectionLimit, "too many");
            match close_at_once(&head, &Dress::default(), &refusal) {
                Ok(Reply::Says { head, named, .. }) => (head, named),
                _ => panic!("nothing is said"),
            }
        };
        let (head, named) = said("other, fanwire.envelope");
        let head = String::from_utf8(head.to_vec()).unwrap();
        assert!(named && head.contains("sec-websocket-protocol: fanwire.envelope\r\n"));
        assert!(!said("other").1);
    }

    #[test]
    fn h6_only_a_chosen_subprotocol_is_named() {
        let key = HeaderValue::from_static(KEY);
        let text = |named| {
            let head = switching(&key, named, None, &Dress::default());
            String::from_utf8(head.to_vec()).unwrap()
        };
        assert!(text(false).starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
        assert!(text(false).contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(text(false).ends_with("\r\n\r\n"));
        assert!(!text(false).contains("sec-websocket-protocol"));
        assert!(text(true).contains("sec-websocket-protocol: fanwire.envelope\r\n"));
    }

    #[test]
    fn h7_compression_is_named_where_it_was_agreed_on_over_all_header_lines() {
        let offers = headers(|h| {
            for line in [
                "x, permessage-deflate; y",
                "permessage-deflate; client_max_window_bits",
            ] {
                h.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(line));
            }
        });
        assert_eq!(compression(&headers(|_| {})), None);
        let key = HeaderValue::from_static(KEY);
        let head = switching(&key, false, compression(&offers), &Dress::default());
        assert!(String::from_utf8(head.to_vec()).unwrap().contains(
            "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
             client_no_context_takeover\r\n"
        ));
    }
}
