//! What tells one message from another inside any protocol: 32 bytes of plain
//! ASCII that survive JSON, an event stream and every framing untouched.
//!
//! `~f` · sender (6 hex) · sequence (8 hex) · scheduled time (15 hex, ns) · `~`

use memchr::memmem;

/// Bytes of a marker.
pub(crate) const LEN: usize = 32;
const START: &[u8] = b"~f";
/// What fills a message up to the payload's size.
const FILLER: u8 = b'.';

/// Senders that a marker can name.
pub(crate) const MAX_SENDERS: u32 = 1 << 24;

/// What a marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The client that sent it.
    pub(crate) sender: u32,
    /// Its message number, from 0.
    pub(crate) seq: u32,
    /// When it was due, in nanoseconds of the generator's clock.
    pub(crate) due: u64,
}

impl Mark {
    /// A message with this marker, `size` bytes long (at least [`LEN`]).
    pub(crate) fn message(self, size: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(START);
        hex(u64::from(self.sender), 6, out);
        hex(u64::from(self.seq), 8, out);
        hex(self.due, 15, out);
        out.push(b'~');
        out.resize(size.max(LEN), FILLER);
    }

    fn parse(bytes: &[u8]) -> Option<Mark> {
        let bytes: &[u8; LEN] = bytes.first_chunk()?;
        if bytes[LEN - 1] != b'~' {
            return None;
        }
        Some(Mark {
            sender: unhex(&bytes[2..8])? as u32,
            seq: unhex(&bytes[8..16])? as u32,
            due: unhex(&bytes[16..31])?,
        })
    }
}

/// Finds markers in a stream that is cut anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    start: memmem::Finder<'static>,
}

impl Scanner {
    pub(crate) fn new() -> Scanner {
        Scanner {
            start: memmem::Finder::new(START),
        }
    }

    /// Hands every whole marker of `bytes` to `found`, with the position just
    /// past it. Gives how many bytes at the end may be the start of one (at
    /// most `LEN - 1`): they go in front of what comes next.
    pub(crate) fn scan(&self, bytes: &[u8], mut found: impl FnMut(Mark, usize)) -> usize {
        let mut at = 0;
        while let Some(offset) = self.start.find(&bytes[at..]) {
            let begin = at + offset;
            if bytes.len() - begin < LEN {
                return bytes.len() - begin;
            }
            match Mark::parse(&bytes[begin..]) {
                Some(mark) => {
                    at = begin + LEN;
                    found(mark, at);
                }
                None => at = begin + START.len(),
            }
        }
        usize::from(at < bytes.len() && bytes.last() == START.first())
    }
}

fn hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * place)) as usize & 15]);
    }
}

fn unhex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_wherever_the_stream_is_cut() {
        let mut stream = Vec::new();
        let mut message = Vec::new();
        let marks: Vec<Mark> = (0..3)
            .map(|n| Mark {
                sender: n + 7,
                seq: n * 1000,
                due: 1 << (n * 20),
            })
            .collect();
        for mark in &marks {
            stream.extend_from_slice(b"data: ~ ~f nothing ~~");
            mark.message(50, &mut message);
            stream.extend_from_slice(&message);
            stream.extend_from_slice(b"\n\n");
        }
        let scanner = Scanner::new();
        for first in 0..stream.len() {
            for second in (first..stream.len()).step_by(7) {
                let mut found = Vec::new();
                let mut carry: Vec<u8> = Vec::new();
                for part in [&stream[..first], &stream[first..second], &stream[second..]] {
                    carry.extend_from_slice(part);
                    let keep = scanner.scan(&carry, |mark, _| found.push(mark));
                    assert!(keep < LEN);
                    carry.drain(..carry.len() - keep);
                }
                assert_eq!(found, marks, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_message_is_as_long_as_asked_and_never_shorter_than_its_marker() {
        let mark = Mark {
            sender: 1,
            seq: 2,
            due: 3,
        };
        let mut out = Vec::new();
        mark.message(128, &mut out);
        assert_eq!(out.len(), 128);
        mark.message(1, &mut out);
        assert_eq!(out.len(), LEN);
        assert_eq!(Mark::parse(&out), Some(mark));
    }
}
