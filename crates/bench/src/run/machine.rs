//! What the figures were taken on.

use std::fs;

use crate::host::Cpus;

/// Name and value of what a reader needs to know about this machine.
pub(super) fn machine(cpus: Cpus) -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    // A suffix may name the build of a hosting company; the version says enough.
    let kernel = kernel
        .split('-')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let pinned = match (cpus.server, cpus.load) {
        (Some(server), Some(load)) => format!("server on CPU {server}, load on CPU {load}"),
        _ => "nothing pinned: server and load share the CPUs".to_owned(),
    };
    [
        ("CPU", format!("{model}, {cores} cores")),
        ("Linux", kernel),
        ("pinning", pinned),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
