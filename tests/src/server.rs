//! The server under test, in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanwire::config::NamedRules;
use fanwire::{Config, Stopped};
use fanwire_core::broker::{Broker, ChaosBroker};

use crate::chaos;
use crate::http::{self, Answer};
use crate::secure::Secured;
use crate::wait::within;

/// What the server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Orders, acks and feeds apart from each other.
    pub chaos: bool,
    /// Connections are written by their own tasks instead of the shard.
    pub pull: bool,
    /// All connections speak TLS.
    pub tls: bool,
}

impl Variant {
    /// Memory broker, the shard writes.
    pub const MEMORY: Self = Self {
        chaos: false,
        pull: false,
        tls: false,
    };
    /// Memory broker, tasks write.
    pub const MEMORY_PULL: Self = Self {
        chaos: false,
        pull: true,
        tls: false,
    };
    /// Memory broker, over TLS; so tasks write.
    pub const MEMORY_TLS: Self = Self {
        chaos: false,
        pull: false,
        tls: true,
    };
    /// Chaos broker without faults, the shard writes.
    pub const CHAOS: Self = Self {
        chaos: true,
        pull: false,
        tls: false,
    };
    /// Chaos broker without faults, tasks write.
    pub const CHAOS_PULL: Self = Self {
        chaos: true,
        pull: true,
        tls: false,
    };
}

/// Where every server under test says back what Engine.IO sessions say.
pub const ECHO: &str = "/engine.io/";

/// A running server.
pub struct TestServer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What it was started with.
    pub config: Config,
    variant: Variant,
    chaos: Option<Arc<ChaosBroker>>,
    running: fanwire::Running,
    secured: Option<Secured>,
}

impl TestServer {
    /// Starts one with defaults on a free port of 127.0.0.1.
    pub async fn start(variant: Variant) -> Self {
        Self::with(variant, |_| {}).await
    }

    /// The same with some settings changed.
    pub async fn with(variant: Variant, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Self::config(variant);
        change(&mut config);
        Self::run(variant, config, None).await
    }

    /// The same with code of its own.
    pub async fn serving(
        variant: Variant,
        application: fanwire::Application,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Self::config(variant);
        change(&mut config);
        Self::run_with(variant, config, None, application).await
    }

    fn config(variant: Variant) -> Config {
        let mut config = Config::default();
        config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.debug.force_pull = variant.pull;
        config.tls.self_signed = variant.tls;
        // Tests that stop a server rarely want to watch it.
        config.listen.drain_window = Duration::ZERO;
        config
    }

    /// One of several that order and keep messages in the same place.
    pub async fn beside(
        variant: Variant,
        broker: Arc<dyn Broker>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let variant = Variant {
            chaos: false,
            ..variant
        };
        let mut config = Self::config(variant);
        change(&mut config);
        Self::run(variant, config, Some(broker)).await
    }

    async fn run(variant: Variant, config: Config, shared: Option<Arc<dyn Broker>>) -> Self {
        Self::run_with(variant, config, shared, fanwire::Application::new()).await
    }

    async fn run_with(
        variant: Variant,
        config: Config,
        shared: Option<Arc<dyn Broker>>,
        application: fanwire::Application,
    ) -> Self {
        let server = match fanwire::Server::new(config.clone()) {
            Ok(server) => server.engine_echo(ECHO).application(application),
            Err(problems) => panic!("{problems}"),
        };
        let chaos = variant.chaos.then(|| chaos::broker(&config));
        let server = match (&chaos, shared) {
            (Some(broker), _) => server.broker(broker.clone()),
            (None, Some(broker)) => server.broker(broker),
            (None, None) => server,
        };
        match within("the server to start", server.start()).await {
            Ok(running) => Self {
                secured: running.tls_addrs().first().copied().map(Secured::new),
                addr: running.addr(),
                config,
                variant,
                chaos,
                running,
            },
            Err(error) => panic!("the server does not start: {error}"),
        }
    }

    /// All addresses that it listens on.
    pub fn addrs(&self) -> &[SocketAddr] {
        self.running.addrs()
    }

    /// The first address of operators.
    ///
    /// # Panics
    /// Where it was started without one.
    pub fn operators(&self) -> SocketAddr {
        self.running.admin_addrs()[0]
    }

    /// Ends it and starts another on the same port, with an empty store.
    pub async fn restart(self) -> Self {
        let mut config = self.config.clone();
        config.listen.addresses = vec![self.addr];
        let variant = self.variant;
        within("the server to end", self.running.shutdown()).await;
        drop(self.secured);
        Self::run(variant, config, None).await
    }

    /// Ends it.
    pub async fn stop(self) -> Stopped {
        within("the server to end", self.running.shutdown()).await
    }

    /// The chaos broker, to make it fail.
    ///
    /// # Panics
    /// Where the variant has none.
    pub fn chaos(&self) -> &ChaosBroker {
        match &self.chaos {
            Some(broker) => broker,
            None => panic!("this server runs on memory"),
        }
    }

    /// Puts other settings in force while it runs.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn reload(
        &mut self,
        change: impl FnOnce(&mut Config),
    ) -> Result<fanwire::Reloaded, fanwire::config::Problems> {
        let mut config = self.config.clone();
        change(&mut config);
        let reloaded = self.running.reload_to(config.clone())?;
        self.config = config;
        Ok(reloaded)
    }

    /// A namespace, as code of the server's own has it.
    ///
    /// # Panics
    /// Where no namespace can have this name.
    pub fn io(&self, namespace: &str) -> fanwire::Io {
        match self.running.io(namespace) {
            Some(io) => io,
            None => panic!("no namespace can be called {namespace}"),
        }
    }

    /// What the hub counts.
    pub fn stats(&self) -> fanwire_core::hub::Stats {
        self.running.hub().stats()
    }

    /// Keys that anyone listens to now.
    pub fn keys(&self) -> usize {
        self.running.hub().keys()
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.running.connections()
    }

    /// Publishes text to the channels of `list` and gives the message's id.
    pub async fn publish(&self, list: &str, text: &str) -> String {
        self.post(list, &[], text.as_bytes()).await.id()
    }

    /// A POST to the channels of `list`, which may go on with a query.
    pub async fn post(&self, list: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::post(self.addr, &format!("/c/{list}"), headers, body).await
    }

    /// A GET of the channels of `list`, which may go on with a query.
    pub async fn get(&self, list: &str, headers: &[(&str, &str)]) -> Answer {
        http::get(self.addr, &format!("/c/{list}"), headers).await
    }

    /// The cursor of now.
    pub async fn now(&self, list: &str) -> String {
        crate::poll::read(&self.get(&format!("{list}?wait=0"), &[]).await).1
    }
}

/// Rules of one namespace that keeps `messages` per channel, else as default.
pub fn keep(config: &mut Config, namespace: &str, messages: usize) {
    let rules = NamedRules {
        history_messages: Some(messages),
        ..NamedRules::default()
    };
    config
        .namespaces
        .by_name
        .insert(namespace.to_owned(), rules);
}
