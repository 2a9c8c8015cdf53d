//! `conformance-socketio PORT`: what suites for Engine.IO and Socket.IO ask of a
//! server. Engine.IO echoes at `/engine.io/`; Socket.IO speaks at `/socket.io/` in
//! the namespaces `/` and `/custom`, where `auth` says back what was shown,
//! `message` what was said, and `message-with-ack` answers in the acknowledgement.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use fanwire::{Application, Args, Auth, Config, Handlers, Running, Socket};

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("conformance-socketio PORT: for suites that test Engine.IO and Socket.IO");
        return ExitCode::from(2);
    };
    let served = tokio::runtime::Runtime::new().and_then(|runtime| {
        runtime.block_on(async {
            let running = serve(port).await?;
            println!("http://{}/", running.addr());
            std::future::pending::<std::io::Result<()>>().await
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance-socketio: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16) -> std::io::Result<Running> {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], port))];
    config.access.open = true;
    config.access.allow_origins = vec!["*".to_owned()];
    config.rules.recovery = false;
    config.socketio.ping_interval = Duration::from_millis(300);
    config.socketio.ping_timeout = Duration::from_millis(200);
    config.socketio.connect_timeout = Duration::from_millis(1000);
    let application = Application::new()
        .namespace("/", |root| {
            shown(root);
            root.on("message", |socket: Socket, args: Args| async move {
                let _ = socket.emit("message-back", args).await;
                None::<Args>
            });
            root.on("message-with-ack", |args: Args| async move { args });
        })
        .and_then(|all| all.namespace("/custom", shown))
        .map_err(std::io::Error::other)?;
    let server = fanwire::Server::new(config).map_err(std::io::Error::other)?;
    let server = server.engine_echo("/engine.io/").application(application);
    server.start().await
}

/// What was shown comes back.
fn shown(namespace: &mut Handlers) {
    namespace.on_connect(|socket: Socket, auth: Auth| async move {
        let json: serde_json::Value = auth.parse().unwrap_or_default();
        socket.set(json);
        Ok(())
    });
    namespace.on_connected(|socket: Socket| async move {
        if let Some(json) = socket.get::<serde_json::Value>() {
            let _ = socket.emit("auth", (*json).clone()).await;
        }
    });
}
