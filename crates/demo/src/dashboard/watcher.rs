//! One who watches: the events behind its place.

use std::collections::VecDeque;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};

use fanwire::sse::Event;
use serde::Serialize;
use serde_json::json;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};

use super::Dashboard;
use super::metrics::Watching;

/// Its events: first all that is new to it, then what comes. Dropped with its connection.
pub(super) struct Watcher {
    dashboard: Dashboard,
    seen: Seen,
    /// Found, and not yet taken.
    due: VecDeque<Event>,
    /// Something may be new; once at the beginning.
    news: Pin<Box<dyn Stream<Item = ()> + Send>>,
    _watching: Watching,
}

/// The number of the last thing seen, of each kind. As text it is the `id` of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Seen {
    run: u64,
    jobs: u64,
    notices: u64,
    samples: u64,
    lines: u64,
}

impl Watcher {
    /// Begins behind the event of this id, if it is one of this run of the server.
    pub(super) fn new(dashboard: Dashboard, last: Option<&str>) -> Self {
        let run = dashboard.run;
        let known = last.and_then(|id| id.parse().ok());
        let known = known.filter(|seen: &Seen| seen.run == run);
        let anew = Seen {
            run,
            ..Seen::default()
        };
        let bell = WatchStream::new(dashboard.bell.subscribe());
        let news = bell.merge(WatchStream::new(dashboard.log.news()));
        Self {
            seen: known.unwrap_or(anew),
            due: VecDeque::new(),
            news: Box::pin(news),
            _watching: dashboard.metrics.watch(),
            dashboard,
        }
    }

    /// Takes what is new, in the order in which a page can use it.
    fn look(&mut self) {
        if let Some((version, jobs)) = self.dashboard.jobs.newer_than(self.seen.jobs) {
            self.seen.jobs = version;
            self.say("jobs", &jobs);
        }
        if let Some((last, samples)) = self.dashboard.metrics.behind(self.seen.samples) {
            self.seen.samples = last;
            self.say("metrics", &samples);
        }
        for (number, notice) in self.dashboard.notices.behind(self.seen.notices) {
            self.seen.notices = number;
            self.say("notification", &notice);
        }
        for (number, line) in self.dashboard.log.behind(self.seen.lines) {
            // Lines that were gone before they were taken are counted, not hidden.
            let missed = number - self.seen.lines - 1;
            self.seen.lines = number;
            self.say("log", &json!({ "missed": missed, "line": line }));
        }
    }

    fn say(&mut self, name: &str, what: &impl Serialize) {
        // What these are can always be written as JSON.
        let event = Event::json(what).unwrap_or_default();
        self.due
            .push_back(event.event(name).id(self.seen.to_string()));
    }
}

impl Stream for Watcher {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Poll::Ready(Some(event));
            }
            if ready!(self.news.as_mut().poll_next(cx)).is_none() {
                return Poll::Ready(None);
            }
            self.look();
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            run,
            jobs,
            notices,
            samples,
            lines,
        } = self;
        write!(f, "{run}-{jobs}-{notices}-{samples}-{lines}")
    }
}

impl FromStr for Seen {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let numbers: Result<Vec<u64>, _> = text.splitn(6, '-').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[run, jobs, notices, samples, lines]) => Ok(Self {
                run,
                jobs,
                notices,
                samples,
                lines,
            }),
            _ => Err(()),
        }
    }
}
