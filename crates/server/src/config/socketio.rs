//! What an operator may say of Socket.IO in a namespace, and what it comes to.

use fanwire_core::key::{Key, Name, Namespace};

use super::Config;
use super::forms::{Form, Given, quoted, text};
use super::rules::NamedRules;

/// On, off, or as the rest of the configuration makes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Auto {
    /// Yes.
    On,
    /// No.
    Off,
    /// On where nothing says who may come in.
    #[default]
    Auto,
}

/// Whether rooms can be had by URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rooms {
    /// As other channels.
    Public,
    /// By API keys alone.
    Closed,
    /// Closed where Socket.IO clients join and something says who may come in.
    #[default]
    Auto,
}

/// What becomes of events that no code handles.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ClientEvents {
    /// Refused, in the ack or by `$error`.
    #[default]
    Deny,
    /// Published to this room.
    Publish(Name),
}

/// The rules of Socket.IO in one namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SocketRules {
    /// Clients may join without code of the server's own.
    pub(crate) on: bool,
    /// What becomes of events that no code handles.
    pub(crate) client_events: ClientEvents,
    /// Sockets are recovered.
    pub(crate) recovery: bool,
}

/// `on`, `off` or `auto`.
pub(super) struct OnOff;
impl Form for OnOff {
    type Value = Auto;
    const NAME: &'static str = "on|off|auto";
    fn read(given: &Given) -> Result<Auto, String> {
        match text(given)? {
            "on" | "true" | "yes" | "1" => Ok(Auto::On),
            "off" | "false" | "no" | "0" => Ok(Auto::Off),
            "auto" => Ok(Auto::Auto),
            other => Err(format!("{other:?} is none of on, off, auto")),
        }
    }
    fn show(value: &Auto) -> String {
        quoted(match value {
            Auto::On => "on",
            Auto::Off => "off",
            Auto::Auto => "auto",
        })
    }
}

/// `closed`, `public` or `auto`.
pub(super) struct WhichRooms;
impl Form for WhichRooms {
    type Value = Rooms;
    const NAME: &'static str = "closed|public|auto";
    fn read(given: &Given) -> Result<Rooms, String> {
        match text(given)? {
            "closed" => Ok(Rooms::Closed),
            "public" => Ok(Rooms::Public),
            "auto" => Ok(Rooms::Auto),
            other => Err(format!("{other:?} is none of closed, public, auto")),
        }
    }
    fn show(value: &Rooms) -> String {
        quoted(match value {
            Rooms::Closed => "closed",
            Rooms::Public => "public",
            Rooms::Auto => "auto",
        })
    }
}

/// `deny` or `publish:ROOM`.
pub(super) struct WhatOfEvents;
impl Form for WhatOfEvents {
    type Value = ClientEvents;
    const NAME: &'static str = "deny|publish:ROOM";
    fn read(given: &Given) -> Result<ClientEvents, String> {
        let text = text(given)?;
        if text == "deny" {
            return Ok(ClientEvents::Deny);
        }
        let room = text
            .strip_prefix("publish:")
            .ok_or_else(|| format!("{text:?} is neither deny nor publish:ROOM"))?;
        Name::new(room)
            .map(ClientEvents::Publish)
            .map_err(|why| why.0.to_owned())
    }
    fn show(value: &ClientEvents) -> String {
        match value {
            ClientEvents::Deny => quoted("deny"),
            ClientEvents::Publish(room) => quoted(&format!("publish:{}", room.as_str())),
        }
    }
}

impl Config {
    /// The rules of Socket.IO in `namespace`.
    pub(crate) fn socket_rules(&self, namespace: &Namespace) -> SocketRules {
        let root = &self.rules;
        if namespace.is_root() {
            return SocketRules {
                on: self.root_speaks(),
                client_events: root.client_events.clone(),
                recovery: root.recovery,
            };
        }
        let unnamed = NamedRules::default();
        let by_name = &self.namespaces.by_name;
        let named = by_name.get(namespace.as_str()).unwrap_or(&unnamed);
        let events = named.client_events.as_ref();
        SocketRules {
            on: named.socketio.unwrap_or_default(),
            client_events: events.unwrap_or(&root.client_events).clone(),
            recovery: named.recovery.unwrap_or(root.recovery),
        }
    }

