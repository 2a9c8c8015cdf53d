//! What a configuration must hold to be served, beyond each value's form.

use std::collections::HashMap;
use std::time::Duration;

use fanwire_core::key::Namespace;
use sha2::{Digest as _, Sha256};

use super::Config;
use super::issuers::MIN_TOKEN_SECRET;
use super::problem::{Problem, Problems};
use super::secret::Secret;

/// The clocks of two machines that are kept right differ by less.
const MAX_LEEWAY: Duration = Duration::from_secs(30);

/// Sizes and numbers for which 0 is a choice.
const ZERO_IS_FINE: [&str; 2] = ["limits.shards", "ws.deflate_threshold"];
/// Durations for which 0 is a choice.
const NOW_IS_FINE: [&str; 5] = [
    "http.on_connected_wait",
    "listen.drain_window",
    "listen.shutdown_grace",
    "poll.wait",
    "limits.credit_wait",
];

pub(super) fn check(config: &Config) -> Result<(), Problems> {
    let mut problems = Problems::default();
    listen(config, &mut problems);
    tls(config, &mut problems);
    keys(config, &mut problems);
    issuers(config, &mut problems);
    origins(config, &mut problems);
    zeros(config, &mut problems);
    bounds(config, &mut problems);
    namespaces(config, &mut problems);
    socketio(config, &mut problems);
    problems.into_result()
}

fn listen(config: &Config, problems: &mut Problems) {
    if config.listen.addresses.is_empty() {
        problems.push(Problem::new("listen.addresses", "name at least one"));
    }
    if config.listen.proxy_protocol && config.access.proxies.is_empty() {
        let message = "is believed of nobody; name the proxies in access.proxies";
        problems.push(Problem::new("listen.proxy_protocol", message));
    }
    if !config.is_unconfigured() {
        return;
    }
    let listen = &config.listen;
    let all = [
        ("listen.addresses", &listen.addresses),
        ("listen.plain_addresses", &listen.plain_addresses),
        ("listen.admin_addresses", &listen.admin_addresses),
    ];
    let each = |(key, list)| std::iter::repeat(key).zip::<&Vec<_>>(list);
    for (key, address) in all.into_iter().flat_map(each) {
        if !address.ip().to_canonical().is_loopback() {
            let message = format!(
                "{address} can be reached from other machines, and nothing says who may come in; \
                 set an API key (--api-key NAME=SECRET) or an issuer of tokens, or choose --open to let everyone in, \
                 or listen on 127.0.0.1"
            );
            problems.push(Problem::new(key, message));
        }
    }
}

fn tls(config: &Config, problems: &mut Problems) {
    let tls = &config.tls;
    let mut wrong = |key: &str, message: &str| problems.push(Problem::new(key, message));
    if !matches!(tls.min_version.as_str(), "1.2" | "1.3") {
        wrong("tls.min_version", "is 1.2 or 1.3");
    }
    if tls.handshakes > 100_000 {
        wrong("tls.handshakes", "is at most 100000");
    }
    match (tls.cert.is_empty(), tls.key.is_empty()) {
        (false, true) => wrong("tls.key", "name the file of the certificate's private key"),
        (true, false) => wrong("tls.cert", "name the file of the key's certificate"),
        (false, false) if tls.self_signed => wrong(
            "tls.self_signed",
            "there is a certificate already; leave out the one or the other",
        ),
        _ => {}
    }
    if !config.has_tls() && !config.listen.plain_addresses.is_empty() {
        wrong(
            "listen.plain_addresses",
            "without TLS every address speaks in the clear; write it into listen.addresses",
        );
    }
}

fn keys(config: &Config, problems: &mut Problems) {
    let mut holders: HashMap<[u8; 32], &str> = HashMap::new();
    for (name, secret) in &config.access.api_keys {
        let key = format!("access.api_keys.{name}");
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
            let message = "a key's name is 1 to 64 of A-Z a-z 0-9 _ . -";
            problems.push(Problem::new("access.api_keys", message));
        }
        let hash = || Sha256::digest(secret.expose()).into();
        if let Some(fault) = secret.api_key_fault() {
            problems.push(Problem::new(&key, fault));
        } else if let Some(other) = holders.insert(secret.hash().unwrap_or_else(hash), name) {
            let message = format!("has the same secret as {other}; give each its own");
            problems.push(Problem::new(&key, message));
        }
    }
}

