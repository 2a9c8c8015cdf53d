//! Which namespaces close their rooms to URLs: by configuration, and by what code
//! serves.

use fanwire_core::key::Namespace;
use fanwire_core::namespace::Rooms;

use super::application::Application;
use super::pattern::Pattern;
use crate::config::Config;

/// What the door is to know.
pub(crate) fn rooms(config: &Config, application: &Application) -> Rooms {
    let serves = |namespace: &Namespace| application.find(namespace).is_some();
    let root = Namespace::root();
    // What is said in [rules] holds wherever a namespace does not say otherwise.
    let others = config.closes_unnamed_rooms(false);
    let mut rooms =
        Rooms::all(others).with(root.clone(), config.closes_rooms(&root, serves(&root)));
    for name in config.namespaces.by_name.keys() {
        if let Ok(name) = Namespace::new(name) {
            let closed = config.closes_rooms(&name, serves(&name));
            rooms = rooms.with(name, closed);
        }
    }
    for pattern in application.patterns() {
        match pattern {
            Pattern::Exactly(name) => {
                rooms = rooms.with(name.clone(), config.closes_rooms(name, true));
            }
            Pattern::Prefix(prefix) if config.closes_unnamed_rooms(true) => {
                rooms = rooms.closing_prefix(prefix);
            }
            Pattern::Prefix(_) => {}
        }
    }
    rooms
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fanwire_core::namespace::Namespaces;

    #[test]
    fn p8_whatever_code_serves_is_closed_unless_the_rules_say_public() {
        let text = "[access]\nopen = true\n\
                    [namespaces.shown]\nrooms = \"public\"\n\
                    [namespaces.bare]\npublish = \"keys\"\n";
        let config = Config::from_toml(text).unwrap();
        let application = ["/chat", "/room-*", "/shown"]
            .into_iter()
            .fold(Application::new(), |all, name| {
                all.namespace(name, |_| {}).unwrap()
            });
        let door = Namespaces::default().with_rooms(rooms(&config, &application));
        let closes = |name: &str| door.closes(&Namespace::new(name).unwrap());
        assert!(closes("chat") && closes("room-7"));
        assert!(!closes("shown") && !closes("bare") && !closes("other"));
        assert!(!door.closes(&Namespace::root()));
    }
}
