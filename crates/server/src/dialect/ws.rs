//! WebSocket: raw data, or JSON envelopes. Every unit is one finished frame;
//! messages are compressed where the connection agreed on it. Nothing in them
//! depends on who listens, and none refers to another, so what one subscriber
//! may read tells nothing of what another one gets.

use std::time::Duration;

use bytes::Bytes;
use fanwire_core::cursor::Cursor;
use fanwire_core::hub::{Delivery, Encoder, End, Gap, GapForm, Ready};
use fanwire_core::message::Body;
use fanwire_proto::native::system::System;
use fanwire_proto::ws::{CloseCode, Deflate, Opcode, close_frame, frame};

use super::parts;

/// Data only: no ids, no events, no gaps.
pub(super) struct Raw {
    /// How messages are compressed.
    pub(super) deflate: Option<Deflate>,
}

/// One JSON object per text frame.
pub(super) struct Envelope {
    /// As [`Raw`]'s.
    pub(super) deflate: Option<Deflate>,
}

/// A message's frame.
fn data(deflate: Option<Deflate>, opcode: Opcode, payload: &[u8]) -> Bytes {
    match deflate {
        Some(deflate) => deflate.frame(opcode, payload),
        None => frame(opcode, payload),
    }
}

/// The close code and reason with which a WebSocket ends; none where nothing
/// more is to be written.
fn close_of(end: &End) -> Option<(CloseCode, String)> {
    Some(match end {
        End::Gone => return None,
        End::Answered => (CloseCode::NORMAL, String::new()),
        End::Gap(cursor) => (CloseCode::GAP, cursor.to_string()),
        End::Slow => (CloseCode::SLOW, "nothing was read for too long".to_owned()),
        End::Silent => (CloseCode::NO_PONG, "no answer to a ping".to_owned()),
        End::Refused(refusal) => {
            let code = refusal.code.close().unwrap_or(CloseCode::INTERNAL.0);
            (CloseCode(code), refusal.to_string())
        }
        End::Shutdown => (CloseCode::RESTART, "the server shuts down".to_owned()),
        End::Fault => (CloseCode::INTERNAL, "a fault of the server".to_owned()),
        End::Close(code, reason) => (CloseCode(*code), reason.clone()),
    })
}

fn close(end: &End) -> Bytes {
    close_of(end).map_or_else(Bytes::new, |(code, reason)| {
        close_frame(Some(code), &reason)
    })
}

fn ping() -> Option<Bytes> {
    Some(frame(Opcode::Ping, &[]))
}

fn system_frame(system: System<'_>) -> Bytes {
    let mut text = Vec::with_capacity(256);
    system.write(&mut text);
    frame(Opcode::Text, &text)
}

impl Encoder for Raw {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        match &delivery.message.body {
            Body::Json(bytes) | Body::Text(bytes) => data(self.deflate, Opcode::Text, bytes),
            Body::Binary(bytes) => data(self.deflate, Opcode::Binary, bytes),
            args @ Body::Args { .. } => {
                let mut text = Vec::with_capacity(args.len() * 2);
                parts::body(args).write_raw_text(&mut text);
                data(self.deflate, Opcode::Text, &text)
            }
        }
    }

    fn gap(&self, _: &Gap) -> GapForm {
        GapForm::Ends
    }

    fn ready(&self, _: &Ready<'_>) -> Bytes {
        Bytes::new()
    }

    fn cursor(&self, _: Cursor) -> Option<Bytes> {
        None
    }

    fn keep_alive(&self) -> Option<Bytes> {
        ping()
    }

    fn end(&self, end: &End, _: u64) -> Bytes {
        close(end)
    }
}

