//! What was typed after `cargo xtask`.

/// Printed for `help` and after a mistake.
pub(crate) const HELP: &str = "\
cargo xtask test [--only STAGE[,STAGE…]] [--list]
    runs every suite; the last line is `N passed, N failed, N skipped`
    --only   these stages alone, in the order of --list
    --list   the stages and what each needs
cargo xtask tidy
    the house rules alone
cargo xtask conformance
    Autobahn's WebSocket cases, some minutes; writes tests/conformance/autobahn.txt
cargo xtask fuzz [TARGET…] [--seconds N]
    every decoder, or these, under libFuzzer for a minute (or N seconds) each; needs a C++ compiler
cargo xtask soak [--seconds N] [--seed S]
    five minutes (or N seconds) of churn: memory, descriptors and tasks end where they began
cargo xtask bundle
    writes crates/server/src/assets/socket.io.esm.js from clients/socketio/src
cargo xtask tlsscan
    sslscan and testssl.sh against a server with a certificate, some minutes; above low fails

With CI=true in the environment a skip is a failure.";

/// One task, ready to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print [`HELP`].
    Help,
    /// Print the stages of `test`.
    ListStages,
    /// Run the stages named, or all where none is.
    Test {
        /// Names as typed; checked against the table of stages by `test`.
        only: Vec<String>,
    },
    /// Run the house rules alone.
    Tidy,
    /// Put the browser client for Socket.IO together.
    Bundle,
    /// Run Autobahn's cases.
    Conformance,
    /// Let scanners look at TLS.
    TlsScan,
    /// Run the churn.
    Soak {
        /// How long.
        seconds: u64,
        /// Who does what when.
        seed: u64,
    },
    /// Run the fuzz targets named, or all where none is.
    Fuzz {
        /// Names as typed; checked against the corpora by `fuzz`.
        only: Vec<String>,
        /// How long each runs.
        seconds: u64,
    },
}

/// Reads the arguments; the error is a sentence for the person who typed them.
pub(crate) fn parse(arguments: &[String]) -> Result<Task, String> {
    let mut rest = arguments.iter().map(String::as_str);
    match rest.next() {
        None | Some("help" | "--help" | "-h") => Ok(Task::Help),
        Some("tidy") => rest
            .next()
            .map_or(Ok(Task::Tidy), |extra| Err(unknown(extra))),
        Some("conformance") => rest
            .next()
            .map_or(Ok(Task::Conformance), |extra| Err(unknown(extra))),
        Some("bundle") => rest
            .next()
            .map_or(Ok(Task::Bundle), |extra| Err(unknown(extra))),
        Some("tlsscan") => rest
            .next()
            .map_or(Ok(Task::TlsScan), |extra| Err(unknown(extra))),
        Some("fuzz") => parse_fuzz(rest),
        Some("soak") => parse_soak(rest),
        Some("test") => parse_test(rest),
        Some(other) => Err(format!("there is no task `{other}`")),
    }
}

fn parse_test<'a>(mut rest: impl Iterator<Item = &'a str>) -> Result<Task, String> {
    let mut only = Vec::new();
    while let Some(argument) = rest.next() {
        let value = match argument {
            "--list" => return Ok(Task::ListStages),
            "--help" | "-h" => return Ok(Task::Help),
            "--only" => rest.next().ok_or("--only needs the name of a stage")?,
            other => other
                .strip_prefix("--only=")
                .ok_or_else(|| unknown(other))?,
        };
        only.extend(
            value
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        if only.is_empty() {
            return Err("--only needs the name of a stage".to_owned());
        }
    }
    Ok(Task::Test { only })
}

fn parse_fuzz<'a>(mut rest: impl Iterator<Item = &'a str>) -> Result<Task, String> {
    let (mut only, mut seconds) = (Vec::new(), 60);
    while let Some(argument) = rest.next() {
        let value = match argument {
            "--help" | "-h" => return Ok(Task::Help),
            "--seconds" => rest.next().unwrap_or_default(),
            other => match other.strip_prefix("--seconds=") {
                Some(value) => value,
                None if other.starts_with('-') => return Err(unknown(other)),
                None => {
                    only.push(other.to_owned());
                    continue;
                }
            },
        };
        seconds = match value.parse() {
            Ok(seconds @ 1..=86_400) => seconds,
            _ => return Err("--seconds is a number from 1 to 86400".to_owned()),
        };
    }
    Ok(Task::Fuzz { only, seconds })
}

