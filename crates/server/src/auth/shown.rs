//! Where a request shows who sends it.

use fanwire_core::error::{Code, Refusal};
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;

/// A proof, not yet looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) proof: String,
    pub(super) way: Way,
}

/// How it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `Authorization: Bearer`.
    Header,
    /// The configured cookie.
    Cookie,
    /// `?token=`.
    Url,
}

/// The first proof of a request; none where it shows none.
///
/// # Errors
/// `unauthorized` where one is shown in a form that is not understood: it is not
/// passed over for the next.
pub(super) fn find(
    head: &Parts,
    cookie: Option<&str>,
    in_url: bool,
) -> Result<Option<Shown>, Refusal> {
    let shown = |proof: &[u8], way| match std::str::from_utf8(proof) {
        Ok(proof) if !proof.is_empty() => Ok(Some(Shown {
            proof: proof.to_owned(),
            way,
        })),
        _ => Err(super::unknown_key()),
    };
    let mut values = head.headers.get_all(AUTHORIZATION).iter();
    if let Some(value) = values.next() {
        let proof = bearer(value.as_bytes()).filter(|_| values.next().is_none());
        return shown(proof.ok_or_else(super::unknown_key)?, Way::Header);
    }
    if let Some(name) = cookie {
        let mut all = head.headers.get_all(COOKIE).iter().flat_map(|value| {
            let pairs = value.as_bytes().split(|byte| *byte == b';');
            pairs.filter_map(|pair| of_cookie(pair.trim_ascii(), name))
        });
        if let Some(proof) = all.next() {
            if all.next().is_some() {
                let sentence = "the cookie with the token came twice";
                return Err(Refusal::new(Code::Unauthorized, sentence));
            }
            return shown(proof, Way::Cookie);
        }
    }
    if in_url {
        let query = head.uri.query().unwrap_or_default();
        let mut all = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("token="));
        if let Some(proof) = all.next() {
            if all.next().is_some() {
                let sentence = "the parameter token came twice";
                return Err(Refusal::new(Code::Unauthorized, sentence));
            }
            return shown(proof.as_bytes(), Way::Url);
        }
    }
    Ok(None)
}

/// The credentials of the scheme `Bearer`, in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| secret.trim_ascii())
}

/// The value of this cookie (RFC 6265, 4.2.1; quotes are the value's, as in 5.4).
fn of_cookie<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(uri: &str, headers: &[(&str, &str)]) -> Result<Option<(String, Way)>, Code> {
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        find(&head, Some("session"), true)
            .map(|shown| shown.map(|shown| (shown.proof, shown.way)))
            .map_err(|refusal| refusal.code)
    }

    fn shown(proof: &str, way: Way) -> Result<Option<(String, Way)>, Code> {
        Ok(Some((proof.to_owned(), way)))
    }

    #[test]
    fn the_header_comes_before_the_cookie_and_the_cookie_before_the_url() {
        let all = [("authorization", "Bearer h"), ("cookie", "session=c")];
        assert_eq!(ask("/c/a?token=u", &all), shown("h", Way::Header));
        assert_eq!(ask("/c/a?token=u", &all[1..]), shown("c", Way::Cookie));
        assert_eq!(ask("/c/a?x=1&token=u", &[]), shown("u", Way::Url));
        assert_eq!(ask("/c/a", &[]), Ok(None));
        assert_eq!(
            ask("/c/a", &[("authorization", "bearer  x ")]),
            shown("x", Way::Header)
        );
    }

    #[test]
    fn a19_a_proof_of_another_form_is_refused_never_passed_over() {
        for header in ["Basic abc", "Bearer ", "Bearer", "", "abc"] {
            let told = ask("/c/a?token=u", &[("authorization", header)]);
            assert_eq!(told, Err(Code::Unauthorized), "{header:?}");
        }
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer a")];
        assert_eq!(ask("/c/a", &twice), Err(Code::Unauthorized));
        for cookies in ["session=a; session=b", "session="] {
            assert_eq!(ask("/c/a", &[("cookie", cookies)]), Err(Code::Unauthorized));
        }
        assert_eq!(ask("/c/a?token=a&token=b", &[]), Err(Code::Unauthorized));
        assert_eq!(ask("/c/a?token=", &[]), Err(Code::Unauthorized));
    }

    #[test]
    fn another_cookie_is_not_ours() {
        for cookies in [
            "Session=a",
            "xsession=a",
            "session2=a",
            "a=session=b",
            "session",
        ] {
            assert_eq!(ask("/c/a", &[("cookie", cookies)]), Ok(None), "{cookies}");
        }
        let several = ask("/c/a", &[("cookie", "a=1; session=x; b=2")]);
        assert_eq!(several, shown("x", Way::Cookie));
    }
}
