//! Rows of a Markdown table, each measured as it is printed.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Samples of each row: enough for a median that one bad neighbour does not move.
const SAMPLES: usize = 9;
/// How much of a CPU one sample takes.
const SAMPLE: Duration = Duration::from_millis(60);

/// The table under way.
pub(crate) struct Table {
    /// Rows that contain one of them; all where there is none.
    words: Vec<String>,
}

/// How much one call of a measured function does.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    /// So many times what the row is about: deliveries, messages.
    pub(crate) units: usize,
    /// And so many bytes; 0 where they say nothing.
    pub(crate) bytes: usize,
}

impl Work {
    /// One thing, whose size says nothing.
    pub(crate) const ONE: Self = Self { units: 1, bytes: 0 };

    /// One thing of so many bytes.
    pub(crate) fn bytes(bytes: usize) -> Self {
        Self { units: 1, bytes }
    }

    /// So many things.
    pub(crate) fn units(units: usize) -> Self {
        Self { units, bytes: 0 }
    }
}

impl Table {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// Begins a table of its own.
    pub(crate) fn head(&mut self, title: &str, unit: &str) {
        println!("\n| {title} | ns/{unit} | from–to | MB/s |\n|---|--:|--:|--:|");
    }

    /// Whether a row was asked for; what it needs is made only then.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }

    /// Measures one row.
    pub(crate) fn row<T>(&mut self, name: &str, work: Work, mut run: impl FnMut() -> T) {
        if !self.wants(name) {
            return;
        }
        // How many calls make a sample, and caches and branch predictors warm.
        let mut calls = 1_u32;
        let per_sample = loop {
            let start = cpu_time();
            (0..calls).for_each(|_| drop(black_box(run())));
            let took = cpu_time() - start;
            if took >= SAMPLE / 4 || calls >= 1 << 28 {
                let ratio = SAMPLE.as_secs_f64() / took.as_secs_f64().max(1e-9);
                break (f64::from(calls) * ratio).clamp(1.0, 1e9) as u32;
            }
            calls *= 2;
        };
        let mut samples: Vec<f64> = (0..SAMPLES)
            .map(|_| {
                let start = cpu_time();
                (0..per_sample).for_each(|_| drop(black_box(run())));
                (cpu_time() - start).as_nanos() as f64 / f64::from(per_sample) / work.units as f64
            })
            .collect();
        samples.sort_by(f64::total_cmp);
        let [least, median, most] = [0, SAMPLES / 2, SAMPLES - 1].map(|at| samples[at]);
        let speed = match work.bytes {
            0 => String::new(),
            bytes => format!("{:.0}", bytes as f64 / median * 1e3 / work.units as f64),
        };
        let [median, least, most] = [median, least, most].map(short);
        println!("| {name} | {median} | {least}–{most} | {speed} |");
    }
}

/// What this thread has used of a CPU: who else uses it does not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Three digits.
fn short(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
