//! How servers compare: each figure as a multiple of the first server's.

use super::figure::{Better, def};
use super::outcome::Outcome;
use super::outcome::Run;
use super::summary::{Row, rows};

/// A row for each other server, on a transport that the first one has too:
/// medians divided by the first one's, repeat by repeat where both have it, so
/// that what the machine did meanwhile falls out of it.
pub(crate) fn ratios(runs: &[Run]) -> Vec<Row> {
    let Some(first) = runs.first().map(|run| run.target.clone()) else {
        return Vec::new();
    };
    let mut divided = Vec::new();
    for run in runs.iter().filter(|run| run.target != first) {
        let base = runs.iter().find(|base| {
            base.target == first && base.transport == run.transport && base.repeat == run.repeat
        });
        let both = run
            .outcome
            .as_ref()
            .zip(base.and_then(|base| base.outcome.as_ref()));
        if let Some((ours, base)) = both {
            divided.push(Run {
                outcome: Some(divide(ours, base)),
                error: None,
                ..run.clone()
            });
        }
    }
    rows(&divided)
}

fn divide(ours: &Outcome, base: &Outcome) -> Outcome {
    let mut outcome = Outcome::default();
    for (key, value) in &ours.figures {
        let counts = def(key).is_some_and(|def| def.better != Better::Neither);
        match base.figures.get(key) {
            Some(base) if counts && *base > 0.0 => outcome.set(key, value / base),
            _ => {}
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_server_is_divided_by_the_first_in_the_same_repeat() {
        let run = |target: &str, repeat: usize, p99: f64| {
            let mut outcome = Outcome::default();
            outcome.set("p99_ms", p99);
            outcome.set("lost", 0.0);
            Run {
                target: target.to_owned(),
                transport: "ws".to_owned(),
                repeat,
                outcome: Some(outcome),
                error: None,
            }
        };
        let runs = [
            run("a", 0, 2.0),
            run("b", 0, 4.0),
            run("a", 1, 1.0),
            run("b", 1, 3.0),
        ];
        let ratios = ratios(&runs);
        assert_eq!(ratios.len(), 1);
        assert_eq!(ratios[0].figures["p99_ms"].median, 2.5);
        assert!(!ratios[0].figures.contains_key("lost"));
    }
}
