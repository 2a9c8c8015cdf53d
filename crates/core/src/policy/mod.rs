//! The one policy door: who may do what to which key.
//!
//! Publishing, subscribing and reading take a [`Permit`], and only
//! [`Door::admit`] makes one; so no transport can forget to ask. What the
//! server's own code lets somebody hear, [`Door::give`] permits: there the
//! subject alone is asked about. A permit is asked again ([`Permit::check`]) at
//! every replay, so that a right that was withdrawn does not go on working for
//! messages that were published before.

mod grants;
mod permit;
mod revoked;
mod subject;

use std::collections::HashSet;
use std::sync::Arc;

use crate::sync::RwLock;

use crate::error::{Code, Refusal};
use crate::key::Key;
use crate::message::Keys;
use crate::namespace::{Access, Namespaces, Rules};
use crate::users::Who;

pub use self::grants::{Grants, InvalidGrant, MAX_GRANTS, Pattern, Right, Rights};
pub use self::permit::Permit;
pub use self::revoked::{Full, MAX_REVOKED, Revoke};
pub use self::subject::{Subject, User};

use self::revoked::Revoked;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Verb {
    /// Send a message to the keys.
    Publish,
    /// Hear what is sent from now on.
    Subscribe,
    /// Hear live and what was sent before: history, resume, rewind.
    Read,
}

/// The door. Shared by all transports; its rules can be replaced while it is in use.
pub struct Door {
    namespaces: RwLock<Arc<Namespaces>>,
    revoked: RwLock<Revoked>,
    /// The names of the API keys that there are; none: whoever comes as one is.
    holders: RwLock<Option<HashSet<Arc<str>>>>,
}

impl Door {
    /// A door with these rules.
    pub fn new(namespaces: Namespaces) -> Arc<Self> {
        Arc::new(Self {
            namespaces: RwLock::new(Arc::new(namespaces)),
            revoked: RwLock::default(),
            holders: RwLock::new(None),
        })
    }

    /// The rules in force.
    pub fn namespaces(&self) -> Arc<Namespaces> {
        self.namespaces.read().clone()
    }

    /// Puts other rules in force, for permits already given too.
    pub fn replace(&self, namespaces: Namespaces) {
        *self.namespaces.write() = Arc::new(namespaces);
    }

