//! What one run brought.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a scenario measured in one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Values by the key of their figure.
    pub(crate) figures: BTreeMap<String, f64>,
    /// Percentile and microseconds.
    pub(crate) latency: Vec<(f64, f64)>,
    /// What a reader must know about it, each a sentence.
    pub(crate) notes: Vec<String>,
}

impl Outcome {
    /// Sets a figure; one that is no number is left out.
    pub(crate) fn set(&mut self, key: &str, value: f64) {
        debug_assert!(super::def(key).is_some(), "{key} is in no catalogue");
        if value.is_finite() {
            self.figures.insert(key.to_owned(), value);
        }
    }
}

/// One run of one scenario, against one server, over one transport.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) target: String,
    pub(crate) transport: String,
    /// From 0.
    pub(crate) repeat: usize,
    /// None where it failed; then `error` says why.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) error: Option<String>,
}

/// What was measured, where and how.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct About {
    pub(crate) scenario: String,
    /// In a sentence, with its numbers.
    pub(crate) what: String,
    /// The command line that does it again.
    pub(crate) command: String,
    pub(crate) seed: u64,
    pub(crate) repeats: usize,
    /// The machine, the kernel, which CPUs.
    pub(crate) machine: Vec<(String, String)>,
    /// Version of each server that tells one.
    pub(crate) versions: BTreeMap<String, String>,
    /// Keys of the figures to show, in order.
    pub(crate) columns: Vec<String>,
}
