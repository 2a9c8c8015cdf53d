//! Running a command with its output read line by line and its time bounded.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long output may still trickle in after the command itself has ended: a grandchild that
/// holds the pipe must not hold the run.
const TRAILING_OUTPUT: Duration = Duration::from_secs(5);
/// How many lines may wait to be shown; a command that prints faster waits.
const LINES_AHEAD: usize = 1024;
/// How often a silent command is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself, with this status.
    Exited(ExitStatus),
    /// Killed, with everything it had started, when its time was up.
    TimedOut,
}

impl Ended {
    /// Whether it ended by itself with status 0.
    pub(crate) fn succeeded(&self) -> bool {
        matches!(self, Ended::Exited(status) if status.success())
    }

    /// For the end of a sentence: "… ended with exit status: 101".
    pub(crate) fn describe(&self) -> String {
        match self {
            Ended::Exited(status) => format!("ended with {status}"),
            Ended::TimedOut => "was killed when its time was up".to_owned(),
        }
    }
}

/// Which of a command's outputs is read; the other goes to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Standard output alone.
    Stdout,
    /// Standard output and standard error, lines as they come.
    Both,
}

/// Runs a command without input, hands every line to `on_line`, and kills it and all its
/// descendants after `limit`. An error means that it could not be started.
pub(crate) fn run(
    command: &mut Command,
    read: Output,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<Ended, String> {
    run_watched(command, read, limit, |line| {
        line.into_iter().for_each(&mut on_line);
        Wish::GoOn
    })
}

/// What is to become of a command that is being run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    GoOn,
    /// What it has started is to be killed, and the command itself to go on with what is next.
    KillChildren,
}

/// As [`run`]; beside each line `watch` is asked again and again, without one.
pub(crate) fn run_watched(
    command: &mut Command,
    read: Output,
    limit: Duration,
    mut watch: impl FnMut(Option<&str>) -> Wish,
) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if read == Output::Both {
        command.stderr(Stdio::piped());
    }
    let mut child = command
        .spawn()
        .map_err(|error| format!("{name} did not start: {error}"))?;
    let (sender, lines) = sync_channel(LINES_AHEAD);
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, sender.clone());
    }
    drop(sender);

    let deadline = Instant::now() + limit;
    let mut ended_at: Option<Instant> = None;
    loop {
        let line = lines.recv_timeout(LOOK);
        if watch(line.as_deref().ok()) == Wish::KillChildren {
            kill(&descendants(child.id()));
        }
        match line {
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let has_ended = matches!(child.try_wait(), Ok(Some(_)));
                if has_ended {
                    let since = *ended_at.get_or_insert_with(Instant::now);
                    if since.elapsed() > TRAILING_OUTPUT {
                        break;
                    }
                }
            }
        }
        if Instant::now() > deadline {
            kill_tree(&mut child);
            return Ok(Ended::TimedOut);
        }
    }
    wait_until(&mut child, deadline).map_err(|error| format!("{name}: {error}"))
}

/// Runs a command to its end and gives what it printed on both outputs.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<(Ended, String), String> {
    let mut text = String::new();
    let ended = run(command, Output::Both, limit, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    Ok((ended, text))
}

fn forward(output: impl Read + Send + 'static, sender: SyncSender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut bytes = Vec::new();
        while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
            let line = String::from_utf8_lossy(&bytes);
            if sender
                .send(line.trim_end_matches(['\n', '\r']).to_owned())
                .is_err()
            {
                break;
            }
            bytes.clear();
        }
    });
}

/// Output is closed, yet the command may go on: waits for it as long as its time allows.
fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<Ended> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Exited(status));
        }
        if Instant::now() > deadline {
            kill_tree(child);
            return Ok(Ended::TimedOut);
        }
        std::thread::park_timeout(LOOK);
    }
}

/// Kills a child and everything below it. The descendants are found in `/proc` before anything
/// is killed, because an orphan's parent can no longer be told.
fn kill_tree(child: &mut Child) {
    let mut doomed = descendants(child.id());
    doomed.push(child.id());
    kill(&doomed);
    let _ = child.wait();
}

fn kill(doomed: &[u32]) {
    for pid in doomed {
        // No libc here: the shell's own `kill` does it.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -KILL {pid}")])
            .output();
    }
}

fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The command's name, in brackets, may hold anything: the fields start after it.
            let parent = stat
                .rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_and_status_come_back() {
        let (ended, text) = capture(
            &mut shell("echo one; echo two >&2; exit 3"),
            Duration::from_secs(60),
        )
        .unwrap();
        assert!(text.contains("one\n") && text.contains("two\n"), "{text}");
        assert!(!ended.succeeded());
        assert!(ended.describe().contains('3'));
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let mut pid = None;
        let ended = run(
            &mut shell("sleep 1000 & echo $!; wait"),
            Output::Stdout,
            Duration::from_secs(1),
            |line| pid = line.parse::<u32>().ok(),
        )
        .unwrap();
        assert!(matches!(ended, Ended::TimedOut));
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.unwrap()));
        // Gone, or a zombie that nobody has collected yet.
        assert!(stat.is_err() || stat.unwrap().contains(") Z "));
    }

    #[test]
    fn what_a_command_has_started_can_be_killed_and_the_command_goes_on() {
        let mut heard = Vec::new();
        let ended = run_watched(
            &mut shell("echo begins; sleep 1000; echo goes on"),
            Output::Stdout,
            Duration::from_secs(60),
            |line| {
                heard.extend(line.map(str::to_owned));
                match heard.len() {
                    1 => Wish::KillChildren,
                    _ => Wish::GoOn,
                }
            },
        )
        .unwrap();
        assert!(ended.succeeded());
        assert_eq!(heard, ["begins", "goes on"]);
    }

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let error = capture(
            &mut Command::new("no-such-command-here"),
            Duration::from_secs(1),
        );
        assert!(error.unwrap_err().contains("no-such-command-here"));
    }
}
