//! `cargo xtask conformance`: Autobahn's cases against the server's WebSocket, with the result
//! of each in a committed table, so that a change shows as a diff.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use crate::process::{self, Output};
use crate::setup;
use crate::tally::Tally;

/// What is installed, from the root.
const PROJECT: &str = "tests/conformance/autobahn";
/// The table, from the root.
const TABLE: &str = "tests/conformance/autobahn.txt";
/// How many cases there are.
const CASES: usize = 517;

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Two out of five cases move a thousand messages each: minutes, on a machine that is idle.
const RUN_LIMIT: Duration = Duration::from_secs(60 * 60);

/// kosoku 0.1.0 hands a compressed case an uncompressed echo as `str` (binary: a character for each
/// byte), which its hash does not take, so that the case fails whatever was echoed. Uncompressed
/// answers are legal (RFC 7692, 6.1), so the installed copy is mended: in this file, behind the
/// first line, goes the second.
const MENDED: &str = "cases/case12_x_x.py";
const BEFORE: &str = "def onMessage(self, msg, binary):\n";
const MENDING: &str = "   \
if isinstance(msg, str): msg = msg.encode('latin-1' if binary else 'utf-8')\n";

/// One case's outcome: that of its messages, and that of its close.
type Outcome = (String, String);

/// Runs all cases and writes the table. The last line of output is the count.
pub(crate) fn run(root: &Path) -> ExitCode {
    let tally = match attempt(root) {
        Ok(cases) => count(&cases),
        Err(reason) => Tally::fail(format!("conformance: {reason}")),
    };
    tally.conclude()
}

fn attempt(root: &Path) -> Result<BTreeMap<Vec<u32>, Outcome>, String> {
    let python = setup::python(root, PROJECT)?;
    mend(&python)?;
    let server = Server::start(&build(root)?)?;
    let reports = root.join(".cache/autobahn");
    // An old report must not pass for a new one.
    let _ = std::fs::remove_dir_all(&reports);
    let mut kosoku = Command::new(python.with_file_name("kosoku"));
    kosoku
        .args(["--mode", "fuzzingclient", "--parallelism", "2", "--outdir"])
        .arg(&reports)
        .arg(&server.address)
        .current_dir(root);
    println!("conformance: {CASES} cases against {}", server.address);
    let ended = process::run(&mut kosoku, Output::Both, RUN_LIMIT, |line| {
        println!("{line}");
    })?;
    let index = reports.join("index.json");
    let index = std::fs::read_to_string(&index)
        .map_err(|error| format!("kosoku {}, {}: {error}", ended.describe(), index.display()))?;
    let cases = read(&index);
    let path = root.join(TABLE);
    std::fs::write(&path, table(&cases)).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(cases)
}

/// Mends the installed copy, once.
fn mend(python: &Path) -> Result<(), String> {
    let ask = "import kosoku, os; print(os.path.dirname(kosoku.__file__))";
    let (_, folder) = process::capture(Command::new(python).args(["-c", ask]), BUILD_LIMIT)?;
    let path = Path::new(folder.trim()).join(MENDED);
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if text.contains(MENDING) {
        return Ok(());
    }
    if text.matches(BEFORE).count() != 1 {
        return Err(format!("{} is not as it was in 0.1.0", path.display()));
    }
    let mended = text.replacen(BEFORE, &format!("{BEFORE}{MENDING}"), 1);
    std::fs::write(&path, mended).map_err(|error| format!("{}: {error}", path.display()))
}

/// Builds the echo server and gives its path.
fn build(root: &Path) -> Result<PathBuf, String> {
    let arguments = [
        "build",
        "--quiet",
        "--package",
        "fanwire-tests",
        "--bin",
        "conformance-ws",
    ];
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments);
    let ended = process::run(&mut command, Output::Stdout, BUILD_LIMIT, |line| {
        println!("{line}");
    })?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let binary = root.join(target).join("debug/conformance-ws");
    if ended.succeeded() && binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("the build of conformance-ws {}", ended.describe()))
    }
}

