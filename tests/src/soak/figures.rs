//! What a server holds.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

/// Figures of one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// Proportional set size: its memory, shared pages by their share.
    pss_kib: u64,
    /// Open descriptors, threads, and what the hub counts.
    counts: BTreeMap<String, u64>,
}

/// Counts that only grow.
const TOTALS: [&str; 2] = ["deliveries", "gaps"];

impl Figures {
    /// Those of the process `pid` that says `line` of itself.
    pub(super) fn read(pid: u32, line: &str) -> Result<Self, String> {
        let of = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
        };
        let number = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let pss_kib = number(&of("smaps_rollup")?, "Pss:").ok_or("no Pss")?;
        let mut counts = BTreeMap::new();
        let threads = number(&of("status")?, "Threads:").ok_or("no Threads")?;
        counts.insert("threads".to_owned(), threads);
        let open = fs::read_dir(format!("/proc/{pid}/fd")).map_err(|error| error.to_string())?;
        counts.insert("descriptors".to_owned(), open.count() as u64);
        let mut words = line.split_whitespace().skip(1);
        while let Some((name, value)) = words.next().zip(words.next()) {
            let value = value.parse().map_err(|_| format!("not figures: {line}"))?;
            counts.insert(name.to_owned(), value);
        }
        Ok(Self { pss_kib, counts })
    }

    fn get(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(u64::MAX)
    }

    /// Nobody is there, and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        let all = [
            "connections",
            "subscribers",
            "queued",
            "credit_out",
            "reads",
        ];
        all.iter().all(|name| self.get(name) == 0)
    }

    /// All counts as they were, and memory within a tenth and `margin`.
    pub(super) fn holds(&self, after: &Self, margin_kib: u64) -> Result<(), String> {
        let counts = self
            .counts
            .iter()
            .filter(|(name, _)| !TOTALS.contains(&name.as_str()));
        for (name, was) in counts {
            let is = after.get(name);
            if is != *was {
                return Err(format!("{name}: {was} before, {is} after"));
            }
        }
        if after.get("faults") != 0 {
            return Err(format!("{} faults", after.get("faults")));
        }
        let most = self.pss_kib + self.pss_kib / 10 + margin_kib;
        match after.pss_kib <= most {
            true => Ok(()),
            false => Err(format!(
                "memory: {} KiB before, {} after, {most} allowed",
                self.pss_kib, after.pss_kib
            )),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PSS {} KiB", self.pss_kib)?;
        let mut each = self.counts.iter();
        each.try_for_each(|(name, value)| write!(f, ", {name} {value}"))
    }
}
