//! Event streams: raw or in the envelope, chunked or ended by close.

use std::time::Duration;

use bytes::Bytes;
use fanwire_core::cursor::Cursor;
use fanwire_core::hub::{Delivery, Encoder, End, Gap, GapForm, Ready};
use fanwire_proto::native::system::System;
use fanwire_proto::sse::{Block, LAST_CHUNK, chunked, comment};

use super::parts;

pub(super) struct Sse {
    /// `data:` holds the envelope, and messages have no `event:`.
    pub(super) envelope: bool,
    /// Every unit is one chunk of an HTTP/1.1 body.
    pub(super) chunked: bool,
    /// The range of `retry:`.
    pub(super) retry: (Duration, Duration),
    /// The range of `retry:` at the end of a stream whose server stops.
    pub(super) drain_retry: (Duration, Duration),
}

impl Sse {
    fn unit(&self, hint: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        if self.chunked {
            return chunked(hint, write);
        }
        let mut out = Vec::with_capacity(hint);
        write(&mut out);
        out.into()
    }

    fn block(&self, block: &Block<'_>) -> Bytes {
        self.unit(block.size_hint(), |out| block.write(out))
    }
}

fn data_of(system: System<'_>) -> Vec<u8> {
    let mut data = Vec::new();
    system.write_data(&mut data);
    data
}

