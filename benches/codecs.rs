//! The codecs.

use std::hint::black_box;

use bytes::Bytes;
use fanwire_core::cursor::{Cursor, Epoch, Seq};
use fanwire_core::key::Key;
use fanwire_proto::native::{Body, Command, Envelope, json, read};
use fanwire_proto::sse::chunk::chunked;
use fanwire_proto::sse::{Block, Limits as SseLimits, Parser};
use fanwire_proto::ws::deflate::Window;
use fanwire_proto::ws::frame::apply_mask;
use fanwire_proto::ws::{Decoder, Deflate, Limits, Opcode, Role, frame, masked_frame};

use crate::table::{Table, Work};

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// JSON text of about this many bytes.
fn text(len: usize) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for n in 0_u32.. {
        if out.len() + 40 > len {
            break;
        }
        let price = n.wrapping_mul(2_654_435_761) % 10_000;
        out.extend_from_slice(format!("{{\"symbol\":\"S{n}\",\"price\":{price}}},").as_bytes());
    }
    out.resize(len.max(3) - 2, b' ');
    out.extend_from_slice(b"0]");
    out
}

fn envelope<'a>(id: &'a str, body: &'a [u8]) -> Envelope<'a> {
    Envelope {
        id: Some(id),
        channel: Some("market:prices"),
        event: "message",
        body: Body::Json(body),
        ts: 1_760_000_000_000,
        from: None,
        key: None,
    }
}

pub(crate) fn run(table: &mut Table) {
    web_socket(table);
    deflate(table);
    streams(table);
    names(table);
}

fn web_socket(table: &mut Table) {
    table.head("WebSocket", "message");
    for len in [16, 128, 1024, 16 * 1024] {
        let payload = text(len);
        let work = Work::bytes(payload.len());
        table.row(&format!("encode a frame, {len} B"), work, || {
            frame(Opcode::Text, black_box(&payload))
        });
        let mut masked = payload.clone();
        table.row(&format!("mask, {len} B"), work, || {
            apply_mask(MASK, 0, black_box(&mut masked));
        });
        // Sixteen messages as one read brings them.
        let sixteen = masked_frame(Opcode::Text, &payload, MASK).repeat(16);
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        let work = Work {
            units: 16,
            bytes: 16 * payload.len(),
        };
        table.row(&format!("decode a client's text, {len} B"), work, || {
            let mut input = black_box(&sixteen[..]);
            while let Ok(Some(event)) = decoder.decode(&mut input) {
                black_box(event);
            }
        });
    }
}

fn deflate(table: &mut Table) {
    table.head("permessage-deflate", "message");
    for len in [128, 1024, 16 * 1024] {
        let payload = text(len);
        let work = Work::bytes(payload.len());
        for (name, window) in [("32 KiB", Window::Full), ("512 B", Window::Small)] {
            let deflate = Deflate {
                window,
                threshold: 0,
            };
            table.row(&format!("deflate, {len} B, window of {name}"), work, || {
                deflate.frame(Opcode::Text, black_box(&payload))
            });
        }
        let deflate = Deflate {
            window: Window::Full,
            threshold: 0,
        };
        let frame = deflate.frame(Opcode::Text, &payload);
        let mut decoder = Decoder::new(Role::Client, Limits::default()).inflating(false);
        table.row(&format!("inflate, {len} B"), work, || {
            decoder.decode(&mut black_box(&frame[..]))
        });
    }
}

fn streams(table: &mut Table) {
    table.head("JSON and event streams", "message");
    let id = "3w5e11264sgsf-123456789";
    for len in [128, 1024] {
        let body = text(len);
        let work = Work::bytes(body.len());
        table.row(&format!("check published JSON, {len} B"), work, || {
            json::check(black_box(&body))
        });
        let mut out = Vec::new();
        table.row(&format!("encode an envelope, {len} B"), work, || {
            out.clear();
            envelope(id, black_box(&body)).write(&mut out);
        });
        let mut written = Vec::new();
        envelope(id, &body).write(&mut written);
        table.row(&format!("decode an envelope, {len} B"), work, || {
            read::read(black_box(&written))
        });
        let command = Bytes::from([&b"{\"ref\":7,\"data\":"[..], &body, b"}"].concat());
        table.row(&format!("decode a client's command, {len} B"), work, || {
            Command::parse(black_box(&command))
        });
        let block = Block {
            id: Some(id),
            data: Some(&written),
            ..Block::default()
        };
        table.row(&format!("encode an SSE chunk, {len} B"), work, || {
            chunked(block.size_hint(), |out| black_box(&block).write(out))
        });
        let mut stream = Vec::new();
        block.write(&mut stream);
        let mut parser = Parser::new(SseLimits::default());
        table.row(&format!("decode an SSE event, {len} B"), work, || {
            parser.next(&mut black_box(&stream[..]))
        });
    }
}

fn names(table: &mut Table) {
    table.head("Names", "name");
    let cursor = Cursor::new(Epoch(0x1234_5678_9ABC_DEF0), Seq(123_456_789));
    let text = cursor.to_string();
    table.row("encode a cursor", Work::ONE, || {
        black_box(cursor).to_string()
    });
    table.row("decode a cursor", Work::ONE, || {
        Cursor::read(black_box(text.as_bytes()))
    });
    for name in ["lobby", "market:prices/EUR"] {
        table.row(&format!("parse the key {name}"), Work::ONE, || {
            Key::parse(black_box(name.as_bytes()))
        });
    }
}
