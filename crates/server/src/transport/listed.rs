//! What of a listener its connection knows, for operators.

use std::net::IpAddr;

use fanwire_core::hub::{About, End};

use crate::app::App;
use crate::metrics::{Here, Opened};
use crate::refused::Kept;

/// Counts a listener as long as it is the hub's, and says what it is.
pub(crate) struct Listed {
    here: Here,
    address: Option<IpAddr>,
    who: Kept,
}

impl Listed {
    /// A listener by `what`, for `address`; `who` is told of should it be refused.
    pub(crate) fn new(app: &App, what: Opened, address: Option<IpAddr>, who: Kept) -> Self {
        Self {
            here: app.metrics.comes(what),
            address,
            who,
        }
    }

    /// It ends so. What only asked once is told so elsewhere, and counted there.
    pub(crate) fn ended(&self, end: &End) {
        let streams = matches!(
            self.here.what(),
            Opened::WebSocket | Opened::Sse | Opened::SocketIo
        );
        if let (End::Refused(refusal), true) = (end, streams) {
            self.here.refused(refusal.code, self.who.tell_soon(refusal));
        }
    }

    /// What there is to know; `pending` bytes have not left yet.
    pub(crate) fn about(&self, pending: usize) -> About {
        About {
            transport: self.here.what().name(),
            address: self.address,
            pending,
        }
    }
}
