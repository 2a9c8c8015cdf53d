//! Sockets: the thin part. Nothing here decides anything.

pub(crate) mod dial;
pub(crate) mod http;
mod io;
pub(crate) mod sse;
mod stream;
pub(crate) mod tls;
pub(crate) mod ws;

/// Random bytes; zeros where the system has none (nothing here is a secret:
/// jitter, handshake nonces, mask keys).
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// A random number in `0.0..1.0`.
pub(crate) fn jitter() -> f64 {
    f64::from(u32::from_ne_bytes(random())) / (f64::from(u32::MAX) + 1.0)
}
