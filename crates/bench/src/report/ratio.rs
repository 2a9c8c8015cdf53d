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
    by(runs, |run, base| {
        run.target != first && base.target == first && base.transport == run.transport
    })
}

/// A row for each transport over TLS or HTTP/2 (`ws+tls`) that was measured over
/// HTTP/1.1 in the clear too, in the same way.
pub(crate) fn carried(runs: &[Run]) -> Vec<Row> {
    by(runs, |run, base| {
        let plain = run.transport.split_once('+').map(|(plain, _)| plain);
        run.target == base.target && plain == Some(&base.transport)
    })
}

/// Each run divided by the one that is its base, of the same repeat.
fn by(runs: &[Run], is_base: impl Fn(&Run, &Run) -> bool) -> Vec<Row> {
    let mut divided = Vec::new();
    for run in runs {
        let mut same = runs.iter().filter(|base| base.repeat == run.repeat);
        let base = same.find(|base| is_base(run, base));
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

    #[test]
    fn what_tls_costs_is_divided_by_the_same_without() {
        let run = |transport: &str, cpu: f64| {
            let mut outcome = Outcome::default();
            outcome.set("cpu_us_per_delivery", cpu);
            Run {
                target: "a".to_owned(),
                transport: transport.to_owned(),
                repeat: 0,
                outcome: Some(outcome),
                error: None,
            }
        };
        let rows = carried(&[run("ws", 2.0), run("sse", 1.0), run("ws+h2+tls", 3.0)]);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].transport, "ws+h2+tls");
        assert_eq!(rows[0].figures["cpu_us_per_delivery"].median, 1.5);
    }
}
