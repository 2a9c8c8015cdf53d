//! Server-Sent Events.

use fanwire_proto::error::DecodeError;
use fanwire_proto::sse::{Block, Event, Limits, Parser};

use crate::input::{Dice, Input};

/// Small enough that a fuzzer's inputs reach them.
const LIMITS: Limits = Limits {
    max_line: 500,
    max_event: 800,
};

/// Events, the refusal, the last id and the retry time.
type Reading = (Vec<Event>, Option<DecodeError>, String, Option<u64>);

fn read<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let mut parser = Parser::new(limits);
    let (mut events, mut refused) = (Vec::new(), None);
    'stream: for mut piece in pieces {
        loop {
            match parser.next(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => {
                    refused = Some(error);
                    break 'stream;
                }
            }
        }
        assert!(piece.is_empty(), "a parser asks for more only at the end");
    }
    let id = parser.last_event_id().to_owned();
    (events, refused, id, parser.retry())
}

/// All of it is a stream.
pub(super) fn parse(data: &[u8]) {
    let whole = read(LIMITS, [data]);
    for event in &whole.0 {
        assert!(!event.event.is_empty());
        // What is not UTF-8 grows threefold.
        assert!(event.data.len() <= 3 * LIMITS.max_event);
        assert!(!event.id.contains(['\0', '\r', '\n']));
        assert!(!event.data.contains('\r') && !event.event.contains(['\r', '\n']));
    }
    assert_eq!(read(LIMITS, Dice::of(data).cut(data)), whole, "in pieces");
    assert_eq!(read(LIMITS, data.chunks(1)), whole, "byte by byte");
}

/// Blocks, each a byte that says which fields it has, and those.
pub(super) fn round_trip(data: &[u8]) {
    let mut input = Input::new(data);
    let mut stream = Vec::new();
    let (mut events, mut last_id, mut last_retry) = (Vec::new(), String::new(), None);
    while !input.is_empty() {
        let has = input.byte();
        let retry = (has & 1 != 0).then(|| input.long());
        let id = (has & 2 != 0).then(|| input.text());
        let event = (has & 4 != 0).then(|| input.text());
        let data = (has & 8 != 0).then(|| input.part());
        let block = Block {
            retry,
            id: id.as_deref(),
            event: event.as_deref(),
            data,
        };
        let before = stream.len();
        block.write(&mut stream);
        let lines = data.map_or(0, |data| data.split(|b| matches!(b, b'\r' | b'\n')).count());
        // Each line of data past the first has its own name and end.
        let most = block.size_hint() + 8 * lines;
        assert!(stream.len() - before <= most, "the hint holds");
        last_retry = retry.or(last_retry);
        let id = id.filter(|id| !id.contains(['\r', '\n', '\0']));
        let has_own_id = id.is_some();
        last_id = id.unwrap_or(last_id);
        let Some(data) = data else { continue };
        let event = event.filter(|event| !event.is_empty() && !event.contains(['\r', '\n']));
        events.push(Event {
            event: event.unwrap_or_else(|| "message".to_owned()),
            data: lines_of(data),
            id: last_id.clone(),
            has_own_id,
        });
    }
    let (read, refused, id, retry) = read(Limits::default(), [&stream[..]]);
    assert_eq!(refused, None);
    assert_eq!(read, events);
    assert_eq!((id, retry), (last_id, last_retry));
}

/// The three line ends of an event stream, all as `\n`.
fn lines_of(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    text.replace("\r\n", "\n").replace('\r', "\n")
}
