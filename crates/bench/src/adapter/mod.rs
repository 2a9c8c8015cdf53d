//! How to speak to a server: where to connect, what subscribes, what
//! publishes, for each transport. Written in TOML; see `peers/README.md`.

mod find;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) use find::{find, names};
pub(crate) use template::Template;

/// One server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adapter {
    /// What the tables call it.
    pub(crate) name: String,
    /// One sentence about it.
    pub(crate) about: String,
    /// How to start it; without, it is measured where `--url` says.
    pub(crate) server: Option<Launch>,
    pub(crate) transports: BTreeMap<String, Transport>,
    /// Where its file is.
    #[serde(skip)]
    pub(crate) folder: Option<PathBuf>,
}

/// How to start a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Launch {
    /// Program and arguments, run in the adapter's folder. `{port}`: a free
    /// port; `{self}`: this program; `{fanwire}`: the `fanwire` program;
    /// `{folder}`: the adapter's folder; `{temp}`: an empty folder.
    pub(crate) command: Vec<String>,
    /// Files written into `{temp}` before it starts, by name.
    /// Arguments that make it speak TLS instead, where it can.
    #[serde(default)]
    pub(crate) tls: Vec<String>,
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Commands that install it, each program and arguments, run in the folder.
    #[serde(default)]
    pub(crate) install: Vec<Vec<String>>,
    /// What prints its version.
    #[serde(default)]
    pub(crate) version: Vec<String>,
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A WebSocket.
    Ws,
    /// A stream of Server-Sent Events, or any other answer without an end.
    Sse,
    /// Requests that are answered when there is something to tell.
    Poll,
}

/// What is between a transport and TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Carrier {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "tls")]
    Tls,
    /// HTTP/2 with prior knowledge (RFC 9113, 3.3).
    #[serde(rename = "h2")]
    Http2,
    #[serde(rename = "h2+tls")]
    Http2Tls,
}

impl Carrier {
    /// The name of a transport that goes over it.
    pub(crate) fn of(self, transport: &str) -> String {
        let carrier = match self {
            Carrier::Plain => return transport.to_owned(),
            Carrier::Tls => "tls",
            Carrier::Http2 => "h2",
            Carrier::Http2Tls => "h2+tls",
        };
        format!("{transport}+{carrier}")
    }

    pub(crate) const fn is_tls(self) -> bool {
        matches!(self, Carrier::Tls | Carrier::Http2Tls)
    }

    pub(crate) const fn is_http2(self) -> bool {
        matches!(self, Carrier::Http2 | Carrier::Http2Tls)
    }
}

/// One way to a server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transport {
    pub(crate) kind: Kind,
    /// Whether it is measured when no transport was named.
    #[serde(default = "yes")]
    pub(crate) default: bool,
    /// What else carries it: each is a transport of its own, named `ws+tls` and
    /// so on, and is measured where it is named.
    #[serde(default)]
    pub(crate) over: Vec<Carrier>,
    /// What carries this one.
    #[serde(default)]
    pub(crate) carrier: Carrier,
    /// Path and query of the stream, or of the first poll.
    pub(crate) path: Template,
    /// Of the polls that follow; the same path where it is left out.
    pub(crate) next: Option<Template>,
    /// Headers of all these requests. One with a variable that has no value
    /// yet is left out.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Template>,
    /// What has to happen before the client counts as subscribed, in order.
    #[serde(default)]
    pub(crate) open: Vec<Step>,
    /// Text that says that the subscription stands.
    pub(crate) ready: Option<String>,
    /// Variables, each cut out of what is received. `cursor` resumes.
    #[serde(default)]
    pub(crate) captures: BTreeMap<String, Capture>,
    /// Text by which the server tells a client that it missed something.
    pub(crate) gap: Option<String>,
    /// Keep-alives of the protocol itself.
    #[serde(default)]
    pub(crate) answers: Vec<Reply>,
    pub(crate) publish: Publish,
    /// How a client comes back with `{cursor}`.
    pub(crate) resume: Option<Resume>,
}

/// One step of opening. A stream waits, then sends; a poll makes a request.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Text to wait for. In a poll: the request is repeated until its answer
    /// has it.
    pub(crate) wait: Option<String>,
    /// A WebSocket's message.
    pub(crate) send: Option<Template>,
    /// A poll's request: `GET` or `POST`, a space, and the path.
    pub(crate) request: Option<Template>,
    /// The request's body.
    pub(crate) body: Option<Template>,
}

