//! Repeats put together: the median, and from where to where.

use std::collections::BTreeMap;

use serde::Serialize;

use super::outcome::Run;

/// One figure over all repeats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// One server over one transport.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) target: String,
    pub(crate) transport: String,
    pub(crate) figures: BTreeMap<String, Spread>,
    /// Of the repeat in the middle: percentile and microseconds.
    pub(crate) latency: Vec<(f64, f64)>,
    /// Each sentence once.
    pub(crate) notes: Vec<String>,
    /// Repeats that brought figures.
    pub(crate) repeats: usize,
}

/// A row for each server and transport, in the order of their first run.
pub(crate) fn rows(runs: &[Run]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for run in runs {
        let known = |row: &Row| row.target == run.target && row.transport == run.transport;
        if !rows.iter().any(known) {
            let same: Vec<&Run> = runs
                .iter()
                .filter(|other| other.target == run.target && other.transport == run.transport)
                .collect();
            rows.push(row(&same));
        }
    }
    rows
}

fn row(runs: &[&Run]) -> Row {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut notes: Vec<String> = Vec::new();
    let mut latencies = Vec::new();
    for run in runs {
        let failed = run.error.iter().map(|error| format!("failed: {error}"));
        let told = run
            .outcome
            .iter()
            .flat_map(|outcome| outcome.notes.iter().cloned());
        for note in failed.chain(told) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if let Some(outcome) = &run.outcome {
            for (key, value) in &outcome.figures {
                values.entry(key.clone()).or_default().push(*value);
            }
            latencies.push(&outcome.latency);
        }
    }
    Row {
        target: runs[0].target.clone(),
        transport: runs[0].transport.clone(),
        figures: values
            .into_iter()
            .map(|(key, all)| (key, spread(all)))
            .collect(),
        repeats: latencies.len(),
        latency: middle(latencies),
        notes,
    }
}

/// The distribution whose p99 is the median of all.
fn middle(mut all: Vec<&Vec<(f64, f64)>>) -> Vec<(f64, f64)> {
    let p99 = |points: &Vec<(f64, f64)>| {
        let found = points.iter().find(|(percent, _)| *percent == 99.0);
        found.map_or(0.0, |(_, micros)| *micros)
    };
    all.sort_by(|a, b| p99(a).total_cmp(&p99(b)));
    all.get(all.len() / 2)
        .map(|points| (*points).clone())
        .unwrap_or_default()
}

fn spread(mut all: Vec<f64>) -> Spread {
    all.sort_by(f64::total_cmp);
    let half = all.len() / 2;
    let median = if all.len().is_multiple_of(2) {
        f64::midpoint(all[half - 1], all[half])
    } else {
        all[half]
    };
    Spread {
        median,
        least: all[0],
        most: all[all.len() - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Outcome;

    fn run(target: &str, repeat: usize, p99: Option<f64>) -> Run {
        Run {
            target: target.to_owned(),
            transport: "ws".to_owned(),
            repeat,
            outcome: p99.map(|p99| {
                let mut outcome = Outcome::default();
                outcome.set("p99_ms", p99);
                outcome.notes.push("noted".to_owned());
                outcome
            }),
            error: p99.is_none().then(|| "no answer".to_owned()),
        }
    }

    #[test]
    fn a_row_has_the_median_the_range_and_each_note_once() {
        let runs = [
            run("a", 0, Some(3.0)),
            run("b", 0, Some(9.0)),
            run("a", 1, Some(1.0)),
            run("a", 2, Some(2.0)),
            run("a", 3, None),
        ];
        let rows = rows(&runs);
        assert_eq!(rows.len(), 2);
        let spread = Spread {
            median: 2.0,
            least: 1.0,
            most: 3.0,
        };
        assert_eq!(rows[0].figures["p99_ms"], spread);
        assert_eq!(rows[0].notes, ["noted", "failed: no answer"]);
        assert_eq!(rows[0].repeats, 3);
        assert_eq!(rows[1].figures["p99_ms"].median, 9.0);
    }
}
