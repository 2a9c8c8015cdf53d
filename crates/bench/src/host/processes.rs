//! What a process and its children cost, from `/proc`.

use std::fs;

/// Ticks per second of `/proc/PID/stat`: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;
/// Processes of one tree that are summed.
const MOST: usize = 256;

/// A process and all below it, as they are at each look.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    root: u32,
}

impl Processes {
    pub(crate) fn of(root: u32) -> Processes {
        Processes { root }
    }

    /// CPU seconds of user and system so far. None: it is gone.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        cpu(&self.root.to_string())?;
        Some(
            self.all()
                .iter()
                .filter_map(|pid| cpu(&pid.to_string()))
                .sum(),
        )
    }

    /// Memory in KiB that is theirs alone, and their share of what is shared
    /// (PSS). The sockets' buffers in the kernel are not in it.
    pub(crate) fn pss_kib(&self) -> Option<f64> {
        let sum = |total: Option<f64>, pid: &u32| Some(total.unwrap_or(0.0) + pss(*pid)?);
        self.all().iter().fold(None, sum)
    }

    /// CPU seconds of this program.
    pub(crate) fn own_cpu_seconds() -> f64 {
        cpu("self").unwrap_or(0.0)
    }

    fn all(&self) -> Vec<u32> {
        let mut found = vec![self.root];
        let mut at = 0;
        while at < found.len() && found.len() < MOST {
            let pid = found[at];
            at += 1;
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
                continue;
            };
            for task in tasks.flatten() {
                let children = fs::read_to_string(task.path().join("children"));
                let children = children.unwrap_or_default();
                found.extend(
                    children
                        .split_whitespace()
                        .filter_map(|n| n.parse::<u32>().ok()),
                );
            }
        }
        found
    }
}

fn cpu(pid: &str) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; fields 14 and 15 count from
    // the first.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

fn pss(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_costs_memory_and_one_that_is_gone_costs_nothing() {
        let own = Processes::of(std::process::id());
        assert!(own.pss_kib().is_some_and(|kib| kib > 100.0));
        assert!(own.cpu_seconds().is_some());
        assert!(Processes::of(u32::MAX).cpu_seconds().is_none());
    }
}
