//! SIGINT and SIGTERM, noticed instead of obeyed: what was started must be
//! ended, and what was written to temporary files removed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// Which signal came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// From here on the two signals only leave their number here, for the whole
    /// process. Programs that are started have them as ever.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn catch() -> io::Result<Self> {
        let came = Self::default();
        for signal in [SIGINT, SIGTERM] {
            flag::register_usize(signal, came.0.clone(), signal.unsigned_abs() as usize)?;
        }
        Ok(came)
    }

    /// Whether one came.
    ///
    /// # Errors
    /// [`Error::signal`] says which.
    pub(crate) fn check(&self) -> Result<()> {
        match u8::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0) {
            0 => Ok(()),
            number => Err(Error::ended_by(number)),
        }
    }
}
