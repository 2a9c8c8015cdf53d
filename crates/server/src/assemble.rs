//! A server, put together: configuration, store, hub, door, listeners.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::broker::{Broker, MemoryBroker};
use fanwire_core::cursor::Epoch;
use fanwire_core::hub::{Hub, HubConfig};
use fanwire_core::policy::Door;
use http::{Request, Response};
use hyper::body::Body;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower_service::Service;

use crate::accept::{accept, accept_operators};
use crate::access;
use crate::app::App;
use crate::auth::Auth;
use crate::clock::{SystemClock, Tokio, random, secret};
use crate::config::{Config, Problems};
use crate::dialect::{Pids, encoders};
use crate::drive::{drive_feed, drive_shard};
use crate::engineio::{Echo, Host, Serving, drain};
use crate::handlers::{Application, Spaces, rooms};
use crate::http::{MountedService, Paths, RequestBody, Routes, Serves};
use crate::limit::{Counts, fit_descriptors};
use crate::listen::listen;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::rates::Rates;
use crate::refused::{Hook, Refused};
use crate::reload::{Loader, Reload, Renew};
use crate::renew;
use crate::shutdown::{Running, Stage};
use crate::socketio::SocketIo;
use crate::tls::Tls;

/// A server that has not been started.
pub struct Server {
    config: Config,
    parts: Parts,
}

/// What a server is made of beside its configuration.
#[derive(Default)]
pub(crate) struct Parts {
    broker: Option<Arc<dyn Broker>>,
    loader: Option<Loader>,
    hosts: Vec<(String, Arc<dyn Host>)>,
    application: Application,
    routes: Option<Routes>,
    paths: Paths,
    on_refused: Option<Hook>,
}

#[cfg(test)]
impl Parts {
    /// Nothing but this.
    pub(crate) fn of(broker: Option<Arc<dyn Broker>>) -> Self {
        Self {
            broker,
            ..Self::default()
        }
    }
}