/// The echo server, for as long as this lives.
struct Server {
    child: Child,
    /// `host:port`.
    address: String,
}

impl Server {
    fn start(binary: &Path) -> Result<Self, String> {
        let mut child = Command::new(binary)
            .arg("0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("conformance-ws did not start: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // Whatever is wrong with it shows as a line that is no address.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let address = line.trim().strip_prefix("ws://").unwrap_or_default();
        let address = address.trim_end_matches('/').to_owned();
        let server = Self { child, address };
        if server.address.is_empty() {
            return Err(format!(
                "conformance-ws said {line:?}, not where it listens"
            ));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The outcomes in kosoku's `index.json`, which has one member to a line; in the order of their
/// numbers.
fn read(index: &str) -> BTreeMap<Vec<u32>, Outcome> {
    let mut cases = BTreeMap::new();
    let mut current: Option<Vec<u32>> = None;
    for line in index.lines() {
        let Some((name, value)) = line.trim().trim_end_matches(',').split_once(": ") else {
            continue;
        };
        let (name, value) = (name.trim_matches('"'), value.trim_matches('"'));
        let outcome = |case: &Option<Vec<u32>>| case.clone().unwrap_or_default();
        match name {
            "behavior" => {
                let entry: &mut Outcome = cases.entry(outcome(&current)).or_default();
                entry.0 = value.to_owned();
            }
            "behaviorClose" => {
                let entry: &mut Outcome = cases.entry(outcome(&current)).or_default();
                entry.1 = value.to_owned();
            }
            _ if value == "{" => {
                current = name.split('.').map(|part| part.parse().ok()).collect();
            }
            _ => {}
        }
    }
    cases
}

/// The table: a case, the outcome of its messages, that of its close; then the sum.
fn table(cases: &BTreeMap<Vec<u32>, Outcome>) -> String {
    let mut text = String::from(
        "# Autobahn's WebSocket cases, run by `cargo xtask conformance` (PyPI kosoku 0.1.0).\n\
         # case, behaviour, behaviour at the close; INFORMATIONAL cases judge nothing and are\n\
         # counted as skipped.\n",
    );
    for (case, (behaviour, close)) in cases {
        text.push_str(&format!("{} {behaviour} {close}\n", name(case)));
    }
    text + &count(cases).line() + "\n"
}

fn name(case: &[u32]) -> String {
    let parts: Vec<String> = case.iter().map(ToString::to_string).collect();
    parts.join(".")
}

fn count(cases: &BTreeMap<Vec<u32>, Outcome>) -> Tally {
    let mut tally = Tally::default();
    for (case, (behaviour, close)) in cases {
        match (behaviour.as_str(), close.as_str()) {
            ("OK", "OK") => tally.passed += 1,
            ("INFORMATIONAL", _) => tally.skipped += 1,
            _ => tally.add_failure(format!("{} {behaviour} {close}", name(case))),
        }
    }
    if cases.len() != CASES {
        tally.add_failure(format!("{} cases ran, not {CASES}", cases.len()));
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"{
   "127.0.0.1:9": {
      "10.1.1": {
         "behavior": "NON-STRICT",
         "behaviorClose": "OK",
         "duration": 1
      },
      "9.2.10": {
         "behavior": "OK",
         "behaviorClose": "OK",
         "duration": 1
      },
      "9.2.9": {
         "behavior": "INFORMATIONAL",
         "behaviorClose": "INFORMATIONAL",
         "remoteCloseCode": 1000
      }
   }
}"#;

    #[test]
    fn outcomes_are_read_in_the_order_of_their_numbers() {
        let text = table(&read(INDEX));
        let rows: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            rows[..3],
            [
                "9.2.9 INFORMATIONAL INFORMATIONAL",
                "9.2.10 OK OK",
                "10.1.1 NON-STRICT OK",
            ]
        );
    }

    #[test]
    fn what_is_not_strict_and_what_did_not_run_is_a_failure() {
        let tally = count(&read(INDEX));
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 2, 1));
        assert!(tally.failures[0].contains("10.1.1"));
        assert!(tally.failures[1].contains("not 517"));
    }
}
