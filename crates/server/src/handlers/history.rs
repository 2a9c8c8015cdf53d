//! What was said in a room before, as code sees it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::History;
use fanwire_core::key::{Key, Name};
use fanwire_core::message::Stored;

use super::args::Args;
use super::space::Space;

/// Messages of one question at most, as for clients.
const MOST: usize = 1000;

/// Messages of a room, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Past {
    /// As they were sent.
    pub messages: Vec<PastMessage>,
    /// Where they end: what comes after it is asked for with
    /// [`Io::history_after`](crate::Io::history_after), and by clients with `after=`.
    pub cursor: String,
    /// False where messages after the cursor asked about are not kept any more.
    pub is_complete: bool,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastMessage {
    /// Its id, which is also the cursor just behind it.
    pub id: String,
    /// The event.
    pub event: String,
    /// What it carries.
    pub args: Args,
    /// When it took its place in the one order.
    pub sent: SystemTime,
    /// Who published it, where that was verified.
    pub from: Option<String>,
}

/// The room of this name; `@all` is what went to everyone.
pub(super) fn key(space: &Space, room: &str) -> Result<Key, Refusal> {
    match room {
        "@all" => Ok(space.all()),
        room => Name::new(room)
            .map(|name| Key::Channel(space.namespace.clone(), name))
            .map_err(|why| Refusal::new(Code::InvalidChannel, why.to_string())),
    }
}

/// The cursor that is written so.
pub(super) fn cursor(text: &str) -> Result<Cursor, Refusal> {
    match Cursor::read(text.as_bytes()) {
        CursorText::Cursor(cursor) => Ok(cursor),
        _ => Err(Refusal::new(Code::BadRequest, "this is no cursor")),
    }
}

/// Asks a namespace.
pub(super) async fn history(
    space: Arc<Space>,
    key: Result<Key, Refusal>,
    after: Option<Cursor>,
    most: usize,
) -> Result<Past, Refusal> {
    let history = space.read(key?, after, most.min(MOST)).await?;
    Ok(past(history))
}

fn past(history: History) -> Past {
    Past {
        messages: history.messages.iter().map(|one| message(one)).collect(),
        cursor: history.cursor.to_string(),
        is_complete: history.is_complete,
    }
}

fn message(stored: &Stored) -> PastMessage {
    let message = &stored.message;
    PastMessage {
        id: stored.id.to_string(),
        event: message.event.as_str().to_owned(),
        args: Args::of_body(message.body.clone()),
        sent: SystemTime::UNIX_EPOCH + Duration::from_millis(stored.ts),
        from: message.from.as_deref().map(str::to_owned),
    }
}