impl Server {
    /// A server by its configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn new(config: Config) -> Result<Self, Problems> {
        config.validate()?;
        Ok(Self {
            config,
            parts: Parts::default(),
        })
    }

    /// Orders and keeps messages elsewhere than in memory.
    #[must_use]
    pub fn broker(mut self, broker: Arc<dyn Broker>) -> Self {
        self.parts.broker = Some(broker);
        self
    }

    /// Says how to read the configuration again, for `POST /api/reload` and
    /// [`Running::reload`]. It may read files; it is never called twice at once.
    #[must_use]
    pub fn reload_with(mut self, loader: Loader) -> Self {
        self.parts.loader = Some(loader);
        self
    }

    /// Serves namespaces by code of its own: of one application, the last one given.
    #[must_use]
    pub fn application(mut self, application: Application) -> Self {
        self.parts.application = application;
        self
    }

    /// Answers whatever is none of ours by routes of the application's own, on the same
    /// port, over HTTP/1.1 and HTTP/2: an `axum::Router`, or any other tower service. Ours
    /// are `/c/…`, `/api/…`, `/healthz`, `/readyz`, `/metrics` and the path of Socket.IO;
    /// `/` is the application's then.
    ///
    /// The rules of [access](crate::config) on hosts and proxies and the limits of
    /// connections, heads and time hold for them too. Who may call them and from which
    /// origins, they decide; how much of a body they take, too. Each request has its
    /// [`Client`](crate::Client) as an extension, and the [`Namespaces`](crate::Namespaces),
    /// by which a route sends to sockets. A route that panics is a 500 and closes
    /// nothing else. One whose client goes is dropped where it stands, but for a request
    /// with a body over HTTP/1.1. Over HTTP/1.1 an answer of unknown length ends its connection.
    /// Routes take no connection over: WebSockets are at `/c/…`, and wherever
    /// [`Server::web_socket_at`] puts them.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::routing::get;
    ///
    /// let routes = axum::Router::new().route("/hello", get(async || "Hello!"));
    /// let server = fanwire::Server::new(fanwire::Config::default())?.routes(routes);
    /// let running = server.start().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn routes<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.parts.routes = Some(Routes::new(service));
        self
    }

    /// Serves WebSockets at a path of one's own, so that clients that exist keep their URL:
    /// a request there that asks for a WebSocket is one of `/c/CHANNEL`, over HTTP/1.1 and
    /// HTTP/2, with its own query (`?after=`, `?format=envelope` …) and by the same rules.
    /// The path's other requests go on to the application's routes, or to the page.
    ///
    /// ```
    /// # fn configure() -> Result<(), Box<dyn std::error::Error>> {
    /// // new WebSocket("ws://localhost:3000/") hears the channel `wall`.
    /// let server = fanwire::Server::new(fanwire::Config::default())?
    ///     .web_socket_at("/", "wall")?
    ///     .event_stream_at("/events/stream", "news")?;
    /// # Ok(()) }
    /// # configure().unwrap();
    /// ```
    ///
    /// # Errors
    /// What is not a path (`/`, `/a/b`, percent-encoded, without a query), a path that
    /// stands for something of ours or was given before, and what is not a channel's name.
    pub fn web_socket_at(self, path: &str, channel: &str) -> Result<Self, Problems> {
        self.serving(Serves::WebSocket, path, channel)
    }

    /// Serves event streams at a path of one's own: a GET there that asks for no WebSocket
    /// is one of `/c/CHANNEL?format=sse`, as [`Server::web_socket_at`] says, and what a page
    /// of another origin asks before it (a preflight for GET) is answered as there. Its other
    /// methods and their preflights go on to the application's routes.
    ///
    /// # Errors
    /// As [`Server::web_socket_at`].
    pub fn event_stream_at(self, path: &str, channel: &str) -> Result<Self, Problems> {
        self.serving(Serves::EventStream, path, channel)
    }

    fn serving(mut self, serves: Serves, path: &str, channel: &str) -> Result<Self, Problems> {
        let paths = &mut self.parts.paths;
        paths.add(&self.config, serves, (path, channel))?;
        Ok(self)
    }

    /// Calls `hook` for every client that is turned away, and for every connection that
    /// fails before it came to anything: each refusal that `fanwire_refusals_total` of
    /// `/metrics` counts, once, and each handshake of TLS that came to nothing. Not
    /// told: who goes away itself, or is closed for its silence.
    ///
    /// It is called by whatever refuses, before the client is answered and by many
    /// threads at once: it must be quick, and wait for nothing. A panic in it ends
    /// nothing else. See [`Refused`] for what it hears; secrets are not among it.
    ///
    /// ```
    /// # fn configure() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = fanwire::Server::new(fanwire::Config::default())?.on_refused(|refused| {
    ///     let path = refused.path.unwrap_or_default();
    ///     eprintln!("{} {} {path:?}: {}", refused.client, refused.via, refused.why);
    /// });
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_refused(mut self, hook: impl Fn(&Refused<'_>) + Send + Sync + 'static) -> Self {
        self.parts.on_refused = Some(Arc::new(hook));
        self
    }

    /// Says back, at this path, every message of an Engine.IO session: for suites that test
    /// that protocol by itself.
    #[doc(hidden)]
    #[must_use]
    pub fn engine_echo(mut self, path: &str) -> Self {
        self.parts.hosts.push((path.to_owned(), Arc::new(Echo)));
        self
    }

    /// Binds all addresses and serves. Must be called in a tokio runtime with
    /// time and I/O; returns once connections are accepted.
    ///
    /// # Errors
    /// An address that cannot be listened on, or a certificate that cannot be
    /// served, named in the text; handlers that ask for a state which nobody gave, or wait
    /// for an event that never comes; a system that gives no randomness.
    pub async fn start(self) -> io::Result<Running> {
        let config = self.config;
        let tls = Tls::new(&config)?;
        let mut listeners = Vec::new();
        let secured = match &tls {
            Some(_) => config.listen.addresses.len(),
            None => 0,
        };
        let plain = config.listen.plain_addresses.iter();
        for address in config.listen.addresses.iter().chain(plain) {
            listeners.push(listen(*address, config.listen.backlog)?);
        }
        let mut operators = Vec::new();
        for address in &config.listen.admin_addresses {
            operators.push(listen(*address, config.listen.backlog)?);
        }
        let (addresses, admin_addresses) = (bound(&listeners)?, bound(&operators)?);
        let admin_counts = Counts::new(config.limits.admin_connections, usize::MAX);

        let counts = counts(&config);
        let (stop, stopped) = watch::channel(Stage::Serving);
        let (app, mut drivers) = app(config, self.parts, stopped)?;
        let mut doors = Vec::new();
        for (at, listener) in listeners.into_iter().enumerate() {
            let tls = tls.clone().filter(|_| at < secured);
            let door = accept(app.clone(), listener, counts.clone(), tls);
            doors.push(tokio::spawn(door));
        }
        let mut operators_doors = Vec::new();
        for listener in operators {
            let door = accept_operators(app.clone(), listener, admin_counts.clone());
            operators_doors.push(tokio::spawn(door));
        }
        drivers.extend(tls.as_ref().and_then(Tls::watch));
        for (at, address) in addresses.iter().enumerate() {
            tracing::info!(%address, tls = at < secured, "listening");
        }
        for address in &admin_addresses {
            tracing::info!(%address, "listening for operators");
        }
        let mut running = listening_nowhere(&app, stop, drivers, counts);
        running.addresses = addresses;
        running.admin_addresses = admin_addresses;
        running.operators_doors = operators_doors;
        running.secured = secured;
        running.self_signed = tls.and_then(|tls| tls.self_signed());
        running.doors = doors;
        Ok(running)
    }

    /// Puts it into an application's own HTTP server instead of listening itself: a tower
    /// service for an `axum::Router` ([`fallback_service`], `nest_service`) or any other
    /// server of `hyper`, with every transport. Must be called in a tokio runtime.
    ///
    /// Nested under a prefix that the router strips, `/c/news` is at `/realtime/c/news`, and
    /// Socket.IO's path is `/realtime/socket.io/`. The page at `/` is the application's.
    ///
    /// **Who asks** the application has to say, by a [`Client`](crate::Client) among the
    /// extensions of each request, as below: the address of the *connection*, never one of a
    /// header; proxies are believed as configured (`access.proxies`). Where it says nothing,
    /// limits and rates of addresses hold for nobody, idempotency keys of anonymous publishers
    /// are one set, and nobody is taken for a program of this machine: a server without API
    /// keys and issuers that is not `open` refuses everyone then.
    ///
    /// **What the outer server answers for**: listening, TLS, HTTP/2 and the time-outs and
    /// sizes of heads, so `[listen]`, `[tls]`, `[http2]`, `rates.connects_per_ip` and most of
    /// `[http]` mean nothing here. `limits.connections` and `limits.connections_per_ip` bound
    /// the requests and streams under way; rates of a connection hold for one WebSocket or one
    /// session of Socket.IO. A reader that takes nothing loses its stream after
    /// `limits.write_progress`; its connection is the outer server's.
    ///
    /// **Pages of other origins** are let in by `access.allow_origins`, here as anywhere: a CORS
    /// layer around answers browsers, and opens nothing. Socket.IO's client shows them
    /// `xhr poll error`; [`Server::on_refused`] is told `origin_denied`.
    ///
    /// **To stop**, stop this server first ([`Running::shutdown`]), then the outer one, so that
    /// streams end in their turn: the outer one alone would wait for them.
    ///
    /// ```no_run
    /// # async fn stop_signal() {}
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::net::SocketAddr;
    /// use axum::extract::{ConnectInfo, Request};
    /// use axum::middleware::map_request;
    ///
    /// let fanwire = fanwire::Server::new(fanwire::Config::default())?.mount().await?;
    /// let from = map_request(|ConnectInfo(from): ConnectInfo<SocketAddr>, mut request: Request| {
    ///     request.extensions_mut().insert(fanwire::Client(from.ip()));
    ///     std::future::ready(request)
    /// });
    /// let app = axum::Router::new().fallback_service(fanwire.service).layer(from);
    /// let app = app.into_make_service_with_connect_info::<SocketAddr>();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// let running = fanwire.running;
    /// let stop = async move {
    ///     stop_signal().await; // tokio::signal::ctrl_c(), say
    ///     running.shutdown().await;
    /// };
    /// axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// [`fallback_service`]: https://docs.rs/axum/latest/axum/struct.Router.html
    ///
    /// # Errors
    /// Handlers that ask for a state which nobody gave, or wait for an event that never comes;
    /// a system that gives no randomness.
    pub async fn mount(self) -> io::Result<Mounted> {
        let limits = &self.config.limits;
        // Descriptors are the outer server's to count.
        let counts = Counts::new(limits.connections, limits.connections_per_ip);
        let (stop, stopped) = watch::channel(Stage::Serving);
        let (app, drivers) = app(self.config, self.parts, stopped)?;
        let running = listening_nowhere(&app, stop, drivers, counts.clone());
        let service = MountedService::new(app, counts);
        Ok(Mounted { service, running })
    }
}

