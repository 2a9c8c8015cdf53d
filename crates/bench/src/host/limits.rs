//! How many files may be open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as it may be; gives how many files that is.
pub(crate) fn raise_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it fails the soft limit stays, and is what is told.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
