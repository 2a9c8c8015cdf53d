//! The bar, on standard error; nothing where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How far a measurement is.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Seconds of the runs that are over, and of this one.
    done: f64,
    this: f64,
}

const TENTHS: f64 = 10.0;

impl Progress {
    /// Of so many seconds in all.
    pub(super) fn new(seconds: f64, show: bool) -> Progress {
        let bar = match show {
            true => ProgressBar::new((seconds * TENTHS) as u64),
            false => ProgressBar::hidden(),
        };
        let style =
            ProgressStyle::with_template("{elapsed_precise} [{bar:32}] {percent:>3} %  {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Progress {
            bar,
            done: 0.0,
            this: 0.0,
        }
    }

    /// The next run takes so many seconds.
    pub(super) fn next(&mut self, seconds: f64) {
        self.done += self.this;
        self.this = seconds;
    }

    /// What it does, and which part of it is over.
    pub(super) fn at(&self, what: &str, part: f64) {
        self.bar.set_message(what.to_owned());
        let seconds = self.done + self.this * part.clamp(0.0, 1.0);
        self.bar.set_position((seconds * TENTHS) as u64);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
