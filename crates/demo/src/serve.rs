//! All demos on one server.

use std::net::SocketAddr;
use std::time::Duration;

use fanwire::{Application, Config, Running, Server};

use crate::dashboard::{self, Dashboard};
use crate::demo::Demo;
use crate::log_tail::LogTail;
use crate::timings::Timings;
use crate::{chat, events, game, long_polling, one_order, pages, ticker, web_socket};

/// In the order of the index.
const DEMOS: &[&Demo] = &[
    &one_order::DEMO,
    &long_polling::DEMO,
    &events::DEMO,
    &chat::DEMO,
    &web_socket::DEMO,
    &game::DEMO,
    &dashboard::DEMO,
    &ticker::DEMO,
];

/// Connections at once: what every system holds, whose limit is 4,096 descriptors or more.
const CONNECTIONS: usize = 3_500;

/// Where the demos are served.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Every one of them gives the same; the first is for people.
    pub addresses: Vec<SocketAddr>,
    /// How long things take.
    pub timings: Timings,
    /// What the dashboard shows of the log: a layer of the program's subscriber of
    /// `tracing`, or nothing where it is none.
    pub log: LogTail,
}

/// Starts them.
///
/// # Errors
/// An address that cannot be listened on.
pub async fn start(options: Options) -> Result<Running, Box<dyn std::error::Error + Send + Sync>> {
    let timings = options.timings;
    let dashboard = Dashboard::new(&timings, options.log.clone());
    let config = config(options);
    let application = chat::serve(Application::new(), timings.absence)?;
    let application = web_socket::serve(application)?;
    let application = game::serve(application, timings.pace)?;
    let routes = pages::routes(DEMOS)
        .merge(long_polling::routes(timings.patience))
        .merge(events::routes(timings))
        .merge(dashboard.routes())
        .merge(ticker::routes(timings));
    let server = Server::new(config)?.application(application).routes(routes);
    let server = web_socket::mount(server)?;
    let running = server.start().await?;
    dashboard.measure(running.figures(), timings.figures);
    Ok(running)
}

fn config(options: Options) -> Config {
    let mut config = Config::default();
    let namespaces = &mut config.namespaces.by_name;
    namespaces.insert(one_order::NAMESPACE.to_owned(), one_order::rules());
    web_socket::configure(&mut config, options.timings.ping);
    game::configure(&mut config);
    config.listen.addresses = options.addresses;
    // They all come from one machine.
    config.limits.connections = CONNECTIONS;
    config.limits.connections_per_ip = CONNECTIONS;
    // Whoever writes a page of their own for these servers may open it from anywhere.
    config.access.open = true;
    config.access.allow_origins = vec!["*".to_owned()];
    // A page and its streams go together: nothing here is worth waiting for.
    config.listen.drain_window = Duration::ZERO;
    config
}
