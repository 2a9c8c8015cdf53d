//! Walks over the frames of a server, only to answer its pings (RFC 6455,
//! 5.5.2) and keep-alives, and to see its close.

use fanwire_proto::ws::{Header, Opcode};

use crate::error::{Error, Result};

/// Payloads that are handed on whole: those of control frames, and short texts.
const SHORT_TEXT: u64 = 16;
/// Longest header of an unmasked frame.
const MAX_HEADER: usize = 14;

/// A frame that matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Ping(Vec<u8>),
    /// With its code, 1005 without.
    Close(u16),
    /// A text of at most 16 bytes.
    Short(Vec<u8>),
}

/// Where in a frame the stream is.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Bytes of the payload to come.
    rest: u64,
    /// The frame whose payload is being kept.
    kept: Option<Opcode>,
    /// An unfinished header, or the payload being kept.
    part: Vec<u8>,
}

impl Walk {
    /// Goes over what was received next.
    ///
    /// # Errors
    /// Bytes that are no frames.
    pub(super) fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Frame>) -> Result<()> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let take = self.rest.min(bytes.len() as u64) as usize;
                if self.kept.is_some() {
                    self.part.extend_from_slice(&bytes[..take]);
                }
                self.rest -= take as u64;
                bytes = &bytes[take..];
                self.end_of_payload(out);
            } else if self.part.is_empty() {
                match header(bytes)? {
                    Some((header, used)) => {
                        bytes = &bytes[used..];
                        self.begin(&header, out);
                    }
                    None => {
                        self.part.extend_from_slice(bytes);
                        return Ok(());
                    }
                }
            } else {
                let before = self.part.len();
                let take = bytes.len().min(MAX_HEADER - before);
                self.part.extend_from_slice(&bytes[..take]);
                let Some((header, used)) = header(&self.part)? else {
                    return Ok(());
                };
                self.part.clear();
                bytes = &bytes[used - before..];
                self.begin(&header, out);
            }
        }
        Ok(())
    }

    fn begin(&mut self, header: &Header, out: &mut Vec<Frame>) {
        self.rest = header.len;
        let short = header.opcode == Opcode::Text && header.fin && header.len <= SHORT_TEXT;
        let matters = short || matches!(header.opcode, Opcode::Ping | Opcode::Close);
        self.kept = matters.then_some(header.opcode);
        self.end_of_payload(out);
    }

    fn end_of_payload(&mut self, out: &mut Vec<Frame>) {
        if self.rest > 0 {
            return;
        }
        let payload = std::mem::take(&mut self.part);
        match self.kept.take() {
            Some(Opcode::Ping) => out.push(Frame::Ping(payload)),
            Some(Opcode::Close) => out.push(Frame::Close(
                payload
                    .first_chunk()
                    .map_or(1005, |code| u16::from_be_bytes(*code)),
            )),
            Some(_) => out.push(Frame::Short(payload)),
            None => {}
        }
    }
}

fn header(bytes: &[u8]) -> Result<Option<(Header, usize)>> {
    Header::decode(bytes).map_err(|_| Error::new("the server sent what is no WebSocket frame"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fanwire_proto::ws::{close_frame, frame};

    #[test]
    fn pings_are_seen_wherever_the_stream_is_cut() {
        let stream = [
            frame(Opcode::Text, &[b'x'; 300]),
            frame(Opcode::Ping, b"are you there"),
            frame(Opcode::Text, b"2"),
            frame(Opcode::Ping, b""),
            frame(Opcode::Binary, &vec![0; 70_000]),
            close_frame(None, ""),
        ]
        .concat();
        let all = [
            Frame::Ping(b"are you there".to_vec()),
            Frame::Short(b"2".to_vec()),
            Frame::Ping(Vec::new()),
            Frame::Close(1005),
        ];
        for cut in (0..340).chain(stream.len() - 20..stream.len()) {
            let mut walk = Walk::default();
            let mut found = Vec::new();
            walk.feed(&stream[..cut], &mut found).unwrap();
            walk.feed(&stream[cut..], &mut found).unwrap();
            assert_eq!(found, all, "cut at {cut}");
        }
        let mut walk = Walk::default();
        let mut found = Vec::new();
        for byte in stream {
            walk.feed(&[byte], &mut found).unwrap();
        }
        assert_eq!(found, all);
    }
}
