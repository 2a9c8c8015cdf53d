//! Compressed messages, read.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::TAIL;
use crate::error::Violation;
use crate::limits::DEFLATE_STREAMS;

/// The largest window (15 bits): how much of earlier messages can matter.
const WINDOW: usize = 32 * 1024;

/// Room for the first part of a message whose size is not known.
const FIRST: usize = 512;

/// A last block, empty: fed behind the tail, it ends the stream exactly if the
/// message ended between two blocks, as it must.
const FINAL: [u8; 5] = [0x01, 0x00, 0x00, 0xFF, 0xFF];

thread_local! {
    /// The thread's inflater, made when it is first needed.
    static INFLATER: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// How one side of a connection reads compressed messages.
#[derive(Debug)]
pub(in crate::ws) enum Inflate {
    /// Every message stands alone.
    Alone,
    /// A message may refer to those before it: their last bytes.
    Context(Vec<u8>),
}

impl Inflate {
    /// Most bytes that a compressed message may have whose data has at most
    /// `limit`: what a poor compressor makes of noise, and some. It is a bound
    /// on what is kept before it is inflated.
    pub(in crate::ws) fn compressed_limit(limit: usize) -> usize {
        limit.saturating_add(limit / 8).saturating_add(1024)
    }

    /// Bytes held between messages.
    pub(in crate::ws) fn held_bytes(&self) -> usize {
        match self {
            Self::Alone => 0,
            Self::Context(context) => context.capacity(),
        }
    }

    /// The data of a message, of at most `limit` bytes (RFC 7692, 7.2.2). It
    /// grows as it is inflated; nothing past `limit` is.
    ///
    /// # Errors
    /// 1009 over the limit (or with absurdly many final blocks), 1007 for what
    /// is not DEFLATE or ends in mid-block.
    pub(in crate::ws) fn message(
        &mut self,
        mut payload: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<u8>, Violation> {
        let sent = payload.len();
        payload.extend_from_slice(&TAIL);
        payload.extend_from_slice(&FINAL);
        let context: &[u8] = match self {
            Self::Alone => &[],
            Self::Context(context) => context,
        };
        let out = INFLATER.with_borrow_mut(|slot| {
            let inflater = slot.get_or_insert_with(|| Decompress::new(false));
            inflate(inflater, &payload, sent, context, limit)
        })?;
        if let Self::Context(context) = self {
            remember(context, &out);
        }
        Ok(out)
    }
}

/// Inflates `input`, of which the first `sent` bytes are the peer's.
fn inflate(
    inflater: &mut Decompress,
    input: &[u8],
    sent: usize,
    context: &[u8],
    limit: usize,
) -> Result<Vec<u8>, Violation> {
    // One byte more than allowed, to see that there is more.
    let most = limit.saturating_add(1);
    let mut out = Vec::with_capacity(sent.saturating_mul(4).max(FIRST).min(most));
    let mut at = 0;
    // A block that says it is the last one ends a stream, and another may follow
    // in the same message (7.2.3.4).
    for _ in 0..DEFLATE_STREAMS {
        start(inflater, context, &out)?;
        at += stream(inflater, &input[at..], &mut out, most)?;
        if at == sent || at == input.len() {
            return Ok(out);
        }
        if at > sent {
            return Err(broken());
        }
    }
    Err(Violation::new(1009, "a message of too many final blocks"))
}

/// Makes the inflater ready for a stream behind `context` and `out`.
fn start(inflater: &mut Decompress, context: &[u8], out: &[u8]) -> Result<(), Violation> {
    inflater.reset(false);
    for before in [context, out] {
        let last = &before[before.len().saturating_sub(WINDOW)..];
        if !last.is_empty() {
            inflater.set_dictionary(last).map_err(|_| broken())?;
        }
    }
    Ok(())
}

/// Inflates up to the end of one stream, and gives the bytes that it took.
fn stream(
    inflater: &mut Decompress,
    input: &[u8],
    out: &mut Vec<u8>,
    most: usize,
) -> Result<usize, Violation> {
    loop {
        // The library counts from the reset on.
        let taken = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
        let rest = input.get(taken..).unwrap_or_default();
        let status = inflater.decompress_vec(rest, out, FlushDecompress::None);
        if out.len() >= most {
            return Err(Violation::new(1009, "a message over the limit"));
        }
        match status {
            Ok(Status::StreamEnd) => {
                return usize::try_from(inflater.total_in()).map_err(|_| broken());
            }
            // There is room left and nothing more to read: cut in mid-block.
            Ok(_) if out.len() < out.capacity() => return Err(broken()),
            Ok(_) => out.reserve_exact(out.len().min(most - out.len()).max(1)),
            Err(_) => return Err(broken()),
        }
    }
}

fn broken() -> Violation {
    Violation::new(1007, "a compressed message that cannot be inflated")
}

/// Keeps the last 32 KiB of all messages.
fn remember(context: &mut Vec<u8>, message: &[u8]) {
    let last = &message[message.len().saturating_sub(WINDOW)..];
    let over = (context.len() + last.len()).saturating_sub(WINDOW);
    context.drain(..over);
    context.reserve_exact(last.len());
    context.extend_from_slice(last);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    const LIMIT: usize = 64 * 1024;

    fn code(payload: &[u8]) -> Result<Vec<u8>, u16> {
        Inflate::Alone
            .message(payload.to_vec(), LIMIT)
            .map_err(|broken| broken.close_code)
    }

    /// What a compressor writes with this flush, up to and without the tail.
    fn deflated(compressor: &mut Compress, data: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + 1024);
        compressor.compress_vec(data, &mut out, flush).unwrap();
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        out
    }

    fn alone(data: &[u8]) -> Vec<u8> {
        let mut compressor = Compress::new(Compression::new(6), false);
        deflated(&mut compressor, data, FlushCompress::Sync)
    }

    #[test]
    fn d4_the_examples_of_rfc_7692_section_7_2_3() {
        let hello = Ok(b"Hello".to_vec());
        // One block, a stored block, a final block, two blocks.
        let one = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(code(&one), hello);
        let stored = b"\x00\x05\x00\xfa\xffHello\x00";
        assert_eq!(code(stored), hello);
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(code(&last), hello);
        let two = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        assert_eq!(code(&two), hello);
        assert_eq!(code(&[0x00]), Ok(Vec::new()), "an empty message");
        assert_eq!(
            code(&[0x02, 0x00]),
            Ok(Vec::new()),
            "an empty block of fixed codes"
        );
    }

    #[test]
    fn d4_several_final_blocks_are_one_message_up_to_a_bound() {
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let three = [&last[..], &last, &last, &[0x00]].concat();
        assert_eq!(code(&three), Ok(b"Hello".repeat(3)));
        assert_eq!(code(&[&last[..], &last].concat()), Ok(b"Hello".repeat(2)));
        assert_eq!(
            code(&[0x03, 0x00].repeat(DEFLATE_STREAMS + 1)),
            Err(1009),
            "each costs a start"
        );
    }

    #[test]
    fn d1_a_bomb_is_1009_and_nothing_past_the_limit_is_inflated() {
        let zeros = vec![0; 64 * LIMIT];
        let bomb = alone(&zeros);
        assert!(bomb.len() < LIMIT, "{}", bomb.len());
        assert_eq!(code(&bomb), Err(1009));
        assert_eq!(code(&alone(&zeros[..=LIMIT])), Err(1009));
        let largest = code(&alone(&zeros[..LIMIT])).unwrap();
        assert_eq!(largest.len(), LIMIT);
        assert!(largest.capacity() <= LIMIT + 1, "{}", largest.capacity());
        // Nothing is left over in the thread's inflater.
        assert_eq!(code(&alone(b"and on")), Ok(b"and on".to_vec()));
    }

    #[test]
    fn d2_d3_garbage_and_what_is_cut_is_1007() {
        assert_eq!(code(&[]), Err(1007), "no block at all");
        assert_eq!(code(b"\x07"), Err(1007), "a reserved kind of block");
        assert_eq!(code(b"not deflate"), Err(1007));
        assert_eq!(code(b"\x00\x05\x00\x00\x00Hello"), Err(1007), "NLEN");
        assert_eq!(code(b"\x00\x05\x00\xfa\xffHel"), Err(1007), "half a block");
        let text: Vec<u8> = (0..2000_u32)
            .flat_map(|n| n.to_string().into_bytes())
            .collect();
        let whole = alone(&text);
        assert_eq!(code(&whole), Ok(text));
        for cut in [1, 2, 3, whole.len() / 2] {
            assert_eq!(
                code(&whole[..whole.len() - cut]),
                Err(1007),
                "{cut} missing"
            );
        }
        let junk = [&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], b"\x07junk"].concat();
        assert_eq!(code(&junk), Err(1007), "after a final block");
    }

    #[test]
    fn d7_a_reference_beyond_what_was_is_1007() {
        let mut compressor = Compress::new(Compression::new(6), false);
        let words = b"some words of the first message";
        let first = deflated(&mut compressor, words, FlushCompress::Sync);
        let second = deflated(&mut compressor, words, FlushCompress::Sync);
        assert!(second.len() < first.len());
        assert_eq!(code(&first), Ok(words.to_vec()));
        assert_eq!(code(&second), Err(1007), "it refers to the first one");
        let mut with = Inflate::Context(Vec::new());
        for message in [&first, &second] {
            assert_eq!(with.message(message.clone(), LIMIT).unwrap(), words);
        }
    }

    #[test]
    fn what_is_kept_of_earlier_messages_is_the_window() {
        let mut with = Inflate::Context(Vec::new());
        for _ in 0..5 {
            with.message(alone(&[7; 20_000]), LIMIT).unwrap();
        }
        assert!(with.held_bytes() <= 2 * WINDOW, "{}", with.held_bytes());
        assert_eq!(Inflate::Alone.held_bytes(), 0);
    }

    proptest! {
        #[test]
        fn any_messages_come_back_with_and_without_context(
            messages in prop::collection::vec(
                prop::collection::vec("[a-e ]{0,30}|\\PC{0,9}", 0..300), 1..12),
            level in 0..=9_u32,
            last in any::<bool>(),
        ) {
            let mut compressor = Compress::new(Compression::new(level), false);
            let mut with = Inflate::Context(Vec::new());
            for message in messages {
                let data = message.concat().into_bytes();
                prop_assert_eq!(code(&alone(&data)).unwrap(), &data[..]);
                let flush = if last { FlushCompress::Full } else { FlushCompress::Sync };
                let small = deflated(&mut compressor, &data, flush);
                if small.is_empty() {
                    continue; // Nothing new to flush: no message.
                }
                prop_assert_eq!(with.message(small, LIMIT).unwrap(), data);
            }
        }

        #[test]
        fn inflating_arbitrary_bytes_ends_within_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut with = Inflate::Context(b"abc".repeat(100));
            for inflate in [&mut Inflate::Alone, &mut with] {
                match inflate.message(bytes.clone(), 1000) {
                    Ok(data) => prop_assert!(data.len() <= 1000),
                    Err(broken) => prop_assert!(matches!(broken.close_code, 1007 | 1009)),
                }
            }
        }
    }
}