    /// Says which API keys there are, by their names: permits of others no longer
    /// hold. Without a word from here every key is believed.
    pub fn set_keys<'a>(&self, names: impl IntoIterator<Item = &'a String>) {
        let names = names.into_iter().map(|name| Arc::from(name.as_str()));
        *self.holders.write() = Some(names.collect());
    }

    /// Stops tokens from `now` on, for permits already given too; `until` is when
    /// the last of them expires (both in ms since 1970).
    ///
    /// # Errors
    /// [`Full`] at [`MAX_REVOKED`] that are still needed.
    pub fn revoke(&self, what: Revoke, now: u64, until: u64) -> Result<(), Full> {
        self.revoked.write().add(what, now, until)
    }

    /// Takes a revocation back; true where there was one.
    pub fn reinstate(&self, what: &Revoke) -> bool {
        self.revoked.write().remove(what)
    }

    /// Revocations in force.
    pub fn revocations(&self) -> usize {
        self.revoked.read().len()
    }

    /// Asks for a permit.
    ///
    /// # Errors
    /// [`Code::Unauthorized`] where a key would help, [`Code::Forbidden`] where
    /// nothing would, naming the first channel refused. One refused key refuses all.
    pub fn admit(
        self: &Arc<Self>,
        subject: Subject,
        verb: Verb,
        keys: Keys,
    ) -> Result<Permit, Refusal> {
        let permit = Permit::asked(self.clone(), subject, verb, keys);
        permit.check()?;
        Ok(permit)
    }

    /// A permit that the server's own code gives, as when it puts a socket into a
    /// room: no rule is asked, so it may name closed namespaces and
    /// [`Key::Socket`]. That the subject itself has not been stopped (its API key
    /// taken away, its token revoked) is asked, now and at every check; the end of
    /// its token, [`Permit::expires`] says.
    ///
    /// # Errors
    /// [`Code::Unauthorized`] where the subject has been stopped.
    pub fn give(
        self: &Arc<Self>,
        subject: Subject,
        verb: Verb,
        keys: Keys,
    ) -> Result<Permit, Refusal> {
        let permit = Permit::given(self.clone(), subject, verb, keys);
        permit.check()?;
        Ok(permit)
    }

    fn decide(&self, subject: &Subject, verb: Verb, key: &Key) -> Result<(), Refusal> {
        if matches!(key, Key::Socket(..)) {
            return Err(refused(
                Code::Forbidden,
                "a socket's own key has no URL",
                key,
            ));
        }
        if self.namespaces().closes(key.namespace()) && !matches!(subject, Subject::Key(_)) {
            return Err(refused(
                Code::Forbidden,
                "this namespace's channels are rooms of Socket.IO and closed to URLs; its rule \
                 rooms = \"public\" opens them, an API key is let in",
                key,
            ));
        }
        self.allows(subject, verb, key)
    }

    /// Whether the rules let a subject do it: for what does not come by a URL, as the
    /// sockets of Socket.IO, to whom rooms are not closed. The permit then is given
    /// ([`Door::give`]), and this is asked again where rules have changed.
    ///
    /// # Errors
    /// As [`Door::admit`].
    pub fn ask(&self, subject: &Subject, verb: Verb, key: &Key) -> Result<(), Refusal> {
        self.known(subject)?;
        self.allows(subject, verb, key)
    }

    fn allows(&self, subject: &Subject, verb: Verb, key: &Key) -> Result<(), Refusal> {
        let namespaces = self.namespaces();
        let rules = namespaces.rules(key.namespace());
        verb.rights()
            .iter()
            .try_for_each(|right| allow(rules, subject, *right, key))
    }

    /// That the subject itself has not been stopped.
    fn known(&self, subject: &Subject) -> Result<(), Refusal> {
        let gone = |name: &Arc<str>| {
            let holders = self.holders.read();
            holders.as_ref().is_some_and(|known| !known.contains(name))
        };
        if let Subject::Key(name) = subject
            && gone(name)
        {
            return Err(Refusal::new(
                Code::Unauthorized,
                "the API key was taken away; get another one",
            ));
        }
        match subject.user() {
            Some(user) if self.revoked.read().stops(user) => Err(Refusal::new(
                Code::Unauthorized,
                "the token was revoked; get another one",
            )),
            _ => Ok(()),
        }
    }
}

impl Verb {
    /// What all it takes. Reading the past is never easier than listening.
    fn rights(self) -> &'static [Right] {
        match self {
            Self::Publish => &[Right::Publish],
            Self::Subscribe => &[Right::Subscribe],
            Self::Read => &[Right::Subscribe, Right::History],
        }
    }
}

/// One right on one key. A namespace's rule says who has it; where it asks for
/// credentials, an API key has every right, a user those that the token grants
/// or the namespace grants to all its users.
fn allow(rules: &Rules, subject: &Subject, right: Right, key: &Key) -> Result<(), Refusal> {
    let access = match right {
        Right::Publish => rules.publish,
        Right::Subscribe => rules.subscribe,
        Right::History => rules.history_access,
        Right::Presence | Right::Call => Access::Keys,
    };
    match (access, subject) {
        (Access::Anyone, _)
        | (Access::Keys | Access::Users, Subject::Key(_))
        | (Access::Users, Subject::User(_)) => Ok(()),
        (Access::Keys, Subject::User(user))
            if user.grants.allow(right, key) || granted_to_all(rules, user, right, key) =>
        {
            Ok(())
        }
        (Access::Keys, Subject::User(_)) => Err(refused(
            Code::Forbidden,
            &format!(
                "the token does not grant {} here; its claims or the namespace's rules \
                 (users_publish, users_subscribe, users_history) have to",
                right.as_str()
            ),
            key,
        )),
        (Access::Keys | Access::Users, Subject::Anonymous(_)) => Err(refused(
            Code::Unauthorized,
            "send an API key or a token as 'Authorization: Bearer …'",
            key,
        )),
        (Access::Nobody, _) => Err(refused(
            Code::Forbidden,
            "the namespace's rules close this to everyone",
            key,
        )),
    }
}

