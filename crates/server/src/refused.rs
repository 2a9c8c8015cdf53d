//! Who is turned away, and why, told to code that asked for it.
//!
//! What is counted is told: a count of refusals takes a [`Told`], which only telling
//! gives.

use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fanwire_core::error::Refusal;
use http::request;

/// By what a client was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Via {
    /// Where its connection was accepted: there are too many or they come too fast,
    /// and none can be told so any more; or the PROXY header before it is not good.
    Accept,
    /// The handshake of TLS.
    Tls,
    /// A request, or a head that cannot be read.
    Http,
    /// An event stream, asked for or open.
    Sse,
    /// A long poll that waited.
    Poll,
    /// A WebSocket, asked for or open.
    WebSocket,
    /// A request under the path of Socket.IO.
    EngineIo,
    /// A namespace of Socket.IO, asked for or joined.
    SocketIo,
    /// A frame or an event of a client that is here. It stays, but for one that goes on so.
    Frame,
}

impl Via {
    /// A word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Poll => "poll",
            Self::WebSocket => "websocket",
            Self::EngineIo => "engineio",
            Self::SocketIo => "socketio",
            Self::Frame => "frame",
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A client that was refused, see [`Server::on_refused`](crate::Server::on_refused).
/// Holds no secrets: no query, no headers, nothing of a body.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused<'a> {
    /// Its address; behind configured proxies the one that they name.
    pub client: IpAddr,
    /// By what.
    pub via: Via,
    /// The method of its request, where it came so far.
    pub method: Option<&'a str>,
    /// The path of its request as it was sent, without the query, or that of the channel
    /// for which a path of the application's own stands: up to
    /// `http.header_bytes`, and as the client chose it.
    pub path: Option<&'a str>,
    /// The namespace of Socket.IO that it asked for, as it was sent.
    pub namespace: Option<&'a str>,
    /// Why: a code of the table of errors, a sentence, and when to come back where that
    /// is known.
    pub why: &'a Refusal,
}

/// Code that is told.
pub(crate) type Hook = Arc<dyn Fn(&Refused<'_>) + Send + Sync>;

/// Says that it was told, where anyone asked.
pub(crate) struct Told(());

/// Who is refused.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) client: IpAddr,
    via: Via,
    asked: Option<(&'a str, &'a str)>,
}

impl<'a> Who<'a> {
    pub(crate) fn new(client: IpAddr, via: Via) -> Self {
        Self {
            client,
            via,
            asked: None,
        }
    }

    /// The same, by this request.
    #[must_use]
    pub(crate) fn by(mut self, head: &'a request::Parts) -> Self {
        self.asked = Some((head.method.as_str(), head.uri.path()));
        self
    }

    /// Tells it, where anyone asked. Code that panics ends nothing but itself.
    pub(crate) fn tell(self, hook: Option<&Hook>, why: &Refusal) -> Told {
        self.tell_within(None, hook, why)
    }

    fn tell_within(self, namespace: Option<&str>, hook: Option<&Hook>, why: &Refusal) -> Told {
        if let Some(hook) = hook {
            let refused = Refused {
                client: self.client,
                via: self.via,
                method: self.asked.map(|(method, _)| method),
                path: self.asked.map(|(_, path)| path),
                namespace,
                why,
            };
            // Told on stderr by the panic itself.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&refused)));
        }
        Told(())
    }

    /// The same for later.
    pub(crate) fn kept(self, hook: Option<&Hook>) -> Kept {
        Kept(hook.map(|hook| {
            Arc::new(Remembered {
                hook: hook.clone(),
                client: self.client,
                via: self.via,
                asked: self
                    .asked
                    .map(|(method, path)| (method.into(), path.into())),
                namespace: None,
            })
        }))
    }
}

/// Who would be refused later; nothing where nobody asked.
#[derive(Clone, Default)]
pub(crate) struct Kept(Option<Arc<Remembered>>);

#[derive(Clone)]
struct Remembered {
    hook: Hook,
    client: IpAddr,
    via: Via,
    asked: Option<(Box<str>, Box<str>)>,
    namespace: Option<Box<str>>,
}

impl Kept {
    /// It is refused.
    pub(crate) fn tell(&self, why: &Refusal) -> Told {
        self.tell_as(why, None)
    }

    /// A frame of it is.
    pub(crate) fn tell_frame(&self, why: &Refusal) -> Told {
        self.tell_as(why, Some(Via::Frame))
    }

    /// The same in a namespace of Socket.IO, as the client writes it.
    #[must_use]
    pub(crate) fn within(&self, namespace: &str) -> Self {
        Self(self.0.as_ref().map(|known| {
            Arc::new(Remembered {
                namespace: Some(namespace.into()),
                ..Remembered::clone(known)
            })
        }))
    }

    /// As [`Kept::tell`], from within the turn of a shard: elsewhere and soon, so that
    /// code may do as it likes.
    pub(crate) fn tell_soon(&self, why: &Refusal) -> Told {
        if let (Some(_), Ok(runtime)) = (&self.0, tokio::runtime::Handle::try_current()) {
            let (kept, why) = (self.clone(), why.clone());
            runtime.spawn(async move {
                kept.tell(&why);
            });
        }
        Told(())
    }

    fn tell_as(&self, why: &Refusal, via: Option<Via>) -> Told {
        let Some(known) = &self.0 else {
            return Told(());
        };
        let asked = known
            .asked
            .as_ref()
            .map(|(method, path)| (&**method, &**path));
        let who = Who {
            client: known.client,
            via: via.unwrap_or(known.via),
            asked,
        };
        who.tell_within(known.namespace.as_deref(), Some(&known.hook), why)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use fanwire_core::error::Code;
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn nothing_is_remembered_where_nobody_asked() {
        let who = Who::new(IpAddr::from(Ipv4Addr::LOCALHOST), Via::Sse);
        assert!(who.kept(None).0.is_none());
    }

    #[test]
    fn what_is_told_has_no_query_and_code_that_panics_ends_nothing() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hook: Hook = Arc::new({
            let heard = heard.clone();
            move |refused: &Refused<'_>| {
                heard.lock().push(format!("{refused:?}"));
                std::panic::resume_unwind(Box::new("code breaks"));
            }
        });
        let request = http::Request::get("http://a.org/c/news?token=secret");
        let request = request.header("authorization", "Bearer secret");
        let head = request.body(()).unwrap().into_parts().0;
        let who = Who::new(IpAddr::from(Ipv4Addr::LOCALHOST), Via::Sse).by(&head);
        let why = Refusal::new(Code::Forbidden, "ask for it");
        who.tell(Some(&hook), &why);
        who.kept(Some(&hook)).tell_frame(&why);
        let heard = heard.lock();
        assert_eq!(heard.len(), 2);
        assert!(heard[0].contains("via: Sse") && heard[1].contains("via: Frame"));
        for told in heard.iter() {
            assert!(told.contains("Some(\"/c/news\")"), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
