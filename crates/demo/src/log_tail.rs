//! The last lines of this program's own log, for a page to show.
//!
//! Whoever logs knows nothing of it: `tracing` hands every event to each layer of its
//! subscriber, one of which writes to the terminal and another keeps lines here.
//!
//! ```no_run
//! use fanwire_demo::LogTail;
//! use tracing_subscriber::filter::LevelFilter;
//! use tracing_subscriber::prelude::*;
//!
//! let tail = LogTail::default();
//! let terminal = tracing_subscriber::fmt::layer().with_filter(LevelFilter::WARN);
//! tracing_subscriber::registry()
//!     .with(terminal)
//!     .with(tail.clone().with_filter(LevelFilter::INFO))
//!     .init();
//! tracing::info!(answer = 42, "it runs");
//! ```

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::recent::Recent;
use crate::time::now_ms;

/// Lines that are kept.
pub(crate) const KEPT: usize = 200;
/// Longest line, in bytes.
const LONGEST: usize = 1000;

/// A handle: cheap to clone, all clones have the same lines, at most 200 of at most
/// 1000 bytes. As a layer it takes every event that its filter lets through.
#[derive(Clone, Debug)]
pub struct LogTail {
    lines: Arc<Mutex<Recent<Line>>>,
    new: watch::Sender<()>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    timestamp: u64,
    level: &'static str,
    /// The module that says it.
    target: &'static str,
    text: String,
}

impl Default for LogTail {
    fn default() -> Self {
        Self {
            lines: Arc::new(Mutex::new(Recent::new(KEPT))),
            new: watch::Sender::new(()),
        }
    }
}

impl LogTail {
    /// Those kept behind number `seen`, each with its number. Where the first number is
    /// not the next one, lines came faster than they were taken.
    pub(crate) fn behind(&self, seen: u64) -> Vec<(u64, Line)> {
        let lines = self.lock();
        let new = lines.behind(seen);
        new.map(|(number, line)| (number, line.clone())).collect()
    }

    /// Hears of new lines; it may hear once of several.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.new.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for LogTail {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let about = event.metadata();
        // Whatever is logged while a value is written was so before the lock is taken.
        self.lock().add(Line {
            timestamp: now_ms(),
            level: about.level().as_str(),
            target: about.target(),
            text: text.whole(),
        });
        self.new.send_replace(());
    }
}

/// A line as it is written: the message, then `name=value` of each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn whole(mut self) -> String {
        self.message += &self.fields;
        self.message
            .truncate(self.message.floor_char_boundary(LONGEST));
        self.message
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let (text, name) = match field.name() {
            "message" => (&mut self.message, String::new()),
            name => (&mut self.fields, format!(" {name}=")),
        };
        let mut text = Bounded(text);
        // A value that cannot be written, or no longer fits, ends here.
        let _ = text
            .write_str(&name)
            .and_then(|()| write!(text, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &value);
    }
}

/// Takes no more than fits into a line.
struct Bounded<'a>(&'a mut String);

impl Write for Bounded<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = LONGEST.saturating_sub(self.0.len());
        let fits = more.floor_char_boundary(room);
        self.0.push_str(&more[..fits]);
        if fits < more.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::prelude::*;

    use super::*;

    fn logging(log: impl FnOnce()) -> Vec<(u64, Line)> {
        let tail = LogTail::default();
        let layer = tail.clone().with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log);
        tail.behind(0)
    }

    #[test]
    fn a_line_is_the_message_and_the_fields_and_less_than_its_level_is_none() {
        let lines = logging(|| {
            tracing::debug!("too little");
            tracing::warn!(name = "two\nlines", number = 7, "who {}", "is it");
        });
        let [(1, line)] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        assert_eq!(line.text, r#"who is it name="two\nlines" number=7"#);
        assert_eq!((line.level, line.target), ("WARN", module_path!()));
    }

    #[test]
    fn lines_are_bounded_in_length_and_in_number() {
        let lines = logging(|| {
            for n in 0..KEPT + 50 {
                tracing::info!(n, text = "ä".repeat(5000), "much");
            }
        });
        let (first, last) = (&lines[0], &lines[KEPT - 1]);
        assert_eq!((lines.len(), first.0, last.0), (KEPT, 51, 250));
        assert!(last.1.text.starts_with("much n=249 text=\"ää"));
        assert!(lines.iter().all(|(_, line)| line.text.len() <= LONGEST));
    }
}