impl Encoder for Envelope {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        let mut text = Vec::new();
        parts::envelope(&delivery, &mut text);
        data(self.deflate, Opcode::Text, &text)
    }

    fn gap(&self, gap: &Gap) -> GapForm {
        GapForm::Unit(parts::with_gap(gap, system_frame))
    }

    fn ready(&self, ready: &Ready<'_>) -> Bytes {
        parts::with_ready(ready, system_frame)
    }

    fn cursor(&self, cursor: Cursor) -> Option<Bytes> {
        let cursor = cursor.to_string();
        Some(system_frame(System::Cursor { cursor: &cursor }))
    }

    fn keep_alive(&self) -> Option<Bytes> {
        ping()
    }

    fn drain(&self, within: Duration) -> Option<Bytes> {
        Some(parts::with_drain(within, system_frame))
    }

    fn end(&self, end: &End, _: u64) -> Bytes {
        close(end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::parts::samples::*;
    use super::*;
    use fanwire_core::error::{Code, Refusal};
    use fanwire_core::key::SocketId;

    const RAW: Raw = Raw { deflate: None };
    const ENVELOPE: Envelope = Envelope { deflate: None };

    fn frame_of(encoder: &dyn Encoder, body: Body) -> Vec<u8> {
        let (channel, message) = (news(), message("message", body));
        encoder.message(delivery(&channel, &message)).to_vec()
    }

    #[test]
    fn raw_is_the_data_in_one_frame_of_its_kind() {
        assert_eq!(frame_of(&RAW, text("hi")), b"\x81\x02hi");
        let json = Body::Json(Bytes::from_static(b"{}"));
        assert_eq!(frame_of(&RAW, json), b"\x81\x02{}");
        let binary = Body::Binary(Bytes::from_static(&[0]));
        assert_eq!(frame_of(&RAW, binary), b"\x82\x01\x00");
    }

    #[test]
    fn where_it_was_agreed_on_messages_are_compressed_and_nothing_else_is() {
        let deflate = Some(Deflate {
            window: fanwire_proto::ws::deflate::Window::Full,
            threshold: 200,
        });
        let raw = Raw { deflate };
        let long = || Body::Text(Bytes::from("again ".repeat(50)));
        assert_eq!(frame_of(&raw, long())[0], 0xC1);
        assert_eq!(frame_of(&raw, text("hi")), b"\x81\x02hi");
        assert_eq!(frame_of(&Envelope { deflate }, long())[0], 0xC1);
        assert_eq!(&raw.end(&End::Gap(at(40)), 0)[..], b"\x88\x06\x0b\xc2a-40");
        assert_eq!(&raw.keep_alive().unwrap()[..], b"\x89\x00");
    }

    #[test]
    fn p3_raw_has_no_place_for_gaps_and_ends_with_3010_and_the_cursor() {
        assert_eq!(RAW.gap(&gap(None)), GapForm::Ends);
        assert_eq!(&RAW.end(&End::Gap(at(40)), 0)[..], b"\x88\x06\x0b\xc2a-40");
    }

    #[test]
    fn an_envelope_is_one_text_frame() {
        let unit = frame_of(&ENVELOPE, text("hi"));
        assert_eq!(unit[0], 0x81);
        assert_eq!(
            &unit[2..],
            &b"{\"id\":\"a-7\",\"channel\":\"news\",\"event\":\"message\",\"data\":\"hi\",\
               \"ts\":1790000000000,\"kind\":\"text\"}"[..]
        );
    }

    #[test]
    fn system_events_are_text_frames() {
        let channels = [news()];
        let conn = SocketId::new("c1");
        let ready = ENVELOPE.ready(&Ready {
            cursor: at(12),
            channels: &channels,
            conn: &conn,
            jitter: 0,
        });
        assert_eq!(
            &ready[2..],
            &b"{\"event\":\"$ready\",\"data\":{\"cursor\":\"a-12\",\
               \"channels\":[\"news\"],\"conn\":\"c1\"}}"[..]
        );
        let GapForm::Unit(gap) = ENVELOPE.gap(&gap(None)) else {
            panic!("an envelope has a place for gaps");
        };
        assert!(
            gap[2..]
                .windows(15)
                .any(|part| part == b"{\"event\":\"$gap\"")
        );
        assert_eq!(&ENVELOPE.keep_alive().unwrap()[..], b"\x89\x00");
        let drain = ENVELOPE.drain(Duration::from_secs(5)).unwrap();
        assert_eq!(
            &drain[2..],
            &b"{\"event\":\"$drain\",\"data\":{\"in\":5000,\"reason\":\"shutdown\"}}"[..]
        );
        assert!(RAW.drain(Duration::from_secs(5)).is_none());
    }

    #[test]
    fn every_end_has_the_close_code_of_the_table() {
        let code = |end: End| close_of(&end).map(|(code, _)| code.0);
        assert_eq!(code(End::Slow), Some(3008));
        assert_eq!(code(End::Silent), Some(3012));
        assert_eq!(code(End::Shutdown), Some(1012));
        assert_eq!(code(End::Fault), Some(1011));
        assert_eq!(code(End::Close(3509, String::new())), Some(3509));
        let denied = Refusal::new(Code::Forbidden, "no");
        assert_eq!(code(End::Refused(denied)), Some(3507));
        assert_eq!(code(End::Gone), None);
    }
}