/// What the namespace grants to every user, or to this one by their name.
fn granted_to_all(rules: &Rules, user: &User, right: Right, key: &Key) -> bool {
    let who = Who {
        id: &user.id,
        issuer: user.issuer.as_deref(),
    };
    match right {
        Right::Publish => rules.users.publish(who, key),
        Right::Subscribe => rules.users.subscribe(who, key),
        Right::History => rules.users.history(who, key),
        Right::Presence | Right::Call => false,
    }
}

fn refused(code: Code, detail: &str, key: &Key) -> Refusal {
    Refusal::new(code, detail).at(key.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::Namespace;
    use std::net::{IpAddr, Ipv4Addr};

    fn anonymous() -> Subject {
        Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    fn keys(names: &[&str]) -> Keys {
        names
            .iter()
            .map(|name| Key::parse(name.as_bytes()).unwrap())
            .collect()
    }

    #[test]
    fn a19_anonymous_access_is_only_where_the_rules_say_so() {
        let open = Namespace::new("open").unwrap();
        let door = Door::new(Namespaces::default().with(open, Rules::open()));
        let ask = |subject, verb, names: &[&str]| door.admit(subject, verb, keys(names)).err();
        assert_eq!(
            ask(anonymous(), Verb::Subscribe, &["news"]).unwrap().code,
            Code::Unauthorized
        );
        assert_eq!(ask(anonymous(), Verb::Publish, &["open:a"]), None);
        assert_eq!(
            ask(Subject::Key("ops".into()), Verb::Publish, &["news"]),
            None
        );
    }

    #[test]
    fn one_denied_channel_refuses_all_and_is_named() {
        let open = Namespace::new("open").unwrap();
        let door = Door::new(Namespaces::default().with(open, Rules::open()));
        let refusal = door
            .admit(anonymous(), Verb::Read, keys(&["open:a", "b"]))
            .unwrap_err();
        assert_eq!(refusal.channel.as_deref(), Some("b"));
    }

    #[test]
    fn a20_a_permit_asked_again_follows_the_rules_in_force_now() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let permit = door.admit(anonymous(), Verb::Read, keys(&["a"])).unwrap();
        assert!(permit.check().is_ok());
        door.replace(Namespaces::all(Rules {
            history_access: Access::Nobody,
            ..Rules::open()
        }));
        assert_eq!(permit.check().unwrap_err().code, Code::Forbidden);
        assert!(
            door.admit(anonymous(), Verb::Subscribe, keys(&["a"]))
                .is_ok()
        );
    }

    #[test]
    fn a_key_that_was_taken_away_opens_nothing_any_more() {
        let door = Door::new(Namespaces::default());
        let ops = Subject::Key("ops".into());
        let permit = door.admit(ops, Verb::Read, keys(&["a"])).unwrap();
        door.set_keys([&"ops".to_owned(), &"web".to_owned()]);
        assert!(permit.check().is_ok());
        door.set_keys([&"web".to_owned()]);
        assert_eq!(permit.check().unwrap_err().code, Code::Unauthorized);
    }

    #[test]
    fn p8_closed_rooms_are_had_by_api_keys_and_by_sockets_alone() {
        use crate::namespace::Rooms;
        let rooms = Rooms::all(false).with(Namespace::new("chat").unwrap(), true);
        let door = Door::new(Namespaces::all(Rules::open()).with_rooms(rooms));
        for name in ["chat:lobby", "chat:@all"] {
            for verb in [Verb::Subscribe, Verb::Read, Verb::Publish] {
                let asked = door.admit(anonymous(), verb, keys(&[name]));
                assert_eq!(asked.unwrap_err().code, Code::Forbidden, "{name}");
                let user = door.admit(user(&[]), verb, keys(&[name]));
                assert_eq!(user.unwrap_err().code, Code::Forbidden, "{name}");
                let key = Subject::Key("ops".into());
                assert!(door.admit(key, verb, keys(&[name])).is_ok(), "{name}");
                let told = door.ask(&anonymous(), verb, &keys(&[name])[0]);
                assert!(told.is_ok(), "{name}");
            }
        }
        assert!(
            door.admit(anonymous(), Verb::Read, keys(&["lobby"]))
                .is_ok()
        );
    }

    #[test]
    fn socket_keys_pass_no_door() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let key = Key::Socket(Namespace::root(), crate::key::SocketId::new("x"));
        let refusal = door
            .admit(anonymous(), Verb::Subscribe, Keys::from_iter([key]))
            .unwrap_err();
        assert_eq!(refusal.code, Code::Forbidden);
    }

    fn user(grants: &[(Right, &str)]) -> Subject {
        let mut all = Grants::none();
        for (right, pattern) in grants {
            all.grant(Rights::NONE.and(*right), pattern).unwrap();
        }
        Subject::User(Arc::new(User {
            id: "ada".into(),
            issued_ms: Some(100),
            grants: all,
            ..User::default()
        }))
    }

    #[test]
    fn a15_a_user_may_what_the_token_grants_and_nothing_else() {
        let door = Door::new(Namespaces::default());
        let ada = user(&[
            (Right::Subscribe, "news-*"),
            (Right::History, "news-*"),
            (Right::Subscribe, "live"),
            (Right::History, "only-past"),
        ]);
        let ask = |verb, name: &str| {
            door.admit(ada.clone(), verb, keys(&[name]))
                .map(drop)
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(ask(Verb::Read, "news-a"), Ok(()));
        assert_eq!(ask(Verb::Subscribe, "live"), Ok(()));
        assert_eq!(ask(Verb::Read, "live"), Err(Code::Forbidden));
        assert_eq!(ask(Verb::Read, "only-past"), Err(Code::Forbidden));
        assert_eq!(ask(Verb::Publish, "news-a"), Err(Code::Forbidden));
        assert_eq!(ask(Verb::Subscribe, "news"), Err(Code::Forbidden));
    }

    #[test]
    fn a_namespace_may_be_open_to_every_user_and_closed_to_nobody_in_particular() {
        let rules = Rules {
            subscribe: Access::Users,
            ..Rules::default()
        };
        let door = Door::new(Namespaces::all(rules));
        let ask = |subject| door.admit(subject, Verb::Subscribe, keys(&["a"])).is_ok();
        assert!(ask(user(&[])));
        assert!(ask(Subject::Key("ops".into())));
        assert!(!ask(anonymous()));
    }

    #[test]
    fn a16_what_a_namespace_grants_to_its_users_adds_to_the_token_and_opens_to_nobody_else() {
        let pattern = ["inbox-{sub}".to_owned()];
        let written = crate::users::Patterns {
            subscribe: &pattern,
            ..Default::default()
        };
        let users = crate::users::UserRules::new(None, written).unwrap();
        let mut rules = Rules {
            users,
            ..Rules::default()
        };
        let door = Door::new(Namespaces::all(rules.clone()));
        let ada = user(&[(Right::Subscribe, "news")]);
        let ask = |subject: &Subject, verb, name: &str| {
            door.admit(subject.clone(), verb, keys(&[name])).is_ok()
        };
        assert!(ask(&ada, Verb::Read, "inbox-ada") && ask(&ada, Verb::Subscribe, "news"));
        assert!(!ask(&ada, Verb::Publish, "inbox-ada") && !ask(&ada, Verb::Read, "inbox-eve"));
        assert!(!ask(&anonymous(), Verb::Subscribe, "inbox-ada"));
        let permit = door.admit(ada, Verb::Read, keys(&["inbox-ada"])).unwrap();
        // Closed is closed; and a permit follows the rules.
        rules.history_access = Access::Nobody;
        door.replace(Namespaces::all(rules));
        assert_eq!(permit.check().unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn a14_a_revocation_stops_permits_already_given() {
        let door = Door::new(Namespaces::all(Rules::open()));
        let permit = door
            .admit(user(&[]), Verb::Subscribe, keys(&["a"]))
            .unwrap();
        let what = Revoke::User {
            issuer: None,
            id: "ada".into(),
        };
        door.revoke(what.clone(), 100, 200).unwrap();
        assert_eq!(permit.check().unwrap_err().code, Code::Unauthorized);
        assert_eq!(door.revocations(), 1);
        assert!(door.reinstate(&what));
        assert!(permit.check().is_ok());
    }
}
