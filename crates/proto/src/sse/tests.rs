//! The writer, the chunks and the parser against each other and the standard.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::error::DecodeError;

fn block(block: Block<'_>) -> String {
    let mut out = Vec::new();
    block.write(&mut out);
    String::from_utf8(out).unwrap()
}

/// The last id and the retry time in force at the end, or why it gave up.
type End = Result<(String, Option<u64>), DecodeError>;

/// Everything the parser says about a stream that comes in these pieces.
fn parse<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, End) {
    let mut parser = Parser::new(limits);
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match parser.next(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(e) => return (events, Err(e)),
            }
        }
        assert!(piece.is_empty());
    }
    (
        events,
        Ok((parser.last_event_id().to_owned(), parser.retry())),
    )
}

/// Event, data and id of everything dispatched; the same for every split in two
/// and byte by byte.
fn read(stream: &[u8]) -> Vec<(String, String, String)> {
    let whole = parse(Limits::default(), [stream]);
    assert_eq!(whole, parse(Limits::default(), stream.chunks(1)));
    for at in 0..stream.len() {
        assert_eq!(
            whole,
            parse(Limits::default(), [&stream[..at], &stream[at..]]),
            "at {at}"
        );
    }
    whole
        .0
        .into_iter()
        .map(|e| (e.event, e.data, e.id))
        .collect()
}

fn one(event: &str, data: &str, id: &str) -> (String, String, String) {
    (event.to_owned(), data.to_owned(), id.to_owned())
}

#[test]
fn a_block_is_written_field_by_field() {
    let full = Block {
        retry: Some(2417),
        id: Some("e-1"),
        event: Some("score"),
        data: Some(b"x"),
    };
    assert_eq!(
        block(full),
        "retry: 2417\nid: e-1\nevent: score\ndata: x\n\n"
    );
    assert_eq!(
        block(Block {
            data: Some(b""),
            ..Block::default()
        }),
        "data:\n\n"
    );
    assert_eq!(
        block(Block {
            data: Some(b" x"),
            ..Block::default()
        }),
        "data:  x\n\n"
    );
}

#[test]
fn s1_every_kind_of_line_end_in_data_becomes_a_line() {
    let text = block(Block {
        data: Some(b"a\rb\nc\r\nd\n\re\r\r\n"),
        ..Block::default()
    });
    assert_eq!(
        text,
        "data: a\ndata: b\ndata: c\ndata: d\ndata:\ndata: e\ndata:\ndata:\n\n"
    );
    assert_eq!(
        read(text.as_bytes()),
        [one("message", "a\nb\nc\nd\n\ne\n\n", "")]
    );
}

#[test]
fn s1_s2_line_ends_and_nul_never_get_into_id_or_event() {
    for bad in ["a\rb", "a\nb", "a\r\nid: forged"] {
        let text = block(Block {
            id: Some(bad),
            event: Some(bad),
            data: Some(b"x"),
            retry: None,
        });
        assert_eq!(text, "data: x\n\n");
    }
    assert_eq!(
        block(Block {
            id: Some("a\0"),
            data: Some(b"x"),
            ..Block::default()
        }),
        "data: x\n\n"
    );
}

#[test]
fn a_comment_stays_one_line_and_dispatches_nothing() {
    let mut out = Vec::new();
    comment(&mut out, "");
    assert_eq!(out, b":\n\n");
    comment(&mut out, "a\r\ndata: x");
    assert_eq!(read(&out), []);
}

#[test]
fn chunks_carry_their_length_in_hex() {
    assert_eq!(
        &chunk(b"0123456789abcdef")[..],
        b"10\r\n0123456789abcdef\r\n"
    );
    assert_eq!(chunk(b"").len(), 0, "an empty chunk would end the body");
    assert_eq!(chunked(0, |_| ()).len(), 0);
}

