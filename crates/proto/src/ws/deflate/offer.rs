//! Agreeing on permessage-deflate in the handshake (RFC 7692, 7.1).

use super::Window;
use crate::error::DecodeError;

const NAME: &[u8] = b"permessage-deflate";

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// No message of the server refers to an earlier one.
    pub server_no_context_takeover: bool,
    /// No message of the client refers to an earlier one.
    pub client_no_context_takeover: bool,
    /// Base-2 logarithm of the server's window, where it was spoken of; else 15.
    pub server_max_window_bits: Option<u8>,
}

impl Agreed {
    /// A server's answer to a client's `Sec-WebSocket-Extensions` (all of its
    /// header lines, in order): to the first offer that can be met. None
    /// declines: anything but a well-formed offer is passed over, and nothing
    /// of it is echoed.
    ///
    /// Both sides are always held to no context takeover, which any client has
    /// to accept (7.1.1): frames are shared, and an idle connection keeps
    /// nothing.
    pub fn answer<'a>(offers: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        offers
            .into_iter()
            .flat_map(|line| split(line, b','))
            .filter_map(Params::read)
            .find_map(|offer| {
                let server_max_window_bits = match offer.server_max_window_bits {
                    None => None,
                    Some(bits) => Some(window_for(bits)?.bits()),
                };
                Some(Self {
                    server_no_context_takeover: true,
                    client_no_context_takeover: true,
                    server_max_window_bits,
                })
            })
    }

    /// The value of the server's `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn header(&self) -> String {
        let mut out = "permessage-deflate".to_owned();
        if self.server_no_context_takeover {
            out.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            out.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            out.push_str(&format!("; server_max_window_bits={bits}"));
        }
        out
    }

    /// The window that the server's frames keep to.
    #[must_use]
    pub fn window(&self) -> Window {
        match self.server_max_window_bits {
            None | Some(15..) => Window::Full,
            Some(_) => Window::Small,
        }
    }
}

/// The largest of our windows that a peer's bound allows. None for 8 bits: no
/// compressor at hand keeps to 256 bytes.
fn window_for(bits: u8) -> Option<Window> {
    [Window::Full, Window::Small]
        .into_iter()
        .find(|window| window.bits() <= bits)
}

/// A client's offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The server is asked not to refer to earlier messages, so that nothing of
    /// them has to be kept.
    pub server_no_context_takeover: bool,
}

impl Offer {
    /// The value of the client's `Sec-WebSocket-Extensions`. It also says that
    /// no message of the client refers to an earlier one.
    #[must_use]
    pub fn header(&self) -> &'static str {
        if self.server_no_context_takeover {
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        } else {
            "permessage-deflate; client_no_context_takeover"
        }
    }

    /// Reads a server's answer (all of its `Sec-WebSocket-Extensions` lines).
    /// None: it declined.
    ///
    /// # Errors
    /// `Malformed` for any other extension, a second one, parameters that are
    /// not of their form, or one that the offer rules out (7.1): end the
    /// connection.
    pub fn check<'a>(
        &self,
        answer: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Agreed>, DecodeError> {
        let mut extensions = answer.into_iter().flat_map(|line| split(line, b','));
        let Some(first) = extensions.next() else {
            return Ok(None);
        };
        let wrong = DecodeError::malformed(0, "the server chose what was not offered");
        let params = Params::read(first).ok_or(wrong)?;
        let forgotten = self.server_no_context_takeover && !params.server_no_context_takeover;
        if extensions.next().is_some() || forgotten || params.client_max_window_bits {
            return Err(wrong);
        }
        Ok(Some(Agreed {
            server_no_context_takeover: params.server_no_context_takeover,
            client_no_context_takeover: params.client_no_context_takeover,
            server_max_window_bits: params.server_max_window_bits,
        }))
    }
}

/// The parameters of one well-formed permessage-deflate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Whether it stands there; its value binds the client alone, whose largest
    /// window we take anyway.
    client_max_window_bits: bool,
}

impl Params {
    /// None for another extension, an unknown parameter, one that stands twice,
    /// a value that is missing, not allowed or not 8 to 15.
    fn read(extension: &[u8]) -> Option<Self> {
        let mut parts = split(extension, b';');
        if parts.next()?.trim_ascii() != NAME {
            return None;
        }
        let mut read = Self::default();
        for part in parts {
            let (name, value) = match part.iter().position(|b| *b == b'=') {
                Some(at) => (&part[..at], Some(part[at + 1..].trim_ascii())),
                None => (part, None),
            };
            let twice = match (name.trim_ascii(), value) {
                (b"server_no_context_takeover", None) => {
                    std::mem::replace(&mut read.server_no_context_takeover, true)
                }
                (b"client_no_context_takeover", None) => {
                    std::mem::replace(&mut read.client_no_context_takeover, true)
                }
                (b"server_max_window_bits", Some(value)) => {
                    read.server_max_window_bits.replace(bits(value)?).is_some()
                }
                (b"client_max_window_bits", value) => {
                    if let Some(value) = value {
                        bits(value)?;
                    }
                    std::mem::replace(&mut read.client_max_window_bits, true)
                }
                _ => return None,
            };
            if twice {
                return None;
            }
        }
        Some(read)
    }
}

