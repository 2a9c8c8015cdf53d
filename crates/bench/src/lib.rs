//! `fanwire bench`: what each transport, and each server, costs on your own
//! machine. It knows the wire alone, no server's inside.
//!
//! | module | what it is |
//! |---|---|
//! | [`args`] | what was typed |
//! | [`command`] | does it |
//! | `run` | servers are started, loads run, outcomes put together |
//! | `report` | figures as tables, Markdown, JSON, a page |
//! | `scenario` | what is measured: one small file each |
//! | `load` | the load generator: one thread, one epoll, thousands of clients |
//! | `floor` | the physical limit to compare with |
//! | `adapter` | how to speak to a server, in TOML |
//! | `host` | this machine: CPUs, memory, limits |
//! | `net` `http` `marker` `rng` `error` | what the others stand on |

pub mod args;
pub mod command;
pub mod error;

mod adapter;
mod floor;
/// Decoders without a public door, for the fuzz targets.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod http;
mod load;
mod marker;
mod net;
mod report;
mod rng;
mod run;
mod scenario;