fn parse_soak<'a>(mut rest: impl Iterator<Item = &'a str>) -> Result<Task, String> {
    let (mut seconds, mut seed) = (300, 1);
    while let Some(argument) = rest.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let goal = match name {
            "--help" | "-h" => return Ok(Task::Help),
            "--seconds" => &mut seconds,
            "--seed" => &mut seed,
            _ => return Err(unknown(argument)),
        };
        *goal = value
            .or_else(|| rest.next())
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("{name} needs a number"))?;
    }
    match seconds {
        1..=86_400 => Ok(Task::Soak { seconds, seed }),
        _ => Err("--seconds is a number from 1 to 86400".to_owned()),
    }
}

fn unknown(argument: &str) -> String {
    format!("`{argument}` is not an argument of this task")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn stages_are_split_at_commas_and_add_up() {
        let task = parse(&words("test --only fmt,tidy --only=unit")).unwrap();
        assert_eq!(
            task,
            Task::Test {
                only: words("fmt tidy unit")
            }
        );
    }

    #[test]
    fn a_mistake_is_named() {
        assert!(
            parse(&words("test --olny fmt"))
                .unwrap_err()
                .contains("--olny")
        );
        assert!(parse(&words("tset")).unwrap_err().contains("tset"));
        assert!(parse(&words("test --only")).is_err());
        assert!(parse(&words("test --only ,")).is_err());
        assert!(parse(&words("tidy up")).unwrap_err().contains("up"));
        assert!(parse(&words("conformance 9")).is_err());
        assert!(parse(&words("bundle --minify")).is_err());
        assert!(parse(&words("fuzz --second 9")).is_err());
        for seconds in ["--seconds", "--seconds 0", "--seconds=x", "--seconds 86401"] {
            assert!(parse(&words(&format!("fuzz {seconds}"))).is_err());
        }
    }

    #[test]
    fn targets_run_for_a_minute_or_as_long_as_is_said() {
        let task = |only: &str, seconds| Task::Fuzz {
            only: words(only),
            seconds,
        };
        assert_eq!(parse(&words("fuzz")).unwrap(), task("", 60));
        let typed = "fuzz inflate --seconds 5 sse";
        assert_eq!(parse(&words(typed)).unwrap(), task("inflate sse", 5));
    }

    #[test]
    fn churn_lasts_five_minutes_or_as_long_as_is_said() {
        let soak = |seconds, seed| Task::Soak { seconds, seed };
        assert_eq!(parse(&words("soak")).unwrap(), soak(300, 1));
        let typed = "soak --seed=9 --seconds 20";
        assert_eq!(parse(&words(typed)).unwrap(), soak(20, 9));
        for wrong in ["--seconds", "--seconds 0", "--seed x", "--sed 1", "1"] {
            assert!(parse(&words(&format!("soak {wrong}"))).is_err());
        }
    }

    #[test]
    fn nothing_typed_is_a_question() {
        assert_eq!(parse(&[]).unwrap(), Task::Help);
        assert_eq!(parse(&words("test --list")).unwrap(), Task::ListStages);
        assert_eq!(parse(&words("conformance")).unwrap(), Task::Conformance);
        assert_eq!(parse(&words("bundle")).unwrap(), Task::Bundle);
        assert_eq!(parse(&words("tlsscan")).unwrap(), Task::TlsScan);
        assert!(parse(&words("tlsscan x")).is_err());
    }
}
