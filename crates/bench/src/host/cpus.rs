//! Which CPU runs what: the server on one, the load on another, so that
//! neither takes time from the other.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::Result;

/// The CPUs of a measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// The server's; none where it may run anywhere.
    pub(crate) server: Option<usize>,
    /// The load's.
    pub(crate) load: Option<usize>,
}

impl Cpus {
    /// The first two that this process may use; none where there is only one.
    pub(crate) fn choose() -> Cpus {
        match allowed().as_slice() {
            [server, load, ..] => Cpus {
                server: Some(*server),
                load: Some(*load),
            },
            _ => Cpus::default(),
        }
    }
}

/// Pins this thread, and the processes it starts from now on, to one CPU.
/// Gives what undoes it.
pub(crate) fn pin(cpu: usize) -> Result<impl FnOnce()> {
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(cpu.min(CpuSet::MAX_CPU - 1));
    sched_setaffinity(None, &one)?;
    Ok(move || {
        // It was allowed before, so it is again.
        let _ = sched_setaffinity(None, &before);
    })
}

fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .collect()
}
