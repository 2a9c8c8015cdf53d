//! The configuration: a plain tree of structs, read from a file, flags and
//! variables, all by one table ([`GROUPS`], in `settings.rs`).
//!
//! `Config::default()` is what the documentation's table of defaults says.
//! [`Config::merge_toml`] and [`Config::set`] put values in force one source
//! after the other, so that precedence is the order of the calls;
//! [`Config::validate`] tells everything that is wrong before anything starts;
//! [`Config::to_core`] is what core needs of it.

mod check;
mod define;
mod file;
mod forms;
mod issuers;
mod networks;
mod problem;
mod rules;
mod secret;
mod settings;
mod socketio;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use fanwire_core::key::Namespace;
use fanwire_core::limits::Limits as CoreLimits;
use fanwire_core::namespace::{Access as CoreAccess, Namespaces, Rules as CoreRules};
use fanwire_core::users::{Patterns, UserRules};

pub use define::{Group, Setting};
pub use file::MAX_FILE;
pub use forms::Given;
pub use issuers::{MIN_TOKEN_SECRET, TokenIssuer};
pub use networks::{Network, ProxyHeader};
pub use problem::{Problem, Problems};
pub use rules::{NamedRules, Who};
pub(crate) use secret::HASHED;
pub use secret::Secret;
pub use settings::{
    Access, ForTests, GROUPS, Http, Http2, IssuersByName, Limits, Listen, NamespaceRules, Poll,
    Rates, Rules, SocketIo, Sse, Tls, Tokens, Ws,
};
pub use socketio::{Auto, ClientEvents, Rooms};

/// Everything that can be set. `Debug` shows no secret.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Config {
    /// Where the server listens.
    pub listen: Listen,
    /// TLS.
    pub tls: Tls,
    /// Who may come in.
    pub access: Access,
    /// How users show their tokens.
    pub tokens: Tokens,
    /// Who may make tokens.
    pub issuers: IssuersByName,
    /// The rules of the default namespace.
    pub rules: Rules,
    /// HTTP.
    pub http: Http,
    /// HTTP/2.
    pub http2: Http2,
    /// WebSocket.
    pub ws: Ws,
    /// Server-Sent Events.
    pub sse: Sse,
    /// Long polls and history.
    pub poll: Poll,
    /// Socket.IO.
    pub socketio: SocketIo,
    /// Bounds.
    pub limits: Limits,
    /// How often.
    pub rates: Rates,
    /// Rules of named namespaces.
    pub namespaces: NamespaceRules,
    /// For tests.
    pub debug: ForTests,
}

/// What core needs of a configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct CoreConfig {
    /// The bounds.
    pub limits: CoreLimits,
    /// The rules of all namespaces.
    pub namespaces: Namespaces,
}

/// Reads a duration as the file writes it: `25s`, `500ms`, `10m`, bare seconds.
///
/// # Errors
/// A sentence that says what it looks like.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    use forms::Form as _;
    forms::Time::read(&Given::Text(text.to_owned()))
}

