//! Clients that join and leave channels while they listen.

use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::message::Keys;
use fanwire_core::policy::Permit;
use smallvec::SmallVec;

use crate::client::Client;
use crate::cx::{Cx, Verdict, anonymous};
use crate::events::{At, Event};
use crate::plan::{CHANNELS, key};
use crate::wire::cursor;

/// A client keeps no more channels than this.
const MOST: usize = 8;

/// A place as core has it; without one, before everything.
fn place(at: Option<&At>) -> Cursor {
    let text = at.map_or("0-0".to_owned(), |(epoch, seq)| format!("{epoch}-{seq}"));
    match cursor(&text) {
        CursorText::Cursor(cursor) => cursor,
        other => panic!("{text}: {other:?}"),
    }
}

impl Client {
    /// Where its channels were joined, in the oracle's words and in core's.
    pub fn places(&self, cx: &mut Cx) -> (Vec<Option<At>>, SmallVec<[Cursor; 1]>) {
        if self.since.is_empty() {
            return Default::default();
        }
        let since = self.channels.iter();
        let since: Vec<Option<At>> = since
            .map(|channel| self.since.get(channel).cloned())
            .collect();
        cx.book.count("back with what it joined");
        let places = since.iter().map(|at| place(at.as_ref())).collect();
        (since, places)
    }

    /// Joins some channels, or leaves some, as they come.
    pub fn move_about(&mut self, cx: &mut Cx) -> Verdict {
        if self.once
            || self.form != 0
            || self.link.as_ref().is_none_or(|link| link.handle.is_none())
        {
            return Ok(());
        }
        let mut channels: Vec<String> = Vec::new();
        for _ in 0..*cx.rng.pick(&[1, 1, 2, 3]) {
            let channel = (*cx.rng.pick(&CHANNELS)).to_owned();
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        if self.channels.len() >= MOST || cx.rng.percent(45) {
            self.leave_some(cx, channels)
        } else {
            self.join_some(cx, channels)
        }
    }

    /// What the node has handed out, in the oracle's words.
    fn handed_out(cx: &Cx) -> (usize, u64) {
        (cx.tap.notes.lock().cuts, cx.hub.applied().0)
    }

    fn join_some(&mut self, cx: &mut Cx, channels: Vec<String>) -> Verdict {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let Some(handle) = &link.handle else {
            return Ok(());
        };
        let keys: Keys = channels.iter().map(|channel| key(channel)).collect();
        let closed = channels.iter().any(|channel| channel.starts_with("priv:"));
        let permit: Option<Permit> = match !closed && cx.rng.percent(50) {
            true => cx.door.give(anonymous(), link.verb, keys).ok(),
            false => cx.door.admit(anonymous(), link.verb, keys).ok(),
        };
        let Some(permit) = permit else {
            cx.book.count("door refuses a join");
            return Ok(());
        };
        let at = Self::handed_out(cx);
        let from = handle.join(permit);
        cx.book
            .line(format_args!("{} joins {channels:?} at {from}", self.name));
        if from.seq().0 != at.1 {
            return Err(format!("joined at {from}, where {at:?} is handed out"));
        }
        cx.book.count("joined");
        if cx.hub.stats().behind > 0 {
            cx.book.count("joined while behind");
        }
        let place: At = (from.epoch().to_string(), from.seq().0);
        for channel in &channels {
            if self.channels.contains(channel) {
                cx.book.count("joined what it has");
            } else {
                self.channels.push(channel.clone());
                self.since.insert(channel.clone(), place.clone());
            }
        }
        cx.judge(Event::Join(link.conn.clone(), channels, at))
    }

    fn leave_some(&mut self, cx: &mut Cx, mut channels: Vec<String>) -> Verdict {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let Some(handle) = &link.handle else {
            return Ok(());
        };
        // Mostly of its own.
        if let Some(own) = self.channels.first() {
            channels.push(own.clone());
        }
        let at = Self::handed_out(cx);
        handle.leave(channels.iter().map(|channel| key(channel)).collect());
        cx.book
            .line(format_args!("{} leaves {channels:?} at {at:?}", self.name));
        cx.book.count("left");
        self.channels.retain(|channel| !channels.contains(channel));
        self.since.retain(|channel, _| !channels.contains(channel));
        cx.judge(Event::Leave(link.conn.clone(), channels, at))
    }
}
