//! What the commands print. `println!` panics where the reader of a pipe has
//! gone; these don't.

use std::fmt;
use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use crate::failure::Failure;

/// Writes to stdout and flushes.
///
/// # Errors
/// [`Failure::ClosedOutput`] where nobody reads any more.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// Ends when nobody reads stdout any more: a pipe tells its writer so even while
/// there is nothing to write. Never ends where stdout is a file or a terminal.
pub(crate) async fn reader_gone() {
    let (gone, told) = oneshot::channel();
    std::thread::spawn(move || {
        let stdout = io::stdout();
        // No flags: only what is always reported, an error or the other end's close.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let ended = loop {
            match poll(&mut watched, None) {
                Err(Errno::INTR) => {}
                ended => break ended,
            }
        };
        if ended.is_ok() {
            let _ = gone.send(());
        }
    });
    if told.await.is_err() {
        std::future::pending().await
    }
}

/// Says a line on stderr; where nobody reads that, it is lost.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
