//! From WebSocket frames to a polling payload: sessions hold what is for the client as
//! frames whatever their transport, so that an upgrade has nothing to translate.

use super::encode::Wire;
use super::packet::Packet;

/// Opcodes (RFC 6455, 5.2).
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

/// Appends, as packets each with a record separator before it, the unmasked frames of a
/// unit, as [`Wire::WebSocket`] writes them. A close frame is a close packet; other control
/// frames mean nothing to a poll. What is no whole frame ends it.
pub fn frames_to_polling(mut unit: &[u8], out: &mut Vec<u8>) {
    while let Some((kind, payload, rest)) = frame(unit) {
        unit = rest;
        match kind {
            BINARY => Wire::Polling.packet(&Packet::decode_binary(payload), out),
            CLOSE => Wire::Polling.packet(&Packet::Close, out),
            _ if kind > CLOSE => {}
            _ => Wire::Polling.text(out, |out| out.extend_from_slice(payload)),
        }
    }
}

/// The first frame: its opcode, its payload, and what is behind it.
fn frame(unit: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = unit.split_first_chunk::<2>()?;
    let (len, rest) = match head[1] {
        126 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk::<8>()?;
            (usize::try_from(u64::from_be_bytes(*len)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    let (payload, rest) = rest.split_at_checked(len)?;
    Some((head[0] & 0xf, payload, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(units: &[Packet<'_>]) -> String {
        let mut frames = Vec::new();
        for packet in units {
            Wire::WebSocket.packet(packet, &mut frames);
        }
        let mut out = Vec::new();
        frames_to_polling(&frames, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn frames_of_every_length_become_the_packets_that_polling_would_write() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let text = "é".repeat(len);
            let data = vec![7; len];
            let packets = [
                Packet::Text(&text),
                Packet::decode_binary(&data),
                Packet::Noop,
            ];
            let mut expected = Vec::new();
            for packet in &packets {
                Wire::Polling.packet(packet, &mut expected);
            }
            assert_eq!(polled(&packets).as_bytes(), expected, "{len}");
        }
    }

    #[test]
    fn a_close_frame_is_a_close_packet_and_pings_are_none() {
        let mut out = Vec::new();
        frames_to_polling(b"\x89\x00\x88\x02\x03\xe8\x81\x016", &mut out);
        assert_eq!(out, b"\x1e1\x1e6");
    }

    #[test]
    fn what_is_cut_off_ends_it() {
        let mut out = Vec::new();
        for cut in [
            &b""[..],
            b"\x81",
            b"\x81\x05ab",
            b"\x82\x7e\x01",
            b"\x81\xff1",
        ] {
            frames_to_polling(cut, &mut out);
        }
        assert!(out.is_empty());
    }
}
