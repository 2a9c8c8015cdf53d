//! What a request to the Engine.IO path asks for, from its query, and how it is
//! refused.

/// Longest `sid` that is looked at; no server of ours gives a longer one.
pub const SID_BYTES: usize = 128;

/// Why a request is refused: an HTTP status and a numbered JSON body, which
/// clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 0: `transport` is missing or not one of ours.
    TransportUnknown,
    /// 1: there is no such session, or it has ended.
    SessionUnknown,
    /// 2: a session is opened with GET.
    BadHandshakeMethod,
    /// 3: the request does not fit its session, or itself.
    BadRequest,
    /// 4: the server's rules forbid it.
    Forbidden,
    /// 5: `EIO` is missing or not 4.
    UnsupportedVersion,
}

impl Refusal {
    /// The number in the body.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The sentence in the body.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::TransportUnknown => "Transport unknown",
            Self::SessionUnknown => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedVersion => "Unsupported protocol version",
        }
    }

    /// The HTTP status: 403 for what is forbidden, else 400.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            _ => 400,
        }
    }

    /// The body, `application/json`: `{"code":1,"message":"Session ID unknown"}`.
    #[must_use]
    pub const fn body(self) -> &'static str {
        match self {
            Self::TransportUnknown => r#"{"code":0,"message":"Transport unknown"}"#,
            Self::SessionUnknown => r#"{"code":1,"message":"Session ID unknown"}"#,
            Self::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Self::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            Self::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            Self::UnsupportedVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        }
    }
}

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// A WebSocket.
    WebSocket,
}

/// The members of the query that mean something; others (`t`, which keeps caches
/// away, and the application's own) are let pass. Values are compared as they
/// stand: none of ours needs an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// `transport`.
    pub transport: Transport,
    /// `sid`; none opens a session.
    pub sid: Option<&'a str>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    /// A new session by polling: GET without `sid`.
    OpenPolling,
    /// A new session by WebSocket.
    OpenWebSocket,
    /// The session's packets: GET.
    Poll(&'a str),
    /// Packets for the session: POST.
    Post(&'a str),
    /// To move the session to a WebSocket.
    Upgrade(&'a str),
}

impl<'a> Query<'a> {
    /// Reads the part of a request's target after `?`.
    ///
    /// # Errors
    /// `BadRequest` for a member of ours that comes twice and for `j` (JSONP,
    /// which version 4 has not); then `TransportUnknown`, `UnsupportedVersion`,
    /// and `SessionUnknown` for a `sid` that is empty or longer than
    /// [`SID_BYTES`].
    pub fn parse(query: &'a str) -> Result<Self, Refusal> {
        let (mut version, mut transport, mut sid, mut jsonp) = (None, None, None, None);
        for member in query.split('&') {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            let place = match name {
                "EIO" => &mut version,
                "transport" => &mut transport,
                "sid" => &mut sid,
                "j" => &mut jsonp,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Refusal::BadRequest);
            }
        }
        let transport = match transport {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(Refusal::TransportUnknown),
        };
        if version != Some("4") {
            return Err(Refusal::UnsupportedVersion);
        }
        if jsonp.is_some() {
            return Err(Refusal::BadRequest);
        }
        if sid.is_some_and(|sid| sid.is_empty() || sid.len() > SID_BYTES) {
            return Err(Refusal::SessionUnknown);
        }
        Ok(Self { transport, sid })
    }

    /// What the request asks for, by its method and whether it is a WebSocket
    /// handshake. OPTIONS, a browser's question before it asks, is the caller's.
    ///
    /// # Errors
    /// `BadHandshakeMethod` for a session opened otherwise than by GET;
    /// `BadRequest` for a WebSocket without its handshake, a handshake on
    /// polling, and a method that a session does not know. Whether the session
    /// exists comes first: where there is none, answer `SessionUnknown`.
    pub fn ask(&self, method: &str, websocket: bool) -> Result<Ask<'a>, Refusal> {
        let get = method == "GET";
        match (self.transport, self.sid) {
            (_, None) if !get => Err(Refusal::BadHandshakeMethod),
            (Transport::Polling, None) if !websocket => Ok(Ask::OpenPolling),
            (Transport::WebSocket, None) if websocket => Ok(Ask::OpenWebSocket),
            (Transport::Polling, Some(sid)) if get && !websocket => Ok(Ask::Poll(sid)),
            (Transport::Polling, Some(sid)) if method == "POST" => Ok(Ask::Post(sid)),
            (Transport::WebSocket, Some(sid)) if get && websocket => Ok(Ask::Upgrade(sid)),
            _ => Err(Refusal::BadRequest),
        }
    }
}
