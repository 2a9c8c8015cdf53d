//! Packets to write, for either transport.

use super::packet::Packet;
use super::payload::SEPARATOR;
use crate::ws::Opcode;
use crate::ws::encode::header;

/// Which bytes a packet becomes.
///
/// What is written for one packet, or for several that belong together, is a
/// *unit*: it stands alone, so units of a session can be put one after the
/// other, and one unit serves every session of its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// A record separator before each packet, binary as `b` and base64. The
    /// answer to a poll is the units without the very first byte.
    Polling,
    /// One finished, unmasked frame for each packet.
    WebSocket,
}

impl Wire {
    /// Appends a packet.
    ///
    /// A record separator inside a text becomes a space on polling, where it
    /// would end the packet; JSON, and so Socket.IO, never holds one.
    pub fn packet(self, packet: &Packet<'_>, out: &mut Vec<u8>) {
        match (self, packet) {
            (Self::WebSocket, Packet::Binary(data)) => {
                out.extend_from_slice(&header(Opcode::Binary, data.len()));
                out.extend_from_slice(data);
            }
            _ => self.text(out, |out| packet.write(out)),
        }
    }

    /// Appends a message of bytes.
    pub fn binary(self, data: &[u8], out: &mut Vec<u8>) {
        self.packet(&Packet::decode_binary(data), out);
    }

    /// Appends a text packet that `write` gives whole, its type included.
    pub fn text(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Polling => {
                out.push(SEPARATOR);
                let from = out.len();
                write(out);
                for byte in &mut out[from..] {
                    if *byte == SEPARATOR {
                        *byte = b' ';
                    }
                }
            }
            Self::WebSocket => {
                // Room for the header of a short frame; a longer one, which
                // depends on what was written, moves the payload.
                let head = out.len();
                out.extend_from_slice(&[0; 2]);
                let from = out.len();
                write(out);
                let header = header(Opcode::Text, out.len() - from);
                if header.len() == 2 {
                    out[head..from].copy_from_slice(&header);
                } else {
                    out.splice(head..from, header.iter().copied());
                }
            }
        }
    }
}