/// A server within an application's own, see [`Server::mount`].
pub struct Mounted {
    /// It, as a tower service.
    pub service: MountedService,
    /// A handle to it. It listens nowhere, so it has no addresses; its connections are the
    /// requests and streams under way. Dropped, every stream is cut, and what the service is
    /// asked it refuses.
    pub running: Running,
}

/// Where they listen, with the ports that they got.
fn bound(listeners: &[TcpListener]) -> io::Result<Vec<SocketAddr>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}

/// Everything but the sockets: what connections share, and the tasks that drive
/// the hub.
pub(crate) fn app(
    config: Config,
    parts: Parts,
    stop: watch::Receiver<Stage>,
) -> io::Result<(Arc<App>, Vec<JoinHandle<()>>)> {
    let Parts {
        broker,
        loader,
        mut hosts,
        application,
        routes,
        paths,
        on_refused,
    } = parts;
    let application = application
        .ready()
        .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
    let auth = Auth::new(&config)?;
    let core = config.to_core();
    let clock = Arc::new(SystemClock::new());
    let rooms = rooms(&config, &application);
    let door = Door::new(core.namespaces.with_rooms(rooms));
    door.set_keys(config.access.api_keys.keys());
    let (epoch, seed) = (Epoch(random()?), random()?);
    let broker = broker.unwrap_or_else(|| {
        let (door, clock) = (door.clone(), clock.clone());
        Arc::new(MemoryBroker::new(&core.limits, door, clock, epoch, seed))
    });
    let hub_config = HubConfig {
        limits: core.limits,
        shards: shards(&config),
        seed: random()?,
    };
    let pids = Arc::new(Pids::new(secret()?));
    let encoders = encoders(
        (config.sse.retry_min, config.sse.retry_max),
        (config.sse.drain_retry_min, config.sse.drain_retry_max),
        config.ws.deflate_threshold,
        pids.clone(),
    );
    let (hub, shards) = Hub::new(hub_config, broker, clock.clone(), Arc::new(Tokio), encoders);
    let mut drivers = vec![tokio::spawn(drive_feed(hub.clone()))];
    for shard in shards {
        drivers.push(tokio::spawn(drive_shard(shard, clock.clone())));
    }
    let reload = Arc::new(Reload::new(loader));
    auth.fetch(&mut reload.fetching.lock());
    let spaces = Spaces::new(hub.clone(), door.clone(), application);
    let socketio = SocketIo::new(spaces.clone(), pids, &config.socketio);
    hosts.push((config.socketio.path.clone(), Arc::new(socketio)));
    let mut above = http::Extensions::new();
    above.insert(Serving::at(hosts));
    if !paths.is_empty() {
        above.insert(paths);
    }
    if let Some(routes) = routes {
        above.insert(routes);
    }
    let app = Arc::new(App {
        auth: Live::new(auth),
        rates: Rates::new(&config.rates),
        metrics: Metrics::default(),
        on_refused,
        access: Live::new(access::Rules::of(&config)),
        reload,
        page: Page::new(),
        above,
        spaces,
        hub,
        stop,
        door,
        clock,
        config: Live::new(config),
    });
    drivers.push(tokio::spawn(drain(app.clone())));
    Ok((app, drivers))
}

