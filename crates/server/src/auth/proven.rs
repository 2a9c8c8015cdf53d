//! Signatures that were found right, so that a token that is shown again, with every poll,
//! is not verified again. Each key has its own: what a key vouched for goes with it. Nothing
//! else about a token is remembered; when it ends and what it says is looked at each time.

use std::fmt;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// Tokens remembered, at most; one that falls into another's place takes it. A power of two.
const PLACES: usize = 16 * 1024;

/// SHA-256 of a token: two texts of one name cannot be found.
type Name = [u8; 32];

/// The tokens that a key was seen to have signed. Half a mebibyte once there is one.
#[derive(Default)]
pub(super) struct Proven(Mutex<Vec<Name>>);

impl Proven {
    /// Whether `signature` is one for `signed`; `verify` finds out where that is not known.
    pub(super) fn holds(
        &self,
        signed: &[u8],
        signature: &str,
        verify: impl FnOnce() -> bool,
    ) -> bool {
        let name = name(signed, signature);
        let place = usize::from(u16::from_le_bytes([name[0], name[1]])) % PLACES;
        if self.0.lock().get(place) == Some(&name) {
            return true;
        }
        // Not under the lock: it takes as long as fifty looks.
        let holds = verify();
        if holds {
            let mut places = self.0.lock();
            if places.is_empty() {
                places.resize(PLACES, Name::default());
            }
            places[place] = name;
        }
        holds
    }
}

/// That of the whole token, with the dot between.
fn name(signed: &[u8], signature: &str) -> Name {
    let mut digest = Sha256::new();
    digest.update(signed);
    digest.update(b".");
    digest.update(signature.as_bytes());
    digest.finalize().into()
}

/// Shows nothing.
impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proven").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_was_right_once_is_not_worked_out_again() {
        let (proven, asked) = (Proven::default(), Cell::new(0));
        let right = || {
            asked.set(asked.get() + 1);
            true
        };
        assert!(proven.holds(b"a.b", "c", right));
        assert!(proven.holds(b"a.b", "c", right));
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn what_was_wrong_is_not_remembered_and_neither_is_anything_beside_it() {
        let proven = Proven::default();
        assert!(!proven.holds(b"a.b", "c", || false));
        assert!(proven.holds(b"a.b", "c", || true));
        for (signed, signature) in [("a.b", "d"), ("a.c", "c"), ("a.b", "")] {
            assert!(!proven.holds(signed.as_bytes(), signature, || false));
        }
        // All zeros stand in every free place.
        let fresh = Proven::default();
        assert!(fresh.holds(b"x.y", "z", || true));
        let free = (0..9_999).filter(|n: &u32| fresh.holds(b"x.y", &n.to_string(), || false));
        assert_eq!(free.count(), 0);
    }

    #[test]
    fn it_holds_so_many_and_no_more() {
        let proven = Proven::default();
        for n in 0..40_000_u32 {
            assert!(proven.holds(b"a.b", &n.to_string(), || true));
        }
        assert_eq!(proven.0.lock().len(), PLACES);
        let known = (0..40_000_u32).filter(|n| proven.holds(b"a.b", &n.to_string(), || false));
        assert!((1..=PLACES).contains(&known.count()));
    }
}
