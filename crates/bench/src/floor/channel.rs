//! Who listens to a name, and the last messages for those who poll.

use std::collections::VecDeque;

use fanwire_proto::ws::{self, Opcode};

/// Messages kept for pollers.
const LOG: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Channel {
    /// Connections with an open stream.
    pub(super) streams: Vec<usize>,
    /// Connections whose poll waits, and after which message.
    pub(super) polls: Vec<(usize, u64)>,
    log: VecDeque<Vec<u8>>,
    /// Messages ever published.
    pub(super) top: u64,
}

impl Channel {
    pub(super) fn push(&mut self, message: &[u8]) {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(message.to_vec());
        self.top += 1;
    }

    pub(super) fn leave(&mut self, conn: usize) {
        self.streams.retain(|&other| other != conn);
        self.polls.retain(|&(other, _)| other != conn);
    }

    /// An answer with what came after, one line per message.
    pub(super) fn answer(&self, after: u64, out: &mut Vec<u8>) {
        let held = self.top - self.log.len() as u64;
        let skip = after.saturating_sub(held) as usize;
        let messages = || self.log.iter().skip(skip);
        let length: usize = messages().map(|message| message.len() + 1).sum();
        out.clear();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Cursor: {}\r\n\r\n",
            self.top
        );
        out.extend_from_slice(head.as_bytes());
        for message in messages() {
            out.extend_from_slice(message);
            out.push(b'\n');
        }
    }
}

/// One message as a WebSocket frame.
pub(super) fn frame(message: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&ws::encode::header(Opcode::Text, message.len()));
    out.extend_from_slice(message);
}

/// One message as an event in a chunk.
pub(super) fn event(message: &[u8], out: &mut Vec<u8>) {
    let head = format!("{:x}\r\ndata: ", message.len() + 8);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(message);
    out.extend_from_slice(b"\n\n\r\n");
}
