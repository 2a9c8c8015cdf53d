//! What a connection remembers of the request that opened it, in little room and without
//! secrets. The values of parsed headers are slices of what was read from the socket, and
//! would keep all of it.

use http::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};
use http::request::Parts;

/// Members of the query that hold secrets.
const SECRETS: [&str; 2] = ["token=", "sid="];

/// Headers and query: the query on the first line, then a header on each.
pub(crate) struct Shown(Box<[u8]>);

impl Shown {
    /// Of a request.
    pub(crate) fn of(head: &Parts) -> Self {
        let mut all = Vec::new();
        let query = head.uri.query().unwrap_or_default();
        let plain = |member: &&str| !SECRETS.iter().any(|secret| member.starts_with(secret));
        for (number, member) in query.split('&').filter(plain).enumerate() {
            if number > 0 {
                all.push(b'&');
            }
            all.extend_from_slice(member.as_bytes());
        }
        for (name, value) in &head.headers {
            if [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) {
                continue;
            }
            all.push(b'\n');
            all.extend_from_slice(name.as_str().as_bytes());
            all.push(b':');
            all.extend_from_slice(value.as_bytes());
        }
        Self(all.into())
    }

    /// The query, without secrets.
    pub(crate) fn query(&self) -> &str {
        let line = self.0.split(|b| *b == b'\n').next();
        // It was text, and no line end can stand in it.
        std::str::from_utf8(line.unwrap_or_default()).unwrap_or_default()
    }

    /// The headers, without those that hold secrets.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in self.0.split(|b| *b == b'\n').skip(1) {
            let Some(end) = line.iter().position(|b| *b == b':') else {
                continue;
            };
            let name = HeaderName::from_bytes(&line[..end]);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&line[end + 1..])) {
                headers.append(name, value);
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_and_query_are_kept_and_secrets_are_not() {
        let request = http::Request::get("/socket.io/?EIO=4&token=abc&room=a%20b&sid=xyz")
            .header("x-a", "1: 2")
            .header("x-a", "3")
            .header("cookie", "session=secret")
            .header("authorization", "Bearer secret")
            .header("x-b", HeaderValue::from_bytes(b"\xe4").unwrap());
        let shown = Shown::of(&request.body(()).unwrap().into_parts().0);
        assert_eq!(shown.query(), "EIO=4&room=a%20b");
        let headers = shown.headers();
        assert_eq!(headers.len(), 3);
        let all: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(all, ["1: 2", "3"]);
        assert_eq!(headers["x-b"].as_bytes(), b"\xe4");
        let text = String::from_utf8_lossy(&shown.0).into_owned();
        assert!(!text.contains("secret") && !text.contains("xyz") && !text.contains("abc"));
    }
}