    fn root_speaks(&self) -> bool {
        match self.rules.socketio {
            Auto::On => true,
            Auto::Off => false,
            Auto::Auto => self.is_unconfigured(),
        }
    }

    /// Whether rooms of `namespace` are closed to URLs; `served`: by code of the
    /// server's own.
    pub(crate) fn closes_rooms(&self, namespace: &Namespace, served: bool) -> bool {
        let named = self.namespaces.by_name.get(namespace.as_str());
        let named = named.filter(|_| !namespace.is_root());
        let said = named.and_then(|rules| rules.rooms);
        let joined = served || self.socket_rules(namespace).on;
        self.closes(said.unwrap_or(self.rules.rooms), joined)
    }

    /// The same of all namespaces that are not named.
    pub(crate) fn closes_unnamed_rooms(&self, served: bool) -> bool {
        self.closes(self.rules.rooms, served)
    }

    fn closes(&self, rooms: Rooms, joined: bool) -> bool {
        match rooms {
            Rooms::Closed => true,
            Rooms::Public => false,
            Rooms::Auto => joined && !self.is_unconfigured(),
        }
    }
}

impl ClientEvents {
    /// Where they go; none where they are refused.
    pub(crate) fn target(&self, namespace: &Namespace) -> Option<Key> {
        match self {
            Self::Deny => None,
            Self::Publish(room) => Some(Key::Channel(namespace.clone(), room.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(text: &str) -> Config {
        let config = Config::from_toml(text).unwrap();
        config.validate().unwrap();
        config
    }

    fn chat() -> Namespace {
        Namespace::new("chat").unwrap()
    }

    const KEY: &str = "[access]\napi_keys = { ops = \"0123456789abcdef0123456789abcdef\" }\n";

    #[test]
    fn the_tour_speaks_in_the_default_namespace_with_public_rooms() {
        let tour = config("");
        assert!(tour.socket_rules(&Namespace::root()).on);
        assert!(!tour.socket_rules(&chat()).on);
        assert!(!tour.closes_rooms(&Namespace::root(), false));
        let open = config("[access]\nopen = true\n");
        assert!(!open.socket_rules(&Namespace::root()).on);
        assert!(!open.closes_rooms(&Namespace::root(), false));
    }

    #[test]
    fn p8_rooms_are_closed_where_sockets_join_unless_the_rules_say_public() {
        let text = format!(
            "{KEY}[namespaces.chat]\nsocketio = true\n\
             [namespaces.open]\nsocketio = \"on\"\nrooms = \"public\"\n"
        );
        let both = config(&text);
        assert!(both.socket_rules(&chat()).on);
        assert!(both.closes_rooms(&chat(), false));
        assert!(!both.closes_rooms(&Namespace::new("open").unwrap(), true));
        let other = Namespace::new("other").unwrap();
        assert!(!both.closes_rooms(&other, false));
        assert!(both.closes_rooms(&other, true));
        let open = "[access]\nopen = true\n[namespaces.chat]\nsocketio = true\n";
        assert!(config(open).closes_rooms(&chat(), false));
    }

    #[test]
    fn events_of_clients_are_denied_or_published_to_a_room() {
        let text = "[namespaces.chat]\nclient_events = \"publish:lobby\"\nrecovery = false\n";
        let rules = config(text).socket_rules(&chat());
        let lobby = Key::parse(b"chat:lobby").unwrap();
        assert_eq!(rules.client_events.target(&chat()), Some(lobby));
        assert!(!rules.recovery);
        assert!(Config::from_toml("[rules]\nclient_events = \"publish:\"\n").is_err());
    }
}
