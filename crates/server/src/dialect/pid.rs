//! The secret name by which a socket is recovered. It follows from the public one,
//! so that the connect reply needs nothing else, and nobody else can tell it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanwire_core::key::{Namespace, SocketId};

/// Bytes of the proof: 192 bits.
const PROOF: usize = 24;

/// Makes and checks them: `<public id>.<proof>`, the proof a keyed MAC (HMAC with
/// SHA-256) over namespace and public id.
pub(crate) struct Pids(hmac::Key);

impl Pids {
    /// By a key that nobody else knows.
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// The secret name of a socket.
    pub(crate) fn of(&self, namespace: &Namespace, id: &SocketId) -> String {
        let proof = self.proof(namespace, id.as_str());
        let mut pid = String::with_capacity(id.as_str().len() + 33);
        pid.push_str(id.as_str());
        pid.push('.');
        URL_SAFE_NO_PAD.encode_string(&proof.as_ref()[..PROOF], &mut pid);
        pid
    }

    /// The public one of a secret name; none where it is not one of ours. Takes as
    /// long wherever it is wrong.
    pub(crate) fn check(&self, namespace: &Namespace, pid: &str) -> Option<SocketId> {
        let (id, shown) = pid.split_once('.').filter(|_| pid.len() <= 128)?;
        let shown = URL_SAFE_NO_PAD.decode(shown).ok()?;
        let proof = self.proof(namespace, id);
        let same =
            aws_lc_rs::constant_time::verify_slices_are_equal(&proof.as_ref()[..PROOF], &shown);
        same.is_ok().then(|| SocketId::new(id))
    }

    fn proof(&self, namespace: &Namespace, id: &str) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(namespace.as_str().as_bytes());
        // No namespace has this in its name.
        context.update(&[0]);
        context.update(id.as_bytes());
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn e18_only_the_server_makes_them_and_only_for_one_namespace() {
        let pids = Pids::new([1; 32]);
        let (chat, id) = (Namespace::new("chat").unwrap(), SocketId::new("abc"));
        let pid = pids.of(&chat, &id);
        assert_eq!(pids.check(&chat, &pid), Some(id.clone()));
        assert_eq!(pids.check(&Namespace::root(), &pid), None);
        assert_eq!(Pids::new([2; 32]).check(&chat, &pid), None);
        let (_, proof) = pid.split_once('.').unwrap();
        for forged in [
            format!("abd.{proof}"),
            "abc.".into(),
            "abc".into(),
            String::new(),
        ] {
            assert_eq!(pids.check(&chat, &forged), None, "{forged}");
        }
        assert_eq!(pids.check(&chat, &format!("{pid}A")), None);
    }
}
