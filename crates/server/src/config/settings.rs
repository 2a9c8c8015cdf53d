//! Every setting with its default: the one table.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fanwire_core::limits::Limits as Core;

use super::define::{Group, Setting, settings};
use super::forms::{
    Addresses, ApiKeys, Count, Form, Kept, List, Named, Size, Switch, Text, Time, WhoMay,
};
use super::issuers::{Issuers, TokenIssuer};
use super::networks::{HeaderName, Network, Networks, ProxyHeader};
use super::rules::{NamedRules, Who};
use super::secret::Secret;
use super::socketio::{Auto, ClientEvents, OnOff, Rooms, WhatOfEvents, WhichRooms};
use fanwire_core::namespace::History;

const KIB: usize = 1024;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn core() -> Core {
    Core::default()
}

settings! {
    /// Where the server listens.
    listen: Listen {
        /// Addresses to listen on, as IP:PORT. Port 0 takes a free one. One that is
        /// not loopback needs an API key or `open`. With a certificate (see [tls])
        /// they speak TLS.
        addresses: Vec<SocketAddr> as Addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 3000))], flag "listen";
        /// Addresses that speak in the clear where the others speak TLS: for a proxy
        /// or a check of this machine. The same rules hold for them.
        plain_addresses: Vec<SocketAddr> as Addresses = Vec::new(), flag "listen-plain";
        /// Addresses for operators: /metrics, without a key, /healthz, /readyz and /api,
        /// and nothing else. In the clear: for a network that only operators reach.
        /// Where there is one, /metrics is served nowhere else.
        admin_addresses: Vec<SocketAddr> as Addresses = Vec::new(), flag "listen-admin";
        /// Connections that the system may hold before they are accepted.
        backlog: usize as Count = 1024;
        /// Connections from `access.proxies` begin with a PROXY protocol header,
        /// version 1 or 2, which says for whom they are; one that does not is closed.
        proxy_protocol: bool as Switch = false;
        /// Over this time streams end one after the other when the server stops, so
        /// that clients do not come back all at once; 0: all in one instant. At most
        /// shutdown_grace.
        drain_window: Duration as Time = secs(5);
        /// How long a shutdown may take in all; connections that have not ended then
        /// are cut.
        shutdown_grace: Duration as Time = secs(8);
    }

    /// TLS. With a certificate, all of listen.addresses speak it, and nothing else.
    tls: Tls {
        /// A PEM file with the certificate and those above it, the server's first.
        /// It and `key` are read again when they change; connections stay.
        cert: String as Text = String::new(), flag "tls-cert";
        /// A PEM file with the certificate's private key (PKCS #8, PKCS #1 or SEC 1).
        key: String as Text = String::new(), flag "tls-key";
        /// For development: a certificate made at start for localhost, 127.0.0.1 and
        /// [::1], which nobody trusts until told to.
        self_signed: bool as Switch = false, flag "tls-self-signed";
        /// The oldest version of TLS that is spoken: 1.2 or 1.3.
        min_version: String as Text = "1.2".to_owned();
        /// How long a handshake may take, from accept on.
        handshake_timeout: Duration as Time = secs(10);
        /// Handshakes whose keys are exchanged at once. Others wait in their order,
        /// and their time runs.
        handshakes: usize as Count = 256;
        /// How often the files are looked at for a change.
        reload_interval: Duration as Time = secs(5);
    }

    /// Who may come in. Closed by default: without a key or `open`, loopback only.
    access: Access {
        /// Whoever reaches the server may publish and subscribe. Without it and
        /// without keys, only local programs may, on loopback addresses.
        open: bool as Switch = false, flag "open";
        /// API keys, name to secret, sent as `Authorization: Bearer SECRET`. The name
        /// is shown to others as `from`. In place of the secret its hash may stand,
        /// `sha256:HEX` (`fanwire token key api` makes both). With a key set and not `open`, a key is
        /// needed for everything. Prefer the file or the variable to the flag, which
        /// other users of the machine can read.
        api_keys: BTreeMap<String, Secret> as ApiKeys = BTreeMap::new(), flag "api-key";
        /// Origins (`https://example.org`) whose pages may use the server; `*` for
        /// all. The server's own origin always may, loopback origins on loopback.
        allow_origins: Vec<String> as List = Vec::new(), flag "allow-origin";
        /// Values of `Host` (a name, with or without port) to answer to beside
        /// localhost, 127.0.0.1 and [::1]. Once set, no other is answered on any
        /// address.
        allow_hosts: Vec<String> as List = Vec::new(), flag "allow-host";
        /// Send `Access-Control-Allow-Credentials` to the allowed origins, as an
        /// `EventSource` with `withCredentials` asks for. Not together with `*`.
        allow_credentials: bool as Switch = false;
        /// Addresses or networks (`10.0.0.0/8`) of the proxies in front of the server.
        /// From them alone it is believed for whom they speak, and limits of addresses
        /// then go by that.
        proxies: Vec<Network> as Networks = Vec::new();
        /// The header that those proxies set or append to. The other one is ignored: a
        /// client could have written it.
        proxy_header: ProxyHeader as HeaderName = ProxyHeader::XForwardedFor;
    }

    /// How users show their tokens (JSON Web Tokens); who makes them is in [issuers].
    tokens: Tokens {
        /// The name of an HttpOnly cookie that may hold the token. Then pages of other
        /// origins than the allowed ones are refused altogether. Empty: none.
        cookie: String as Text = String::new();
        /// A token may also stand in the URL, as `?token=`, for what can send no
        /// header (an `EventSource` of another site). URLs end up in logs and histories
        /// of others: prefer the cookie.
        in_url: bool as Switch = false;
        /// Keys that an issuer publishes are fetched anew when they are so old …
        jwks_refresh: Duration as Time = secs(600);
        /// … or when a token names one that is not among them, so often at most.
        jwks_at_most_every: Duration as Time = secs(30);
        /// How long one fetch may take.
        jwks_timeout: Duration as Time = secs(5);
    }

    /// Who may make tokens, each a table; at least a secret, public_keys or jwks.
    issuers: IssuersByName {
        /// Issuers by a name of yours.
        by_name: BTreeMap<String, TokenIssuer> as Issuers = BTreeMap::new(), flag "issuer";
    }

    /// The rules of the default namespace, and of every namespace without its own.
    rules: Rules {
        /// Who may publish: anyone; users: whoever shows an API key or a valid token;
        /// keys: an API key, or a token that grants it; nobody; or auto: keys where
        /// API keys or issuers are set and the server is not `open`, else anyone.
        publish: Who as WhoMay = Who::Auto;
        /// Who may listen live: anyone, users, keys, nobody or auto.
        subscribe: Who as WhoMay = Who::Auto;
        /// Who may read what was (history, resume, rewind): anyone, users, keys,
        /// nobody or auto. Never easier than listening.
        history_access: Who as WhoMay = Who::Auto;
        /// Where a rule comes to keys: channels to which every user with a valid token
        /// may publish besides. Patterns of names without the namespace; `*` at the
        /// end is any rest, and `{sub}`, once, the user's own name (`inbox-{sub}`).
        users_publish: Vec<String> as List = Vec::new();
        /// Likewise, to which every user may listen.
        users_subscribe: Vec<String> as List = Vec::new();
        /// Likewise, whose past every user may read; empty: as users_subscribe.
        users_history: Vec<String> as List = Vec::new();
        /// Whose users `{sub}` names, where there are several issuers: one of them, by
        /// its name in [issuers]. Only those whose `iss` is exactly its `issuer`.
        users_issuer: String as Text = String::new();
        /// What is kept per channel: messages (a number), bytes (a size) and ttl (a
        /// duration); what is left out keeps its default. "off" keeps nothing.
        history: History as Kept = History::default();
        /// A later message with the same key replaces earlier ones for readers who
        /// catch up.
        conflate: bool as Switch = false;
        /// Whether Socket.IO clients may join the default namespace (`/`): on, off, or
        /// auto, which is on where nothing says who may come in. A namespace that the
        /// server's own code serves is joined whatever this says. Named namespaces say
        /// so themselves; they do not follow this.
        socketio: Auto as OnOff = Auto::Auto;
        /// Whether channels of a namespace that Socket.IO clients join, its rooms, can
        /// be had by URL: public; closed to everyone but API keys; or auto, which is
        /// closed where Socket.IO clients join and something says who may come in.
        rooms: Rooms as WhichRooms = Rooms::Auto;
        /// What becomes of events that Socket.IO clients send and no code of the
        /// server's own handles: deny, or publish:ROOM, which publishes them to that
        /// room if the client may publish there.
        client_events: ClientEvents as WhatOfEvents = ClientEvents::Deny;
        /// Socket.IO clients that come back get their socket back, with what they
        /// missed. Needs history.
        recovery: bool as Switch = true;
    }

    /// HTTP.
    http: Http {
        /// Bytes of a request's head; one past it is 431.
        header_bytes: usize as Size = 32 * KIB;
        /// Header lines of a request; one past it is 431.
        header_count: usize as Count = 100;
        /// Bytes of a request's target (path and query); one past it is 414.
        uri_bytes: usize as Size = 32 * KIB;
        /// How long a new connection may stay without its first byte.
        first_byte_timeout: Duration as Time = secs(10);
        /// How long a request's head may take from its first byte to its last.
        header_timeout: Duration as Time = secs(10);
        /// How long a request's body may take.
        body_timeout: Duration as Time = secs(30);
        /// How long a connection may idle between two requests.
        keep_alive: Duration as Time = secs(75);
        /// How long the server's own code may take to say whether who wants to listen
        /// may; then it is refused with `unavailable`.
        on_connect_timeout: Duration as Time = secs(10);
        /// How long at most a connection's messages wait for what the server's own code
        /// says to it first, at `on_connected`; a POST is not one. 0: not at all.
        on_connected_wait: Duration as Time = secs(2);
    }

    /// HTTP/2, on the same port; see also [http].
    http2: Http2 {
        /// Streams that one connection may have open: requests, polls and event
        /// streams together. A peer is told; one past it is refused.
        max_streams: usize as Count = 128;
        /// A ping is sent when no frame of a request came for this long.
        ping: Duration as Time = secs(25);
        /// Closed when the ping is not answered within this.
        timeout: Duration as Time = secs(60);
        /// Frames that carry neither a request nor data (pings, settings, resets,
        /// windows opened) which a peer may send at once. A hundred come back every
        /// second, and three for each frame that it is sent; one past it ends the
        /// connection.
        overhead_frames: usize as Count = 1000;
    }

    /// WebSocket.
    ws: Ws {
        /// A ping is sent when the connection was silent for this long.
        ping: Duration as Time = secs(25);
        /// Closed when nothing was heard or written for this long after the ping.
        timeout: Duration as Time = secs(20);
        /// How long the handshake may take.
        handshake: Duration as Time = secs(10);
        /// How long a socket that was opened without a key or token may take to show
        /// a token in its first frame.
        auth_timeout: Duration as Time = secs(10);
        /// How long the peer may take to answer a close frame.
        close_wait: Duration as Time = secs(1);
        /// How long the rest of a message may take to come once it has begun.
        assembly_timeout: Duration as Time = secs(30);
        /// Frames that one message may be split into.
        max_fragments: usize as Count = fanwire_proto::limits::MESSAGE_FRAGMENTS as usize;
        /// Agree to permessage-deflate where a client offers it: fewer bytes for more
        /// work. A message is compressed once, for all who get it.
        deflate: bool as Switch = false;
        /// Messages of fewer bytes are sent uncompressed.
        deflate_threshold: usize as Size = KIB;
        /// Refused frames within `refused_window` that are answered with `$error`;
        /// the next one closes the socket.
        refused_frames: usize as Count = 10;
        /// See `refused_frames`.
        refused_window: Duration as Time = secs(10);
    }

    /// Server-Sent Events.
    sse: Sse {
        /// A quiet stream gets a comment after a random time, at least this …
        comment_min: Duration as Time = secs(15);
        /// … and at most this.
        comment_max: Duration as Time = secs(25);
        /// Clients are told to come back after a random time, at least this …
        retry_min: Duration as Time = secs(2);
        /// … and at most this.
        retry_max: Duration as Time = secs(3);
        /// When the server stops, clients are told to come back after a random time,
        /// at least this …
        drain_retry_min: Duration as Time = secs(1);
        /// … and at most this.
        drain_retry_max: Duration as Time = secs(4);
    }

    /// Long polls and history.
    poll: Poll {
        /// How long a poll waits that says `wait` without a value.
        wait: Duration as Time = secs(25);
        /// The longest wait; a longer one counts as this.
        wait_max: Duration as Time = secs(55);
        /// Bytes of one answer (which holds at least one message).
        answer: usize as Size = core().answer;
    }

    /// Socket.IO (and Engine.IO below it).
    socketio: SocketIo {
        /// Where it is served; begins and ends with a slash.
        path: String as Text = "/socket.io/".to_owned();
        /// A ping is sent so often …
        ping_interval: Duration as Time = secs(25);
        /// … and its answer has to come within this. Clients are told both.
        ping_timeout: Duration as Time = secs(20);
        /// How long a change from polling to WebSocket may take.
        upgrade_timeout: Duration as Time = secs(10);
        /// How long a session may stay without joining a namespace.
        connect_timeout: Duration as Time = secs(45);
        /// Bytes of one message or one polling request. Clients are told. Events
        /// published here may be so large, whatever limits.message says.
        max_payload: usize as Size = 1_000_000;
        /// How long a socket whose connection broke can be recovered.
        recovery: Duration as Time = secs(120);
        /// Sockets that can be recovered, connected ones included. With more, those
        /// that went first are forgotten first; new ones then cannot be recovered.
        recoverable: usize as Count = 100_000;
        /// Namespaces that one session may join.
        namespaces: usize as Count = 32;
        /// Rooms that one socket may be in, its own and everyone's not counted.
        rooms: usize as Count = 128;
        /// Answers (acks) of one socket that the server's code waits for.
        acks: usize as Count = 1024;
        /// Packets of one session that wait for their turn; with more it is not read.
        inbox_packets: usize as Count = 256;
        /// Bytes of them.
        inbox_bytes: usize as Size = 1024 * KIB;
    }

    /// Bounds. Each is a promise about memory; what happens at it is in the docs.
    limits: Limits {
        /// Connections in all; lowered at start, with a word, to fit the descriptor
        /// limit.
        connections: usize as Count = 100_000;
        /// Connections of one address (IPv6: of one /64). Loopback is exempt.
        connections_per_ip: usize as Count = 100;
        /// Connections to all of listen.admin_addresses, which count nowhere else; one
        /// past it is closed.
        admin_connections: usize as Count = 64;
        /// Bytes of one message's body; one past it is 413.
        message: usize as Size = core().message;
        /// Bytes queued for one subscriber before it falls behind and is fed from
        /// history.
        outbox: usize as Size = core().outbox;
        /// Bytes of one piece of catching up.
        chunk: usize as Size = core().chunk;
        /// Bytes of all history and channel records of this node; past it the oldest
        /// goes.
        log_bytes: usize as Size = core().log_bytes;
        /// Channels that are remembered. With the default log_bytes the bytes give out
        /// first: about 360,000 channels of one small message each.
        channel_records: usize as Count = core().channel_records;
        /// Bytes of the ring of recent messages from which readers go live.
        ring_bytes: usize as Size = core().ring_bytes;
        /// Reads of history under way per shard.
        reads_per_shard: usize as Count = core().reads_per_shard;
        /// Bytes of publications that the slowest shard has not taken yet.
        publish_credit: usize as Size = core().publish_credit;
        /// How long a publisher waits for credit before 503.
        credit_wait: Duration as Time = core().credit_wait;
        /// How long a publisher waits for a broker that says nothing before 503.
        broker_wait: Duration as Time = core().broker_wait;
        /// How soon a broker that could not be reached is asked again.
        broker_retry: Duration as Time = core().broker_retry;
        /// Idempotency keys in all.
        idempotency_keys: usize as Count = core().idempotency_keys;
        /// Idempotency keys of one publisher.
        idempotency_per_publisher: usize as Count = core().idempotency_per_publisher;
        /// How long an idempotency key is remembered.
        idempotency_ttl: Duration as Time = core().idempotency_ttl;
        /// A reader that takes no byte for this long is closed; it can resume.
        write_progress: Duration as Time = core().write_progress;
        /// At most one mid-stream `$gap` per subscriber in this time.
        gap_interval: Duration as Time = core().gap_interval;
        /// A quiet stream gets `$cursor` this often.
        cursor_interval: Duration as Time = core().cursor_interval;
        /// How long `/readyz` and a listing by the API may take before 503.
        operator_wait: Duration as Time = secs(5);
        /// How long a publish waits for delivery on this node, and a cursor ahead of
        /// it for the feed.
        applied_wait: Duration as Time = core().applied_wait;
        /// Shards, each a task that owns a part of the subscribers; 0: one per core.
        shards: usize as Count = 0;
    }

    /// How often: numbers a second. 0: no limit. Loopback and API keys are exempt from those per IP.
    rates: Rates {
        /// What is saved up: so many seconds' worth of each rate may come at once.
        burst: Duration as Time = secs(10);
        /// Messages published on one connection, a second.
        messages_per_connection: usize as Count = 0;
        /// Messages published by one user, API key or, without either, address, a
        /// second.
        messages_per_user: usize as Count = 0;
        /// Messages published from one address (IPv6: one /64), a second.
        messages_per_ip: usize as Count = 1000;
        /// Messages published in one namespace, a second.
        messages_per_namespace: usize as Count = 0;
        /// Bytes of messages published on one connection, a second.
        bytes_per_connection: usize as Size = 0;
        /// Bytes of messages published by one user, API key or, without either,
        /// address, a second.
        bytes_per_user: usize as Size = 0;
        /// Bytes of messages published from one address (IPv6: one /64), a second.
        bytes_per_ip: usize as Size = 4 * KIB * KIB;
        /// Bytes of messages published in one namespace, a second.
        bytes_per_namespace: usize as Size = 0;
        /// Event streams and WebSockets opened by one user, API key or, without either,
        /// address, a second.
        connects_per_user: usize as Count = 0;
        /// Connections from one address (IPv6: one /64), a second; behind a proxy, and
        /// beyond the first of a connection, event streams and WebSockets.
        connects_per_ip: usize as Count = 100;
        /// Channels listened to or read, by streams, polls and history on one
        /// connection, a second.
        subscribes_per_connection: usize as Count = 0;
        /// Channels listened to or read, by streams, polls and history by one user, API
        /// key or, without either, address, a second.
        subscribes_per_user: usize as Count = 0;
        /// Channels listened to or read, by streams, polls and history from one address
        /// (IPv6: one /64), a second.
        subscribes_per_ip: usize as Count = 1000;
        /// Channels listened to or read, by streams, polls and history in one
        /// namespace, a second.
        subscribes_per_namespace: usize as Count = 0;
    }

    /// For tests.
    debug: ForTests {
        /// Connections on plain TCP are written by their own tasks, as TLS ones are.
        force_pull: bool as Switch = false, [hidden];
    }

    /// Rules of named namespaces, each a table; what one leaves out is as in [rules].
    namespaces: NamespaceRules {
        /// Rules by namespace name.
        by_name: BTreeMap<String, NamedRules> as Named = BTreeMap::new(), flag "namespace";
    }
}
