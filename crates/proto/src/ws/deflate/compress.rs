//! Compressed frames to write.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::TAIL;
use crate::ws::encode::{frame, unmasked};
use crate::ws::frame::{Header, Opcode};

/// How hard to try. A frame is compressed once for all who get it, so the usual
/// middle is worth its time.
const LEVEL: u32 = 6;

/// How far back what we write refers, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// 32 KiB (15 bits): what every peer has unless it says otherwise.
    Full,
    /// 512 bytes (9 bits): for peers that ask for anything less than 15.
    Small,
}

impl Window {
    /// Base-2 logarithm of its bytes, as it stands in the handshake.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Full => 15,
            Self::Small => 9,
        }
    }
}

/// Writes data frames, compressed where that makes them smaller.
///
/// Every message stands alone (no context takeover): the frame may be shared by
/// all connections that agreed on this window or a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// How far back it refers.
    pub window: Window,
    /// Messages of fewer bytes go as they are: compressing them costs more
    /// than it saves.
    pub threshold: usize,
}

thread_local! {
    /// One compressor per window, made when it is first needed.
    static COMPRESSORS: RefCell<[Option<Compress>; 2]> = const { RefCell::new([None, None]) };
}

impl Deflate {
    /// A finished unmasked frame. Control frames are never compressed (RFC 7692,
    /// 5); neither is what is under the threshold or would not get smaller.
    #[must_use]
    pub fn frame(&self, opcode: Opcode, payload: &[u8]) -> Bytes {
        if opcode.is_control() || payload.len() < self.threshold {
            return frame(opcode, payload);
        }
        match compress(self.window, payload) {
            Some(small) => unmasked(
                Header {
                    fin: true,
                    deflated: true,
                    opcode,
                    mask: None,
                    len: small.len() as u64,
                },
                &small,
            ),
            None => frame(opcode, payload),
        }
    }
}

/// The payload of a compressed message (7.2.1); none where it is not smaller.
fn compress(window: Window, payload: &[u8]) -> Option<Vec<u8>> {
    COMPRESSORS.with_borrow_mut(|compressors| {
        let slot = match window {
            Window::Full => &mut compressors[0],
            Window::Small => &mut compressors[1],
        };
        let compressor = slot.get_or_insert_with(|| {
            Compress::new_with_window_bits(Compression::new(LEVEL), false, window.bits())
        });
        compressor.reset();
        // Room for less than what it was: a result that does not fit is no use.
        let room = payload.len() + TAIL.len();
        let mut out = Vec::with_capacity(room);
        let status = compressor.compress_vec(payload, &mut out, FlushCompress::Sync);
        let whole = matches!(status, Ok(Status::Ok))
            && compressor.total_in() == payload.len() as u64
            && out.len() < room
            && out.ends_with(&TAIL);
        whole.then(|| {
            out.truncate(out.len() - TAIL.len());
            out
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    /// Inflates with a window of just so many bits, by the library alone.
    fn inflated(bits: u8, small: &[u8], len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 1);
        let input = [small, &TAIL].concat();
        Decompress::new_with_window_bits(false, bits)
            .decompress_vec(&input, &mut out, FlushDecompress::Sync)
            .unwrap();
        out
    }

    #[test]
    fn what_repeats_goes_compressed_and_what_does_not_goes_as_it_is() {
        let deflate = Deflate {
            window: Window::Full,
            threshold: 64,
        };
        let text = b"the same again, ".repeat(64);
        let small = deflate.frame(Opcode::Text, &text);
        assert_eq!(small[0], 0xC1);
        assert!(small.len() < text.len() / 10, "{}", small.len());
        assert_eq!(small, deflate.frame(Opcode::Text, &text), "stands alone");
        assert_eq!(inflated(15, &small[2..], text.len()), text);

        assert_eq!(deflate.frame(Opcode::Text, &text[..63])[0], 0x81);
        assert_eq!(deflate.frame(Opcode::Ping, &[b'x'; 100])[0], 0x89);
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4096)
        .collect();
        assert_eq!(
            deflate.frame(Opcode::Binary, &noise),
            frame(Opcode::Binary, &noise)
        );
        let always = Deflate {
            threshold: 0,
            ..deflate
        };
        assert_eq!(always.frame(Opcode::Text, b""), &[0x81, 0][..]);
    }

    proptest! {
        #[test]
        fn nothing_refers_further_back_than_the_window(
            words in prop::collection::vec("[a-c]{1,40}", 1..400),
        ) {
            let text = words.concat().into_bytes();
            for window in [Window::Full, Window::Small] {
                if let Some(small) = compress(window, &text) {
                    prop_assert!(small.len() < text.len());
                    prop_assert_eq!(inflated(window.bits(), &small, text.len()), &text[..]);
                }
            }
        }
    }
}
