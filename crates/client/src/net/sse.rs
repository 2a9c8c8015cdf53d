//! A response body as a stream of events.

use bytes::Bytes;
use fanwire_proto::native::{self, Incoming};
use fanwire_proto::sse::{Limits, Parser};
use http_body_util::BodyExt as _;
use hyper::body::Incoming as Body;

use super::http::Connection;
use crate::session::End;

/// An open event stream.
#[derive(Debug)]
pub(crate) struct EventStream {
    /// Keeps the connection open.
    _connection: Connection,
    body: Body,
    parser: Parser,
    /// Read, not parsed yet.
    rest: Bytes,
    retry: Option<u64>,
}

/// What a stream gave.
#[derive(Debug)]
pub(crate) enum Item {
    /// An object.
    Object(Incoming),
    /// A reconnection time in milliseconds.
    Retry(u64),
    /// Bytes that were no event, such as a comment: the peer is alive.
    Alive,
}

impl EventStream {
    pub(crate) fn new(connection: Connection, body: Body, max_message: usize) -> Self {
        let parser = Parser::new(Limits {
            max_line: max_message,
            max_event: max_message,
        });
        Self {
            _connection: connection,
            body,
            parser,
            rest: Bytes::new(),
            retry: None,
        }
    }

    /// The next item. Nothing is lost if this is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<Item, End> {
        loop {
            // First, because it may stand in the last block before the end.
            if self.parser.retry() != self.retry {
                self.retry = self.parser.retry();
                return Ok(Item::Retry(self.retry.unwrap_or_default()));
            }
            if !self.rest.is_empty() {
                let mut input = &self.rest[..];
                let event = self
                    .parser
                    .next(&mut input)
                    .map_err(|e| End::Unusable(e.to_string()))?;
                let used = self.rest.len() - input.len();
                let _ = self.rest.split_to(used);
                let object = event.map(|event| {
                    let read = if event.event.starts_with('$') {
                        native::read::system(&event.event, &event.data)
                    } else {
                        native::read::read(event.data.as_bytes())
                    };
                    read.map_err(|e| End::Unusable(e.to_string()))
                });
                if let Some(object) = object {
                    return object.map(Item::Object);
                }
                return Ok(Item::Alive);
            }
            match self.body.frame().await {
                None => return Err(End::Lost("the stream ended".to_owned())),
                Some(Err(e)) => return Err(End::Lost(e.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest = data;
                    }
                }
            }
        }
    }
}
