//! Long polls and history: one JSON answer from the units gathered.

use std::io::Write as _;

use bytes::Bytes;
use fanwire_core::cursor::Cursor;
use fanwire_core::hub::{Delivery, Encoder, End, Gap, GapForm, Ready};
use fanwire_proto::native::poll::PollWriter;

use super::parts;

pub(super) struct Poll;

impl Encoder for Poll {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        let mut out = Vec::new();
        parts::envelope(&delivery, &mut out);
        out.into()
    }

    fn gap(&self, gap: &Gap) -> GapForm {
        GapForm::Unit(parts::with_gap(gap, |system| {
            let mut out = Vec::new();
            system.write(&mut out);
            out.into()
        }))
    }

    fn ready(&self, _: &Ready<'_>) -> Bytes {
        Bytes::new()
    }

    fn cursor(&self, _: Cursor) -> Option<Bytes> {
        None
    }

    fn keep_alive(&self) -> Option<Bytes> {
        None
    }

    fn end(&self, _: &End, _: u64) -> Bytes {
        Bytes::new()
    }

    fn answer(&self, preface: &Bytes, units: &[Bytes], cursor: Cursor) -> Bytes {
        let mut body = PollWriter::new();
        for unit in units {
            body.push_raw(unit);
        }
        let body = body.finish(&cursor.to_string());
        if preface.is_empty() {
            return body.into();
        }
        let mut out = Vec::with_capacity(preface.len() + 64 + body.len());
        out.extend_from_slice(preface);
        // Writing to a Vec cannot fail.
        let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(&body);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parts::samples::*;
    use super::*;

    #[test]
    fn the_answer_is_a_list_and_the_cursor_to_go_on_from() {
        let (channel, message) = (news(), message("message", text("hi")));
        let one = Poll.message(delivery(&channel, &message));
        let GapForm::Unit(gap) = Poll.gap(&gap(None)) else {
            panic!("an answer has a place for gaps");
        };
        let answer = Poll.answer(&Bytes::new(), &[gap, one], at(7));
        let expected = "{\"messages\":[{\"event\":\"$gap\",\"channel\":\"news\",\"data\":\
             {\"channel\":\"news\",\"reason\":\"trimmed\",\"lost_through\":\"a-40\",\
             \"cursor\":\"a-40\"}},{\"id\":\"a-7\",\"channel\":\"news\",\"event\":\"message\",\
             \"data\":\"hi\",\"ts\":1790000000000,\"kind\":\"text\"}],\"cursor\":\"a-7\"}";
        assert_eq!(&answer[..], expected.as_bytes());
    }

    #[test]
    fn nothing_to_tell_is_an_empty_list_with_a_cursor() {
        let answer = Poll.answer(&Bytes::new(), &[], at(3));
        assert_eq!(&answer[..], b"{\"messages\":[],\"cursor\":\"a-3\"}");
    }

    #[test]
    fn behind_a_head_the_length_is_written_first() {
        let head = Bytes::from_static(b"HTTP/1.1 200 OK\r\n");
        let answer = Poll.answer(&head, &[], at(3));
        assert_eq!(
            &answer[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{\"messages\":[],\"cursor\":\"a-3\"}"
        );
    }
}
