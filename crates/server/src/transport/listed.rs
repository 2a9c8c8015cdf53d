//! What of a listener its connection knows, for operators.

use std::net::IpAddr;

use fanwire_core::hub::About;

use crate::app::App;
use crate::metrics::{Here, Opened};

/// Counts a listener as long as it is the hub's, and says what it is.
pub(crate) struct Listed {
    here: Here,
    address: Option<IpAddr>,
}

impl Listed {
    /// A listener by `what`, for `address`.
    pub(crate) fn new(app: &App, what: Opened, address: Option<IpAddr>) -> Self {
        Self {
            here: app.metrics.comes(what),
            address,
        }
    }

    /// What there is to know; `pending` bytes have not left yet.
    pub(super) fn about(&self, pending: usize) -> About {
        About {
            transport: self.here.what().name(),
            address: self.address,
            pending,
        }
    }
}