impl Config {
    /// The defaults with what `text` says.
    ///
    /// # Errors
    /// Everything in the text that is unknown or not of its setting's form.
    /// [`Config::validate`] tells the rest.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        let mut config = Self::default();
        config.merge_toml(text)?;
        Ok(config)
    }

    /// Puts what `text` says in force over what is.
    ///
    /// # Errors
    /// As [`Config::from_toml`]; what could be read is in force all the same.
    pub fn merge_toml(&mut self, text: &str) -> Result<(), Problems> {
        file::merge(self, text)
    }

    /// Puts one setting in force by its path.
    ///
    /// # Errors
    /// An unknown path, or a value not of the setting's form.
    pub fn set(&mut self, key: &str, given: &Given) -> Result<(), Problem> {
        let setting = Self::settings()
            .find(|setting| setting.key == key)
            .ok_or_else(|| Problem::new(key, "no such setting"))?;
        (setting.set)(self, given).map_err(|why| Problem::new(key, why))
    }

    /// Every setting, in the order of the default file.
    pub fn settings() -> impl Iterator<Item = &'static Setting> {
        GROUPS.iter().flat_map(|group| group.settings)
    }

    /// The annotated default file: every setting, its meaning, unit and default.
    pub fn default_toml() -> String {
        file::default_toml()
    }

    /// Whether it can be served.
    ///
    /// # Errors
    /// Everything that is wrong, each with its path and what to do.
    pub fn validate(&self) -> Result<(), Problems> {
        check::check(self)
    }

    /// Gives problems that [`Config::validate`] found the lines of the file at which
    /// their settings stand; `elsewhere` says of which settings the file had not the
    /// last word.
    pub fn locate(problems: &mut Problems, text: &str, elsewhere: impl Fn(&str) -> bool) {
        for problem in problems
            .0
            .iter_mut()
            .filter(|problem| problem.line.is_none())
        {
            if !elsewhere(&problem.key) {
                problem.line = file::line_of_key(text, &problem.key);
            }
        }
        problems.0.sort_by_key(|problem| problem.line);
    }

    /// True while nobody chose who may come in: local programs may, because
    /// they are local. A request that came by a proxy must then be refused.
    pub fn is_unconfigured(&self) -> bool {
        !self.access.open && !self.has_credentials()
    }

    /// Whether `listen.addresses` speak TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.self_signed || !self.tls.cert.is_empty() || !self.tls.key.is_empty()
    }

    /// Whether there is anything to show at the door: API keys, or tokens.
    pub(crate) fn has_credentials(&self) -> bool {
        !self.access.api_keys.is_empty() || !self.issuers.by_name.is_empty()
    }

    /// What core needs.
    pub fn to_core(&self) -> CoreConfig {
        let limits = CoreLimits {
            // The doors that take less say so themselves.
            message: self.limits.message.max(self.socketio.max_payload),
            log_bytes: self.limits.log_bytes,
            channel_records: self.limits.channel_records,
            ring_bytes: self.limits.ring_bytes,
            outbox: self.limits.outbox,
            chunk: self.limits.chunk,
            answer: self.poll.answer,
            reads_per_shard: self.limits.reads_per_shard,
            publish_credit: self.limits.publish_credit,
            idempotency_keys: self.limits.idempotency_keys,
            idempotency_per_publisher: self.limits.idempotency_per_publisher,
            idempotency_ttl: self.limits.idempotency_ttl,
            write_progress: self.limits.write_progress,
            gap_interval: self.limits.gap_interval,
            cursor_interval: self.limits.cursor_interval,
            credit_wait: self.limits.credit_wait,
            end_wait: self.ws.close_wait,
            broker_wait: self.limits.broker_wait,
            broker_retry: self.limits.broker_retry,
            applied_wait: self.limits.applied_wait,
        };
        let mut namespaces = Namespaces::all(self.root_rules());
        for (name, rules) in self.named_rules() {
            // A name that `validate` refuses has no channels, so no rules either.
            if let Ok(name) = Namespace::new(name) {
                namespaces = namespaces.with(name, rules);
            }
        }
        CoreConfig { limits, namespaces }
    }

    /// What `auto` comes to.
    fn auto(&self) -> CoreAccess {
        if self.access.open || !self.has_credentials() {
            CoreAccess::Anyone
        } else {
            CoreAccess::Keys
        }
    }

    fn root_rules(&self) -> CoreRules {
        let auto = self.auto();
        CoreRules {
            publish: self.rules.publish.resolve(auto),
            subscribe: self.rules.subscribe.resolve(auto),
            history_access: self.rules.history_access.resolve(auto),
            history: self.rules.history,
            conflate: self.rules.conflate,
            // What cannot be granted is refused by `validate`, and grants nothing.
            users: self.users_of(None).unwrap_or_default(),
        }
    }

    /// The rules in force by namespace, the default one (`""`) first.
    fn named_rules(&self) -> impl Iterator<Item = (&str, CoreRules)> {
        let (root, auto) = (self.root_rules(), self.auto());
        let named = self.namespaces.by_name.iter();
        std::iter::once(("", root.clone())).chain(named.map(move |(name, rules)| {
            let rules = CoreRules {
                users: self.users_of(Some(rules)).unwrap_or_default(),
                ..rules.over(&root, auto)
            };
            (name.as_str(), rules)
        }))
    }

    /// What a namespace grants to all users; none: the default one.
    ///
    /// # Errors
    /// The setting's name, and what is wrong with it.
    fn users_of(&self, named: Option<&NamedRules>) -> Result<UserRules, (&'static str, String)> {
        let root = &self.rules;
        let of = |own: Option<&'_ Vec<String>>, root: &Vec<String>| own.unwrap_or(root).clone();
        let publish = of(
            named.and_then(|rules| rules.users_publish.as_ref()),
            &root.users_publish,
        );
        let subscribe = of(
            named.and_then(|rules| rules.users_subscribe.as_ref()),
            &root.users_subscribe,
        );
        let history = of(
            named.and_then(|rules| rules.users_history.as_ref()),
            &root.users_history,
        );
        let issuer = named.and_then(|rules| rules.users_issuer.as_ref());
        let written = Patterns {
            publish: &publish,
            subscribe: &subscribe,
            history: &history,
        };
        let all = publish.iter().chain(&subscribe).chain(&history);
        let personal = all.clone().any(|pattern| pattern.contains("{sub}"));
        let issuer = self.users_issuer(issuer.unwrap_or(&root.users_issuer), personal);
        let issuer = issuer.map_err(|why| ("users_issuer", why))?;
        UserRules::new(issuer, written).map_err(|why| {
            let listed = |all: &[String]| all.contains(&why.pattern);
            let key = match (listed(&publish), listed(&subscribe)) {
                (true, _) => "users_publish",
                (_, true) => "users_subscribe",
                _ => "users_history",
            };
            (key, why.to_string())
        })
    }

    /// The `iss` of those whom `{sub}` names; none: it is not in their tokens.
    fn users_issuer(&self, name: &str, personal: bool) -> Result<Option<Arc<str>>, String> {
        let issuers = &self.issuers.by_name;
        let found = match (name, issuers.len()) {
            ("", 0) => return Ok(None),
            ("", 1) => issuers.values().next(),
            ("", _) if personal => {
                return Err(
                    "there are several issuers, whose users may have the same name; say whose {sub} is meant"
                        .to_owned(),
                );
            }
            ("", _) => return Ok(None),
            (name, _) => issuers.get(name),
        };
        let issuer = found.ok_or_else(|| format!("there is no issuer {name:?}"))?;
        Ok(issuer.issuer.as_deref().map(Arc::from))
    }
}
