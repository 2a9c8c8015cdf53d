//! Where one frame ends and the next begins (RFC 9113, 4.1), for bytes that
//! come in any pieces: for what hyper does not tell, and nothing more.

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// Frame types (RFC 9113, 6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

/// On PING and SETTINGS.
pub(super) const ACK: u8 = 1;
/// On DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// On HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 4;

/// The peer takes more than its share (RFC 9113, 7).
pub(super) const ENHANCE_YOUR_CALM: u32 = 0xb;

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of its payload.
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    fn read(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s, t, u, v] = bytes;
        Self {
            len: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([s & 0x7f, t, u, v]),
        }
    }
}

/// Follows one direction of a connection. Holds no payload.
#[derive(Debug, Default)]
pub(super) struct Track {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the payload that are still to come.
    left: usize,
    /// Of the frame under way, or of the last one.
    kind: u8,
    /// A header block has begun and its last frame has not come.
    in_block: bool,
    /// Frames that have ended, those within a header block left out.
    ended: u64,
}

impl Track {
    /// Takes the next bytes and tells `on` every head among them.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut on: impl FnMut(Head)) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                bytes = &bytes[count..];
                self.left -= count;
            } else {
                let count = (HEAD - self.have).min(bytes.len());
                self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                self.have += count;
                if self.have < HEAD {
                    return;
                }
                let head = Head::read(self.head);
                self.left = head.len as usize;
                self.kind = head.kind;
                if matches!(head.kind, HEADERS | CONTINUATION) {
                    self.in_block = head.flags & END_HEADERS == 0;
                }
                on(head);
            }
            if self.left == 0 {
                self.have = 0;
                self.ended += u64::from(!self.in_block);
            }
        }
    }

    /// True where no frame and no header block is under way.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.in_block
    }

    /// True where the payload of a DATA frame is under way.
    pub(super) fn in_data(&self) -> bool {
        self.left > 0 && self.kind == DATA
    }

    /// Frames and header blocks that have ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }
}

/// The bytes of a GOAWAY: `last` is the newest stream that was looked at.
pub(super) fn goaway(last: u32, code: u32, why: &str) -> Vec<u8> {
    let len = u32::try_from(8 + why.len()).unwrap_or(8);
    let mut frame = Vec::with_capacity(HEAD + 8 + why.len());
    frame.extend_from_slice(&len.to_be_bytes()[1..]);
    frame.extend_from_slice(&[GOAWAY, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(&last.to_be_bytes());
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(why.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        bytes.extend_from_slice(payload);
        bytes
    }

    fn heads(track: &mut Track, pieces: &[&[u8]]) -> Vec<(u8, u32)> {
        let mut heads = Vec::new();
        for piece in pieces {
            track.push(piece, |head| heads.push((head.kind, head.stream)));
        }
        heads
    }

    #[test]
    fn frames_are_told_apart_however_they_are_cut() {
        let bytes = [
            frame(4, 0, 0, &[0; 6]),
            frame(HEADERS, END_HEADERS, 1, b"abc"),
            frame(DATA, END_STREAM, 1, b""),
        ]
        .concat();
        let expected = [(4, 0), (HEADERS, 1), (DATA, 1)];
        for size in 1..bytes.len() {
            let mut track = Track::default();
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(heads(&mut track, &pieces), expected, "{size}");
            assert!(track.is_between());
            assert_eq!(track.ended(), 3);
        }
    }

    #[test]
    fn a_header_block_lasts_until_its_last_frame() {
        let mut track = Track::default();
        heads(&mut track, &[&frame(HEADERS, 0, 1, b"a")]);
        assert!(!track.is_between());
        heads(&mut track, &[&frame(CONTINUATION, 0, 1, b"b")]);
        assert!(!track.is_between());
        assert_eq!(track.ended(), 0);
        heads(&mut track, &[&frame(CONTINUATION, END_HEADERS, 1, b"")]);
        assert!(track.is_between());
        assert_eq!(track.ended(), 1);
        heads(&mut track, &[&frame(DATA, 0, 1, b"abc")[..11]]);
        assert!(track.in_data() && !track.is_between());
    }

    #[test]
    fn goaway_is_a_frame_of_its_own() {
        let bytes = goaway(5, ENHANCE_YOUR_CALM, "slow");
        let mut seen = Vec::new();
        let mut track = Track::default();
        track.push(&bytes, |head| seen.push(head));
        let head = Head {
            len: 12,
            kind: GOAWAY,
            flags: 0,
            stream: 0,
        };
        assert_eq!(seen, [head]);
        assert!(track.is_between());
        assert_eq!(
            bytes[9..],
            [0, 0, 0, 5, 0, 0, 0, 0xb, b's', b'l', b'o', b'w']
        );
    }
}
