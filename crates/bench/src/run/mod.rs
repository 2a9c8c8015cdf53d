//! From a command line to a report: servers are started, loads run as a
//! process of their own, outcomes put together.
//!
//! | file | what it does |
//! |---|---|
//! | [`plan`] | which servers, transports and numbers, in which order |
//! | [`server`] | starts and stops a server |
//! | [`worker`] | the load's process, from both sides |
//! | [`progress`] | the bar |
//! | [`machine`] | what the figures were taken on |
//! | [`install`] | installs a peer's server |

mod install;
mod machine;
mod measure;
mod plan;
mod progress;
mod server;
mod worker;

pub(crate) use install::install;
pub(crate) use measure::measure;
pub(crate) use plan::{Wish, plan};
pub(crate) use worker::work;