fn shards(config: &Config) -> usize {
    match config.limits.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        chosen => chosen,
    }
}

fn counts(config: &Config) -> Arc<Counts> {
    let wanted = config.limits.connections;
    let fits = fit_descriptors(wanted);
    if fits < wanted {
        tracing::warn!(
            wanted,
            fits,
            "the descriptor limit holds fewer connections; raise it with 'ulimit -Hn'"
        );
    }
    Counts::new(fits, config.limits.connections_per_ip)
}

/// A server that is there, and listens nowhere yet.
fn listening_nowhere(
    app: &Arc<App>,
    stop: watch::Sender<Stage>,
    drivers: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
) -> Running {
    // It is set once, here.
    let _ = app.reload.counts.set(counts.clone());
    Running {
        addresses: Vec::new(),
        secured: 0,
        admin_addresses: Vec::new(),
        operators_doors: Vec::new(),
        self_signed: None,
        hub: app.hub.clone(),
        reload: app.reload.clone(),
        renew: renewing(app.clone()),
        spaces: app.spaces.clone(),
        stop,
        doors: Vec::new(),
        drivers,
        counts,
        window: app.config.listen.drain_window,
        grace: app.config.listen.shutdown_grace,
    }
}

fn renewing(app: Arc<App>) -> Renew {
    Arc::new(move |config| match config {
        Some(config) => renew::apply(&app, config),
        None => renew::again(&app),
    })
}