fn issuers(config: &Config, problems: &mut Problems) {
    let mut named: HashMap<Option<&str>, &str> = HashMap::new();
    for (name, issuer) in &config.issuers.by_name {
        let mut wrong = |message: &str| {
            problems.push(Problem::new(format!("issuers.{name}"), message));
        };
        if issuer.secret.is_none() && issuer.public_keys.is_empty() && issuer.jwks.is_none() {
            wrong("has no key; set secret, public_keys or jwks");
        }
        let length = issuer.secret.as_ref().map(|secret| secret.expose().len());
        if length.is_some_and(|bytes| !(MIN_TOKEN_SECRET..=Secret::MAX).contains(&bytes)) {
            wrong("a secret for tokens has 32 to 512 bytes");
        }
        if issuer.leeway > MAX_LEEWAY {
            wrong("leeway is at most 30s");
        }
        if issuer.jwks.as_deref().is_some_and(|url| !is_key_url(url)) {
            wrong("jwks is an https:// URL; http:// on this machine only");
        }
        if issuer
            .issuer
            .as_deref()
            .is_some_and(|text| text.is_empty() || text.len() > 255)
        {
            wrong("issuer has 1 to 255 bytes, exactly as the tokens say it");
        }
        if let Some(other) = named.insert(issuer.issuer.as_deref(), name) {
            wrong(&format!(
                "has the same `issuer` as {other}; a token could be either's"
            ));
        }
    }
}

/// Keys from elsewhere come by TLS, or anyone on the way could exchange them.
fn is_key_url(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let Some(host) = uri.host() else {
        return false;
    };
    let local = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => local,
        _ => false,
    }
}

fn origins(config: &Config, problems: &mut Problems) {
    const KEY: &str = "access.allow_origins";
    for origin in &config.access.allow_origins {
        if origin == "*" {
            if config.access.allow_credentials {
                let message = "\"*\" with allow_credentials would let every page act as its \
                               visitor; name the origins, or leave allow_credentials off";
                problems.push(Problem::new(KEY, message));
            } else if config.is_unconfigured() {
                let message = "\"*\" would let every page in a browser here publish; set an API \
                               key, choose --open, or name the origins";
                problems.push(Problem::new(KEY, message));
            }
        } else if !is_origin(origin) {
            let message = format!(
                "{origin:?} is not an origin; write scheme://host or scheme://host:port, in \
                 lower case and without a path, as browsers send it"
            );
            problems.push(Problem::new(KEY, message));
        }
    }
    for host in &config.access.allow_hosts {
        if !is_host(host) {
            let message = format!("{host:?} is not a host; write a name or name:port, no scheme");
            problems.push(Problem::new("access.allow_hosts", message));
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(legal)
        && is_host(host)
        && !host.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let port_fits = port
        .is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()));
    let named = match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !name.is_empty() && name.len() <= 253 && name.bytes().all(legal)
        }
    };
    port_fits && named
}

fn zeros(config: &Config, problems: &mut Problems) {
    for setting in Config::settings() {
        let zero = match setting.form {
            "number" | "size" => "0",
            "duration" => "\"0s\"",
            _ => continue,
        };
        let fine = ZERO_IS_FINE.contains(&setting.key) || NOW_IS_FINE.contains(&setting.key);
        // In the group of rates 0 is off.
        let fine = fine || (setting.key.starts_with("rates.") && setting.form != "duration");
        if !fine && (setting.get)(config) == zero {
            let message = "0 makes no sense here; write more";
            problems.push(Problem::new(setting.key, message));
        }
    }
}