/// A number of 8 to 15 without leading zeros, bare or quoted.
fn bits(value: &[u8]) -> Option<u8> {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        bare => bare,
    };
    match value {
        [digit @ (b'8' | b'9')] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// Splits at `by`, but not inside quoted strings. Empty parts of a list of
/// extensions say nothing (RFC 9110, 5.6.1); those of a list of parameters are
/// read as what they are: wrong.
fn split(line: &[u8], by: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |b| {
        let ends = *b == by && !quoted;
        if escaped {
            escaped = false;
        } else if *b == b'"' {
            quoted = !quoted;
        } else {
            escaped = quoted && *b == b'\\';
        }
        ends
    })
    .filter(move |part| by != b',' || !part.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(offers: &str) -> Option<String> {
        Agreed::answer([offers.as_bytes()]).map(|agreed| agreed.header())
    }

    #[test]
    fn h7_a_good_offer_is_answered_with_what_we_keep_to() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=10 ; server_no_context_takeover",
            "\tpermessage-deflate ; client_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"12\"",
        ] {
            assert_eq!(answer(offer).as_deref(), Some(PLAIN), "{offer}");
        }
        for (asked, given) in [("15", 15), ("14", 9), ("\"10\"", 9), ("9", 9)] {
            let offer = format!("permessage-deflate; server_max_window_bits={asked}");
            let given = format!("{PLAIN}; server_max_window_bits={given}");
            assert_eq!(answer(&offer), Some(given));
        }
    }

    #[test]
    fn h7_a_bad_offer_is_declined() {
        for params in [
            "server_max_window_bits",
            "server_max_window_bits=",
            "server_max_window_bits=7",
            "server_max_window_bits=8",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=-9",
            "server_max_window_bits=\"9",
            "server_max_window_bits=9; server_max_window_bits=9",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits; client_max_window_bits=10",
            "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "client_no_context_takeover=\"\"",
            "unknown",
            "unknown=1",
            "a=\"quoted; value, x\"; a=1",
            "",
            ";",
        ] {
            let offer = format!("permessage-deflate; {params}");
            assert_eq!(answer(&offer), None, "{offer}");
        }
        for other in [
            "",
            ",",
            "x-webkit-deflate-frame, ;;;,=,\"",
            "permessage-deflat",
            "Permessage-Deflate",
            "permessage-deflate=1",
            "\"permessage-deflate\"",
            "permessage-deflate\0",
            "a=\", permessage-deflate",
        ] {
            assert_eq!(answer(other), None, "{other}");
        }
    }

    #[test]
    fn h7_a_later_offer_is_taken_where_an_earlier_one_cannot_be_met() {
        let later = "permessage-deflate; server_max_window_bits=8, \
                     permessage-bzip2; x=\", permessage-deflate\", \
                     permessage-deflate; mode=fast,, \
                     permessage-deflate; server_max_window_bits=9, permessage-deflate";
        let given = format!("{PLAIN}; server_max_window_bits=9");
        assert_eq!(answer(later), Some(given));
        let lines = [&b"foo"[..], b"permessage-deflate"];
        assert_eq!(Agreed::answer(lines).unwrap().header(), PLAIN);
        assert_eq!(Agreed::answer(lines).unwrap().window(), Window::Full);
    }

    #[test]
    fn a_client_takes_only_what_it_offered() {
        let offer = Offer {
            server_no_context_takeover: true,
        };
        let check = |offer: Offer, answer: &'static str| offer.check([answer.as_bytes()]);
        let agreed = check(offer, PLAIN).unwrap().unwrap();
        assert!(agreed.server_no_context_takeover && agreed.client_no_context_takeover);
        assert_eq!(offer.check([]), Ok(None));
        for bad in [
            "permessage-deflate",
            "permessage-bzip2",
            "permessage-deflate; server_no_context_takeover; x",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover, permessage-deflate",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=16",
        ] {
            assert!(check(offer, bad).is_err(), "{bad}");
        }
        let loose = Offer {
            server_no_context_takeover: false,
        };
        let agreed = check(loose, "permessage-deflate; server_max_window_bits=10");
        let agreed = agreed.unwrap().unwrap();
        assert!(!agreed.server_no_context_takeover);
        assert_eq!(agreed.server_max_window_bits, Some(10));
        for offer in [offer, loose] {
            let ours = Agreed::answer([offer.header().as_bytes()]).unwrap();
            assert_eq!(offer.check([ours.header().as_bytes()]), Ok(Some(ours)));
        }
    }

    proptest! {
        #[test]
        fn h7_an_answer_is_always_of_ours_whatever_is_offered(
            parts in prop::collection::vec(prop_oneof![
                Just("permessage-deflate".to_owned()),
                Just("; server_max_window_bits=".to_owned()),
                Just("; client_max_window_bits".to_owned()),
                Just("; server_no_context_takeover".to_owned()),
                "[0-9]{1,2}", "[ ,;=\"\\\\]", "\\PC{0,3}",
            ], 0..12),
        ) {
            let offers = parts.concat();
            if let Some(answer) = answer(&offers) {
                let rest = answer.strip_prefix(PLAIN).unwrap();
                prop_assert!(
                    ["", "; server_max_window_bits=9", "; server_max_window_bits=15"]
                        .contains(&rest)
                );
            }
        }
    }
}
