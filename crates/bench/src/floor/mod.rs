//! The physical limit: the leanest broadcaster there can be, on one thread and
//! one epoll, for each transport. It checks nothing, keeps no promises, and is
//! there to be compared with.
//!
//! `floor` writes once for every message and subscriber. `floor-batch` gathers
//! what one turn of the loop received and writes once per subscriber.
//!
//! `GET /ws/NAME` · `GET /sse/NAME` · `GET /poll/NAME?after=N` (`after` left
//! out: answers at once with the position) · `POST /pub/NAME`

mod channel;
mod conn;
mod server;

use crate::error::Result;
use crate::net;

/// Serves on loopback until the process ends. Says its port on standard output.
pub(crate) fn serve(port: u16, batch: bool) -> Result<()> {
    let (listener, port) = net::listen(port)?;
    println!("listening on 127.0.0.1:{port}");
    server::Floor::new(listener, batch)?.run()
}