fn bounds(config: &Config, problems: &mut Problems) {
    let mut at_most = |key: &str, small: bool, message: &str| {
        if !small {
            problems.push(Problem::new(key, message));
        }
    };
    let (sse, poll, limits, http) = (&config.sse, &config.poll, &config.limits, &config.http);
    at_most(
        "sse.comment_min",
        sse.comment_min <= sse.comment_max,
        "is more than sse.comment_max",
    );
    at_most(
        "sse.retry_min",
        sse.retry_min <= sse.retry_max,
        "is more than sse.retry_max",
    );
    at_most(
        "sse.drain_retry_min",
        sse.drain_retry_min <= sse.drain_retry_max,
        "is more than sse.drain_retry_max",
    );
    at_most(
        "poll.wait",
        poll.wait <= poll.wait_max,
        "is more than poll.wait_max",
    );
    at_most(
        "limits.idempotency_per_publisher",
        limits.idempotency_per_publisher <= limits.idempotency_keys,
        "is more than limits.idempotency_keys",
    );
    at_most(
        "limits.message",
        limits.message <= limits.publish_credit,
        "is more than limits.publish_credit: no such message could be sent",
    );
    // The frame's head, the envelope and the size of a chunk are 32-bit.
    at_most(
        "limits.message",
        limits.message <= 64 << 20,
        "is at most 64MiB; larger things belong in a file store, their link in a message",
    );
    at_most("limits.shards", limits.shards <= 1024, "is at most 1024");
    at_most(
        "http.header_bytes",
        (8192..=1 << 20).contains(&http.header_bytes),
        "is 8KiB to 1MiB",
    );
    at_most(
        "http2.max_streams",
        config.http2.max_streams <= 1000,
        "is at most 1000",
    );
    at_most(
        "http.header_count",
        http.header_count <= 1000,
        "is at most 1000",
    );
}

fn socketio(config: &Config, problems: &mut Problems) {
    let socketio = &config.socketio;
    let mut wrong = |key: &str, message: &str| problems.push(Problem::new(key, message));
    let path = socketio.path.as_str();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    let taken = ["/", "/c/", "/api/"].contains(&path) || path.starts_with("/c/");
    if !path.starts_with('/') || !path.ends_with('/') || !path.bytes().all(legal) || taken {
        wrong(
            "socketio.path",
            "is a path such as /socket.io/, of A-Z a-z 0-9 / . _ - and not one of the server's own",
        );
    }
    if socketio.max_payload > 64 << 20 {
        wrong("socketio.max_payload", "is at most 64MiB");
    }
    if socketio.inbox_bytes > 64 << 20 {
        wrong("socketio.inbox_bytes", "is at most 64MiB");
    }
}

fn namespaces(config: &Config, problems: &mut Problems) {
    for name in config.namespaces.by_name.keys() {
        if let Err(why) = Namespace::new(name) {
            problems.push(Problem::new(format!("namespaces.{name}"), why.0));
        }
    }
    users(config, problems);
    for (name, rules) in config.named_rules() {
        let history = rules.history;
        let key = match name {
            "" => "rules.history".to_owned(),
            name => format!("namespaces.{name}.history"),
        };
        if !history.is_off() && (history.bytes == 0 || history.ttl.is_zero()) {
            let message = "bytes or ttl of 0 keep nothing; write \"off\" if that is meant";
            problems.push(Problem::new(&key, message));
        }
        if history.is_off() && rules.conflate {
            let message = "conflate works on history, which is off";
            problems.push(Problem::new(&key, message));
        }
    }
}

/// What namespaces grant to all users.
fn users(config: &Config, problems: &mut Problems) {
    let named = config.namespaces.by_name.iter();
    let all =
        std::iter::once(("", None)).chain(named.map(|(name, rules)| (name.as_str(), Some(rules))));
    let root = config.users_of(None).err();
    for (name, rules) in all {
        let table = match name {
            "" => "rules".to_owned(),
            name => format!("namespaces.{name}"),
        };
        // What a namespace has from [rules] is told there.
        if let Err((key, why)) = config.users_of(rules)
            && (rules.is_none() || root.as_ref() != Some(&(key, why.clone())))
        {
            problems.push(Problem::new(format!("{table}.{key}"), why));
        }
        let Some(rules) = rules else { continue };
        for (key, patterns) in [
            ("users_publish", &rules.users_publish),
            ("users_subscribe", &rules.users_subscribe),
            ("users_history", &rules.users_history),
        ] {
            let own = |pattern: &&String| {
                pattern
                    .strip_prefix(name)
                    .is_some_and(|p| p.starts_with(':'))
            };
            if let Some(pattern) = patterns.iter().flatten().find(own) {
                let message = format!("{pattern:?}: write the name alone; it is in {name} already");
                problems.push(Problem::new(format!("{table}.{key}"), message));
            }
        }
    }
}
