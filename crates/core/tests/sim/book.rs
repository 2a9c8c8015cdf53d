//! The book of a run: its trace, the trace's hash, and how often each kind of
//! fault happened.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Arguments;

/// Lines kept for the report of a failure.
const KEPT: usize = 400;

#[derive(Default)]
pub struct Book {
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    hash: u64,
    lines: VecDeque<String>,
    loud: bool,
    now: u64,
}

impl Book {
    /// `loud`: every line goes to the screen as it comes.
    pub fn new(loud: bool) -> Self {
        Self {
            loud,
            hash: 0xcbf2_9ce4_8422_2325,
            ..Self::default()
        }
    }

    pub fn tick(&mut self, now: u64) {
        self.now = now;
    }

    /// One line of the trace.
    pub fn line(&mut self, what: Arguments<'_>) {
        let line = format!("{:>6} ms  {what}", self.now);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.loud {
            println!("{line}");
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Something that the run is to have seen.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry(what).or_default() += times;
        }
    }

    /// Equal for equal runs.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}
