//! What a connection's own side says before its first message.

use std::time::Duration;

use bytes::Bytes;
use fanwire_core::clock::{Clock, Instant};

use crate::client::{Client, Link, ensure};
use crate::cx::{Cx, Verdict};
use crate::events::Rx;

/// Shorter than that, nobody is cut off for waiting too long.
const SHORT: Duration = Duration::from_millis(50);

/// Of one connection, whose messages wait for it.
pub struct Greets {
    /// How long they surely do.
    until: Instant,
    /// Its last reply before it said that this was all; 0 where that was too late.
    said: Option<u64>,
}

impl Greets {
    /// Some wait, and for so long at most.
    pub fn drawn(once: bool, cx: &mut Cx) -> (Duration, Option<Self>) {
        if once || !cx.rng.percent(30) {
            return (Duration::ZERO, None);
        }
        let time = Duration::from_millis(*cx.rng.pick(&[1, 40, 300, 2_000]));
        let greets = Self {
            until: cx.time.now() + time.min(SHORT),
            said: None,
        };
        (time, Some(greets))
    }
}

impl Client {
    /// Says what is to come first, and that it is all, where it has not.
    pub fn greet(&mut self, cx: &mut Cx) -> Verdict {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let (Some(greets), Some(handle)) = (&mut link.greets, &link.handle) else {
            return Ok(());
        };
        if greets.said.is_some() {
            return Ok(());
        }
        for _ in 0..cx.rng.below(3) {
            link.sent += 1;
            handle.send(Bytes::from(format!("Y {} -\n", link.sent)));
        }
        // As any reply.
        link.slow = true;
        let in_time = cx.time.now() < greets.until;
        greets.said = Some(if in_time { link.sent } else { 0 });
        handle.greeted();
        cx.book.count(match in_time {
            true => "greeting in time",
            false => "greeting late",
        });
        Ok(())
    }
}

impl Link {
    /// What is said first comes before every message, and while it lasts none comes.
    pub fn greeted(&self, cx: &Cx, rx: &Rx) -> Verdict {
        let (Some(greets), Rx::Message(_)) = (&self.greets, rx) else {
            return Ok(());
        };
        let first = match greets.said {
            Some(last) => self.replied >= last,
            None => cx.time.now() >= greets.until,
        };
        ensure(first, "a message before the greeting")
    }
}
