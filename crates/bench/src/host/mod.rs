//! This machine: what processes cost, which CPU runs what, how many files may
//! be open.

mod cpus;
mod limits;
mod processes;
mod signals;

pub(crate) use cpus::{Cpus, pin};
pub(crate) use limits::raise_files;
pub(crate) use processes::Processes;
pub(crate) use signals::Signals;