/// The examples of the WHATWG page.
#[test]
fn the_examples_of_the_standard() {
    assert_eq!(
        read(b"data: YHOO\ndata: +2\ndata: 10\n\n"),
        [one("message", "YHOO\n+2\n10", "")]
    );
    assert_eq!(
        read(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event"),
        [one("message", "first event", "1"), one("message", "second event", "")]
    );
    assert_eq!(
        read(b"data\n\ndata\ndata\n\ndata:"),
        [one("message", "", ""), one("message", "\n", "")]
    );
    assert_eq!(read(b"data:test\n\ndata: test\n\n").len(), 2);
    assert_eq!(
        read(b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n"),
        [one("add", "73857293", ""), one("remove", "2153", ""), one("add", "113411", "")]
    );
}

#[test]
fn a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(
        read("\u{FEFF}data: a\n\n".as_bytes()),
        [one("message", "a", "")]
    );
    assert_eq!(read("\u{FEFF}\u{FEFF}data: a\n\n".as_bytes()), []);
    assert_eq!(
        read("data: b\n\n\u{FEFF}data: a\n\n".as_bytes()),
        [one("message", "b", "")]
    );
}

#[test]
fn every_kind_of_line_end_is_one() {
    assert_eq!(
        read(b"data: a\r\rdata: b\r\n\r\ndata: c\n\r\n"),
        [
            one("message", "a", ""),
            one("message", "b", ""),
            one("message", "c", ""),
        ]
    );
}

#[test]
fn a_cr_lf_inside_an_event_is_one_line_end_even_split_over_two_reads() {
    assert_eq!(
        read(b"id: 1\r\ndata: a\r\ndata: b\r\n\r\n"),
        [one("message", "a\nb", "1")]
    );
}

#[test]
fn an_id_is_kept_until_the_next_and_one_with_nul_is_ignored() {
    assert_eq!(
        read(b"id: 1\ndata: a\n\ndata: b\n\nid: x\0y\ndata: c\n\nid:\ndata: d\n\n"),
        [
            one("message", "a", "1"),
            one("message", "b", "1"),
            one("message", "c", "1"),
            one("message", "d", ""),
        ]
    );
    let (events, _) = parse(Limits::default(), [&b"id: 1\ndata: a\n\ndata: b\n\n"[..]]);
    assert!(events[0].has_own_id && !events[1].has_own_id);
}

#[test]
fn an_id_counts_only_from_the_end_of_its_block() {
    let (_, end) = parse(
        Limits::default(),
        [&b"id: 1\ndata: a\n\nid: 2\ndata: b\n"[..]],
    );
    assert_eq!(end, Ok(("1".to_owned(), None)));
    let (events, end) = parse(Limits::default(), [&b"id: 1\n\n"[..]]);
    assert_eq!((events, end), (vec![], Ok(("1".to_owned(), None))));
}

#[test]
fn retry_takes_digits_only() {
    let retry = |text: &str| parse(Limits::default(), [text.as_bytes()]).1.unwrap().1;
    assert_eq!(retry("retry: 2500\n"), Some(2500));
    for bad in [
        "retry\n",
        "retry:\n",
        "retry: 1.5\n",
        "retry: -1\n",
        "retry: +1\n",
        "retry:  1\n",
    ] {
        assert_eq!(retry(bad), None, "{bad:?}");
    }
    assert_eq!(retry("retry: 99999999999999999999999\n"), Some(u64::MAX));
}

#[test]
fn an_event_name_does_not_outlive_its_block() {
    assert_eq!(read(b"event: a\n\ndata: x\n\n"), [one("message", "x", "")]);
}

#[test]
fn lines_and_events_are_bounded() {
    let limits = Limits {
        max_line: 10,
        max_event: 20,
    };
    let fits = b"data: 1234\n\n".repeat(3);
    assert_eq!(parse(limits, [&fits[..]]).0.len(), 3);
    let long_line = parse(limits, b"data: 12345\n\n".chunks(1)).1;
    assert_eq!(long_line, Err(DecodeError::TooLarge { limit: 10, got: 11 }));
    let endless = parse(limits, [&b"data: 1234\n".repeat(5)[..]]).1;
    assert_eq!(endless, Err(DecodeError::TooLarge { limit: 20, got: 25 }));
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        id in prop::option::of("[A-Za-z0-9._~-]{1,20}"),
        event in prop::option::of("[^\r\n\\x00]{1,10}"),
        data in "([a-zé😀 :]|\r|\n|\r\n){0,30}",
    ) {
        let bytes = {
            let mut out = Vec::new();
            let data = Some(data.as_bytes());
            Block { retry: None, id: id.as_deref(), event: event.as_deref(), data }.write(&mut out);
            out
        };
        let folded = data.replace("\r\n", "\n").replace('\r', "\n");
        let event = event.unwrap_or_else(|| "message".to_owned());
        prop_assert_eq!(read(&bytes), vec![(event, folded, id.unwrap_or_default())]);
    }

    #[test]
    fn f11_any_stream_parses_the_same_at_every_split(
        stream in "(data|id|event|retry|x)?:? ?[a-z0-9é\\x00]{0,4}(\r|\n|\r\n|\n\n|\r\r){1,2}"
            .prop_flat_map(|_| prop::collection::vec(
                "(\u{FEFF})?(data|id|event|retry|x)?(:| : |: )?[a-z0-9é\\x00]{0,4}(\r|\n|\r\n|\n\n|\r\r)", 0..8))
            .prop_map(|lines| lines.concat()),
    ) {
        read(stream.as_bytes());
    }

    #[test]
    fn parsing_arbitrary_bytes_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = Limits { max_line: 50, max_event: 100 };
        prop_assert_eq!(parse(limits, [&bytes[..]]), parse(limits, bytes.chunks(1)));
    }

    #[test]
    fn both_ways_to_make_a_chunk_agree(content in prop::collection::vec(any::<u8>(), 0..5000), hint in 0..6000_usize) {
        let written = chunked(hint, |out| out.extend_from_slice(&content));
        prop_assert_eq!(written, chunk(&content));
    }
}