impl Encoder for Sse {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        let id = delivery.id.map(|id| id.to_string());
        let event = delivery.message.event.as_str();
        let mut data = Vec::new();
        // A browser takes an event named `error` for a broken connection.
        let whole = self.envelope || event == "error";
        if whole {
            parts::envelope(&delivery, &mut data);
        } else {
            parts::body(&delivery.message.body).write_raw_text(&mut data);
        }
        self.block(&Block {
            retry: None,
            id: id.as_deref(),
            event: (!whole && !delivery.message.event.is_default()).then_some(event),
            data: Some(&data),
        })
    }

    fn gap(&self, gap: &Gap) -> GapForm {
        let id = gap.id.map(|id| id.to_string());
        GapForm::Unit(parts::with_gap(gap, |system| {
            self.block(&Block {
                retry: None,
                id: id.as_deref(),
                event: Some(system.name()),
                data: Some(&data_of(system)),
            })
        }))
    }

    fn ready(&self, ready: &Ready<'_>) -> Bytes {
        let id = ready.cursor.to_string();
        parts::with_ready(ready, |system| {
            self.block(&Block {
                retry: Some(parts::jittered(self.retry, ready.jitter)),
                id: Some(&id),
                event: Some(system.name()),
                data: Some(&data_of(system)),
            })
        })
    }

    fn cursor(&self, cursor: Cursor) -> Option<Bytes> {
        let id = cursor.to_string();
        let system = System::Cursor { cursor: &id };
        Some(self.block(&Block {
            retry: None,
            id: Some(&id),
            event: Some(system.name()),
            data: Some(&data_of(system)),
        }))
    }

    fn keep_alive(&self) -> Option<Bytes> {
        Some(self.unit(3, |out| comment(out, "")))
    }

    fn drain(&self, within: Duration) -> Option<Bytes> {
        Some(parts::with_drain(within, |system| {
            self.block(&Block {
                retry: None,
                id: None,
                event: Some(system.name()),
                data: Some(&data_of(system)),
            })
        }))
    }

    fn end(&self, end: &End, jitter: u64) -> Bytes {
        // Without the last chunk the peer sees that the stream was broken off.
        if matches!(end, End::Gone | End::Fault) {
            return Bytes::new();
        }
        let last: &'static [u8] = if self.chunked { LAST_CHUNK } else { b"" };
        if let End::Refused(refusal) = end {
            let system = System::Error {
                retry_in: refusal.retry_in.map(crate::answer::ms),
                reference: None,
                code: refusal.code.as_str(),
                message: &refusal.detail,
                at: refusal.place.as_deref(),
            };
            let told = self.block(&Block {
                retry: None,
                id: None,
                event: Some(system.name()),
                data: Some(&data_of(system)),
            });
            return [&told[..], last].concat().into();
        }
        if *end != End::Shutdown {
            return Bytes::from_static(last);
        }
        let retry = self.block(&Block {
            retry: Some(parts::jittered(self.drain_retry, jitter)),
            ..Block::default()
        });
        [&retry[..], last].concat().into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::parts::samples::*;
    use super::*;
    use fanwire_core::key::SocketId;
    use fanwire_core::message::Body;

    fn form(envelope: bool, chunked: bool) -> Sse {
        let retry = (Duration::from_secs(2), Duration::from_secs(3));
        Sse {
            envelope,
            chunked,
            retry,
            drain_retry: (Duration::from_secs(1), Duration::from_secs(5)),
        }
    }

    fn written(form: &Sse, event: &str, body: Body) -> String {
        let (channel, message) = (news(), message(event, body));
        let unit = form.message(delivery(&channel, &message));
        String::from_utf8(unit.to_vec()).unwrap()
    }

    #[test]
    fn raw_leaves_out_the_event_message_and_splits_lines() {
        assert_eq!(
            written(&form(false, false), "message", text("a\rb\nc\r\nd")),
            "id: a-7\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
        );
        assert_eq!(
            written(&form(false, false), "score", text("")),
            "id: a-7\nevent: score\ndata:\n\n"
        );
    }

    #[test]
    fn an_event_named_error_goes_without_event_in_the_envelope() {
        let unit = written(&form(false, false), "error", text("x"));
        assert_eq!(
            unit,
            "id: a-7\ndata: {\"channel\":\"news\",\"event\":\"error\",\"data\":\"x\",\
             \"ts\":1790000000000,\"kind\":\"text\"}\n\n"
                .replace("{\"channel", "{\"id\":\"a-7\",\"channel")
        );
    }

    #[test]
    fn binary_is_base64_and_arguments_are_their_array() {
        let binary = Body::Binary(Bytes::from_static(&[0, 255]));
        assert!(written(&form(false, false), "message", binary).contains("data: AP8=\n"));
        let args = Body::Args {
            json: Bytes::from_static(br#"[1,{"_placeholder":true,"num":0}]"#),
            attachments: vec![Bytes::from_static(&[0, 255])],
        };
        assert!(
            written(&form(false, false), "message", args)
                .contains("data: [1,{\"$bin\":\"AP8=\"}]\n")
        );
    }

    #[test]
    fn the_envelope_is_one_data_line_without_event() {
        let body = Body::Json(Bytes::from_static(b"{\"a\":\n1}"));
        assert_eq!(
            written(&form(true, false), "score", body),
            "id: a-7\ndata: {\"id\":\"a-7\",\"channel\":\"news\",\"event\":\"score\",\
             \"data\":{\"a\": 1},\"ts\":1790000000000}\n\n"
        );
    }

    #[test]
    fn chunked_is_the_plain_form_in_one_chunk_and_a_zero_chunk_ends_it() {
        let plain = written(&form(false, false), "message", text("hi"));
        let chunk = written(&form(false, true), "message", text("hi"));
        assert_eq!(chunk, format!("{:x}\r\n{plain}\r\n", plain.len()));
        assert_eq!(&form(false, true).end(&End::Slow, 7)[..], b"0\r\n\r\n");
        assert!(form(false, true).end(&End::Gone, 7).is_empty());
        assert!(form(false, false).end(&End::Slow, 7).is_empty());
    }

    #[test]
    fn a_server_that_stops_says_so_and_when_to_come_back() {
        assert_eq!(
            &form(false, false).drain(Duration::from_secs(5)).unwrap()[..],
            b"event: $drain\ndata: {\"in\":5000,\"reason\":\"shutdown\"}\n\n"
        );
        assert_eq!(
            &form(false, false).end(&End::Shutdown, 7)[..],
            b"retry: 1007\n\n"
        );
        assert_eq!(
            &form(true, true).end(&End::Shutdown, 4_001)[..],
            b"d\r\nretry: 1000\n\n\r\n0\r\n\r\n"
        );
    }

    #[test]
    fn ready_sets_the_retry_and_the_id() {
        let channels = [news()];
        let conn = SocketId::new("c1");
        let ready = Ready {
            cursor: at(12),
            channels: &channels,
            conn: &conn,
            jitter: 417,
        };
        assert_eq!(
            &form(false, false).ready(&ready)[..],
            &b"retry: 2417\nid: a-12\nevent: $ready\ndata: {\"cursor\":\"a-12\",\
               \"channels\":[\"news\"],\"conn\":\"c1\"}\n\n"[..]
        );
    }

    #[test]
    fn a_gap_has_an_id_in_mid_stream_only() {
        let GapForm::Unit(opening) = form(false, false).gap(&gap(None)) else {
            panic!("an event stream has a place for gaps");
        };
        let expected = "event: $gap\ndata: {\"channel\":\"news\",\"reason\":\"trimmed\",\
                        \"lost_through\":\"a-40\",\"cursor\":\"a-40\"}\n\n";
        assert_eq!(&opening[..], expected.as_bytes());
        let GapForm::Unit(mid) = form(false, false).gap(&gap(Some(at(3)))) else {
            panic!("an event stream has a place for gaps");
        };
        assert_eq!(&mid[..], format!("id: a-3\n{expected}").as_bytes());
    }

    #[test]
    fn quiet_streams_get_comments_and_cursors() {
        assert_eq!(&form(true, false).keep_alive().unwrap()[..], b":\n\n");
        assert_eq!(
            &form(true, false).cursor(at(99)).unwrap()[..],
            b"id: a-99\nevent: $cursor\ndata: {\"cursor\":\"a-99\"}\n\n"
        );
    }
}