/// What stands between two texts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    pub(crate) after: String,
    pub(crate) until: String,
}

/// A message that is answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    /// The whole text of it, at most 16 bytes.
    pub(crate) on: String,
    pub(crate) send: String,
}

/// How a message is published: `send` on the stream itself, or `post`. With
/// neither, only what needs no messages can be measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    /// A WebSocket's message.
    pub(crate) send: Option<Template>,
    /// The path of a POST, on a connection of its own that is kept.
    pub(crate) post: Option<Template>,
    #[serde(default = "message")]
    pub(crate) body: Template,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Template>,
}

/// How a client comes back.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    /// Instead of the transport's path.
    pub(crate) path: Option<Template>,
    /// Beside the transport's headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Template>,
}

impl Adapter {
    /// Reads one.
    ///
    /// # Errors
    /// What TOML or the rules of this page refuse, with where it stands.
    pub(crate) fn parse(text: &str) -> Result<Adapter> {
        let mut adapter: Adapter =
            toml::from_str(text).map_err(|error| Error::new(error.to_string()))?;
        if adapter.transports.is_empty() {
            return Err(Error::new("an adapter needs at least one transport"));
        }
        for (name, transport) in &adapter.transports {
            transport
                .check()
                .map_err(|error| error.doing(format_args!("transport {name}")))?;
        }
        let mut others = Vec::new();
        for (name, transport) in &adapter.transports {
            for &carrier in transport
                .over
                .iter()
                .filter(|over| **over != Carrier::Plain)
            {
                let other = Transport {
                    default: false,
                    over: Vec::new(),
                    carrier,
                    ..transport.clone()
                };
                others.push((carrier.of(name), other));
            }
        }
        adapter.transports.extend(others);
        Ok(adapter)
    }
}

impl Transport {
    /// Whether messages can be sent by it.
    pub(crate) fn publishes(&self) -> bool {
        self.publish.send.is_some() || self.publish.post.is_some()
    }

    fn check(&self) -> Result<()> {
        let ws = self.kind == Kind::Ws;
        if self.publish.send.is_some() && self.publish.post.is_some() {
            return Err(Error::new("publish is by `send` or by `post`, not by both"));
        }
        if !ws && (self.publish.send.is_some() || self.open.iter().any(|s| s.send.is_some())) {
            return Err(Error::new(
                "only a WebSocket can `send`; use `post` or `request`",
            ));
        }
        if self.kind != Kind::Poll && self.open.iter().any(|step| step.request.is_some()) {
            return Err(Error::new("only a poll opens with a `request`"));
        }
        if self.kind == Kind::Poll && self.open.iter().any(|step| step.request.is_none()) {
            return Err(Error::new("every step of a poll is a `request`"));
        }
        if self
            .answers
            .iter()
            .any(|reply| reply.on.len() > 16 || reply.on.is_empty())
        {
            return Err(Error::new("`on` is 1 to 16 bytes"));
        }
        if self.resume.is_some() && !self.captures.contains_key("cursor") {
            return Err(Error::new("`resume` needs a capture named `cursor`"));
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}

fn message() -> Template {
    Template::parse("{message}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEAD: &str = "name = 'x'\nabout = 'y'\n";

    #[test]
    fn every_adapter_that_is_built_in_reads() {
        assert!(names().len() >= 3);
        for name in names() {
            let adapter = find(&name, None).unwrap();
            assert_eq!(adapter.name, name);
        }
    }

    #[test]
    fn what_a_transport_cannot_do_is_refused_with_its_name() {
        for (transport, says) in [
            (
                "kind = 'sse'\npath = '/'\npublish = { send = 'x' }",
                "only a WebSocket can `send`",
            ),
            (
                "kind = 'ws'\npath = '/'\npublish = { send = 'x', post = '/' }",
                "not by both",
            ),
            (
                "kind = 'ws'\npath = '/'\npublish = { send = 'x' }\nresume = {}",
                "named `cursor`",
            ),
            (
                "kind = 'ws'\npath = '/'\npublish = { send = 'x' }\ncolour = 1",
                "colour",
            ),
        ] {
            let text = format!("{HEAD}[transports.t]\n{transport}\n");
            let error = Adapter::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
