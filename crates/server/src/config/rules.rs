//! Rules of namespaces as an operator writes them, and what they come to.

use std::time::Duration;

use fanwire_core::namespace::{Access, History, Rules};
use fanwire_core::users::UserRules;

use super::forms::{Form, Given, Kept, List, Size, Switch, Text, Time, WhoMay};
use super::socketio::{ClientEvents, Rooms, WhatOfEvents, WhichRooms};

/// Who may do a thing, as configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Who {
    /// Whoever reaches the server.
    Anyone,
    /// Whoever shows an API key or a valid token.
    Users,
    /// Whoever shows an API key, or a token that grants it.
    Keys,
    /// No one.
    Nobody,
    /// Keys where API keys or issuers are set and the server is not open, else
    /// anyone.
    #[default]
    Auto,
}

/// What one namespace does otherwise than the default one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamedRules {
    /// Who may publish.
    pub publish: Option<Who>,
    /// Who may listen, live.
    pub subscribe: Option<Who>,
    /// Who may read what was.
    pub history_access: Option<Who>,
    /// Where every user may publish besides.
    pub users_publish: Option<Vec<String>>,
    /// Where every user may listen besides.
    pub users_subscribe: Option<Vec<String>>,
    /// Whose past every user may read besides.
    pub users_history: Option<Vec<String>>,
    /// Whose users `{sub}` names.
    pub users_issuer: Option<String>,
    /// Messages kept per channel; 0 keeps nothing.
    pub history_messages: Option<usize>,
    /// Bytes kept per channel.
    pub history_bytes: Option<usize>,
    /// How long messages are kept.
    pub history_ttl: Option<Duration>,
    /// Whether later messages replace earlier ones of the same key.
    pub conflate: Option<bool>,
    /// Whether Socket.IO clients may join; left out: no.
    pub socketio: Option<bool>,
    /// Whether rooms can be had by URL.
    pub rooms: Option<Rooms>,
    /// What becomes of events that no code handles.
    pub client_events: Option<ClientEvents>,
    /// Whether sockets are recovered.
    pub recovery: Option<bool>,
}

impl Who {
    /// What it comes to, `auto` being `else_`.
    pub(super) fn resolve(self, else_: Access) -> Access {
        match self {
            Self::Anyone => Access::Anyone,
            Self::Users => Access::Users,
            Self::Keys => Access::Keys,
            Self::Nobody => Access::Nobody,
            Self::Auto => else_,
        }
    }
}

impl NamedRules {
    /// Puts one rule in force by its name in the file.
    pub(super) fn set(&mut self, rule: &str, value: &str) -> Result<(), String> {
        let given = Given::Text(value.to_owned());
        match rule {
            "publish" => self.publish = Some(WhoMay::read(&given)?),
            "subscribe" => self.subscribe = Some(WhoMay::read(&given)?),
            "history_access" => self.history_access = Some(WhoMay::read(&given)?),
            "conflate" => self.conflate = Some(Switch::read(&given)?),
            "users_publish" => more(&mut self.users_publish, &given)?,
            "users_subscribe" => more(&mut self.users_subscribe, &given)?,
            "users_history" => more(&mut self.users_history, &given)?,
            "users_issuer" => self.users_issuer = Some(Text::read(&given)?),
            "socketio" => self.socketio = Some(Switch::read(&given)?),
            "rooms" => self.rooms = Some(WhichRooms::read(&given)?),
            "client_events" => self.client_events = Some(WhatOfEvents::read(&given)?),
            "recovery" => self.recovery = Some(Switch::read(&given)?),
            "history" if value.trim() == "off" => self.history_messages = Some(0),
            "history" => return Err("write \"off\", or a table of messages, bytes, ttl".into()),
            _ => {
                let Some(part) = rule.strip_prefix("history.") else {
                    return Err(
                        "there are publish, subscribe, history_access, users_publish, \
                         users_subscribe, users_history, users_issuer, history, conflate, \
                         socketio, rooms, client_events and recovery"
                            .to_owned(),
                    );
                };
                let mut history = History::default();
                Kept::part(&mut history, part, value)?;
                match part {
                    "messages" => self.history_messages = Some(history.messages),
                    "bytes" => self.history_bytes = Some(history.bytes),
                    _ => self.history_ttl = Some(history.ttl),
                }
            }
        }
        Ok(())
    }

    /// As an inline table.
    pub(super) fn show(&self) -> String {
        let mut parts = Vec::new();
        let mut part = |name: &str, value: Option<String>| {
            parts.extend(value.map(|value| format!("{name} = {value}")));
        };
        part("publish", self.publish.as_ref().map(WhoMay::show));
        part("subscribe", self.subscribe.as_ref().map(WhoMay::show));
        part(
            "history_access",
            self.history_access.as_ref().map(WhoMay::show),
        );
        part("users_publish", self.users_publish.as_ref().map(List::show));
        part(
            "users_subscribe",
            self.users_subscribe.as_ref().map(List::show),
        );
        part("users_history", self.users_history.as_ref().map(List::show));
        part("users_issuer", self.users_issuer.as_ref().map(Text::show));
        part(
            "history.messages",
            self.history_messages.map(|n| n.to_string()),
        );
        part("history.bytes", self.history_bytes.as_ref().map(Size::show));
        part("history.ttl", self.history_ttl.as_ref().map(Time::show));
        part("conflate", self.conflate.as_ref().map(Switch::show));
        part("socketio", self.socketio.as_ref().map(Switch::show));
        part("rooms", self.rooms.as_ref().map(WhichRooms::show));
        part(
            "client_events",
            self.client_events.as_ref().map(WhatOfEvents::show),
        );
        part("recovery", self.recovery.as_ref().map(Switch::show));
        format!("{{ {} }}", parts.join(", "))
    }

    /// The rules in force, over those of the default namespace, but for what is
    /// granted to users.
    pub(super) fn over(&self, root: &Rules, auto: Access) -> Rules {
        let who = |who: Option<Who>, root: Access| who.map_or(root, |who| who.resolve(auto));
        let kept = History {
            messages: self.history_messages.unwrap_or(root.history.messages),
            bytes: self.history_bytes.unwrap_or(match root.history.is_off() {
                true => History::default().bytes,
                false => root.history.bytes,
            }),
            ttl: self.history_ttl.unwrap_or(match root.history.is_off() {
                true => History::default().ttl,
                false => root.history.ttl,
            }),
        };
        Rules {
            publish: who(self.publish, root.publish),
            subscribe: who(self.subscribe, root.subscribe),
            history_access: who(self.history_access, root.history_access),
            history: if kept.is_off() { History::OFF } else { kept },
            conflate: self.conflate.unwrap_or(root.conflate),
            users: UserRules::default(),
        }
    }
}

/// By flag each stands alone, and the rule is given again for the next.
fn more(known: &mut Option<Vec<String>>, given: &Given) -> Result<(), String> {
    known.get_or_insert_default().extend(List::read(given)?);
    Ok(())
}
