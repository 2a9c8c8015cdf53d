//! Why a session, or a socket in it, ended: the words that Socket.IO's own server
//! gives to `disconnect` handlers.

use std::fmt;

/// Why it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Reason {
    /// The server let the socket go from its namespace.
    ServerNamespaceDisconnect,
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// The server shuts down.
    ServerShuttingDown,
    /// No pong came in time.
    PingTimeout,
    /// The connection closed, or the client said goodbye.
    TransportClose,
    /// The connection broke, or requests overlapped that may not.
    TransportError,
    /// What came is not the protocol.
    Parse,
    /// Nobody joined a namespace in time, or another connection took this one's place.
    ForcedClose,
    /// The server closed the connection.
    ForcedServerClose,
}

impl Reason {
    /// The words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::Parse => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<fanwire_proto::engineio::Reason> for Reason {
    fn from(reason: fanwire_proto::engineio::Reason) -> Self {
        use fanwire_proto::engineio::Reason as Ended;
        match reason {
            Ended::PingTimeout => Self::PingTimeout,
            Ended::TransportClose => Self::TransportClose,
            Ended::TransportError => Self::TransportError,
            Ended::ParseError => Self::Parse,
            Ended::ForcedClose => Self::ForcedClose,
            Ended::ForcedServerClose => Self::ForcedServerClose,
            Ended::ServerShuttingDown => Self::ServerShuttingDown,
        }
    }
}
