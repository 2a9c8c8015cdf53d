//! `socketio-app PORT`: an application for tests with other people's Socket.IO
//! clients. Nobody configured it, so local programs may do everything and its rooms
//! are public; `FANWIRE_RECOVERY_MS` and `FANWIRE_PING_MS` shorten what the tests
//! wait for.
//!
//! | namespace | |
//! |---|---|
//! | `/` | everything below, recovered |
//! | `/plain` | the same, not recovered |
//! | `/room-*` | the same, by pattern |
//! | `/brief` | the same, two messages of history per channel |
//! | `/bare` | no code: `client_events = "publish:lobby"` |
//!
//! | event | what is done |
//! |---|---|
//! | `echo` … | acknowledged with the same |
//! | `back` … | `back` is emitted with the same |
//! | `silent` | never acknowledged |
//! | `join` R, `leave` R, `rooms` | |
//! | `say` R, X | `said` X to the room, but to oneself |
//! | `tell` R, X | `told` X to the room |
//! | `tell-bytes` R, B | the same with bytes |
//! | `all` X | `all` X to everyone |
//! | `flash` X | `flash` X, volatile, to everyone |
//! | `ask` X | `question` X is asked of this client; acknowledged with its answer |
//! | `ask-all` X | of everyone; acknowledged with how many answered, and how many not |
//! | `whoami` | id, whether it was recovered, its rooms, its name |
//! | `kick`, `hang-up`, `panic`, `refuse` | |
//! | `reasons` | why sockets have gone so far |
//! | `reasons-of` N | those of this namespace |
//!
//! At `/engine.io/` an Engine.IO session's messages are said back.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fanwire::config::{ClientEvents, NamedRules};
use fanwire::{Application, Args, Auth, Config, ConnectRefusal, Handlers, Json, Reason};
use fanwire::{Rejected, Running, Socket, Target};
use serde_json::json;

/// Why sockets have gone, each with its namespace.
type Reasons = Arc<Mutex<Vec<(String, String)>>>;

/// How long clients may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("socketio-app PORT: an application for tests; port 0 takes a free one");
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
            eprintln!("socketio-app: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ms(variable: &str) -> Option<Duration> {
    let value = std::env::var(variable).ok()?;
    value.parse().ok().map(Duration::from_millis)
}

async fn serve(port: u16) -> std::io::Result<Running> {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], port))];
    config.listen.drain_window = Duration::ZERO;
    if let Some(window) = ms("FANWIRE_RECOVERY_MS") {
        config.socketio.recovery = window;
    }
    if let Some(ping) = ms("FANWIRE_PING_MS") {
        config.socketio.ping_interval = ping;
        config.socketio.ping_timeout = ping;
    }
    let plain = NamedRules {
        recovery: Some(false),
        ..NamedRules::default()
    };
    let lobby = fanwire_core::key::Name::new("lobby").map_err(std::io::Error::other)?;
    let bare = NamedRules {
        socketio: Some(true),
        client_events: Some(ClientEvents::Publish(lobby)),
        ..NamedRules::default()
    };
    let brief = NamedRules {
        history_messages: Some(2),
        ..NamedRules::default()
    };
    config.namespaces.by_name.insert("plain".to_owned(), plain);
    config.namespaces.by_name.insert("brief".to_owned(), brief);
    config.namespaces.by_name.insert("bare".to_owned(), bare);
    let reasons = Reasons::default();
    let mut application = Application::new();
    for name in ["/", "/plain", "/brief", "/room-*"] {
        let reasons = reasons.clone();
        application = application
            .namespace(name, |namespace| serve_namespace(namespace, &reasons))
            .map_err(std::io::Error::other)?;
    }
    let server = fanwire::Server::new(config).map_err(std::io::Error::other)?;
    let server = server.engine_echo("/engine.io/");
    server.application(application).start().await
}

fn serve_namespace(namespace: &mut Handlers, reasons: &Reasons) {
    namespace.on_connect(|socket: Socket, auth: Auth| async move {
        if let Some(why) = auth.get::<String>("refuse") {
            return Err(ConnectRefusal::new(why).with(json!({ "code": "told-so" })));
        }
        if let Some(name) = auth.get::<String>("name") {
            socket.set(name);
        }
        match auth.get::<String>("room") {
            Some(room) => socket.join(&room).map_err(|why| (&why).into()),
            None => Ok(()),
        }
    });
    let gone = reasons.clone();
    namespace.on_disconnect(move |socket: Socket, Reason(reason): Reason| {
        locked(&gone).push((socket.namespace(), reason.to_owned()));
        async {}
    });
    let gone = reasons.clone();
    namespace.on("reasons", move || {
        let all: Vec<String> = locked(&gone).iter().map(|one| one.1.clone()).collect();
        async move { Json(all) }
    });
    let gone = reasons.clone();
    namespace.on("reasons-of", move |asked: String| {
        let all = locked(&gone).clone();
        let those = all.into_iter().filter(|(namespace, _)| *namespace == asked);
        let those: Vec<String> = those.map(|(_, reason)| reason).collect();
        async move { Json(those) }
    });
    talk(namespace);
    ask(namespace);
    namespace.on("whoami", |socket: Socket, ()| async move {
        json!({
            "id": socket.id().as_str(),
            "recovered": socket.recovered(),
            "rooms": socket.rooms(),
            "name": socket.get::<String>().as_deref(),
        })
    });
    namespace.on("kick", |socket: Socket, ()| async move {
        let _ = socket.emit("bye", ()).await;
        socket.disconnect();
    });
    namespace.on(
        "hang-up",
        |socket: Socket, ()| async move { socket.close() },
    );
    namespace.on("panic", |args: Args| async move {
        assert!(!args.is_empty(), "as was asked for");
    });
    namespace.on("refuse", || async {
        Err::<(), _>(Rejected::new("no", "as was asked for"))
    });
}

fn locked(reasons: &Reasons) -> MutexGuard<'_, Vec<(String, String)>> {
    reasons.lock().unwrap_or_else(PoisonError::into_inner)
}

fn talk(namespace: &mut Handlers) {
    namespace.on("echo", |args: Args| async move { args });
    namespace.on("back", |socket: Socket, args: Args| async move {
        socket.emit("back", args).await?;
        Ok::<_, Rejected>(())
    });
    namespace.on("silent", || async move { None::<Args> });
    namespace.on("join", |socket: Socket, room: String| async move {
        socket.join(&room)?;
        Ok::<_, Rejected>(())
    });
    namespace.on("leave", |socket: Socket, room: String| async move {
        socket.leave(&room);
    });
    namespace.on(
        "rooms",
        |socket: Socket, ()| async move { Json(socket.rooms()) },
    );
    namespace.on(
        "say",
        |socket: Socket, (room, what): (String, Json<serde_json::Value>)| async move {
            socket.to(room).emit("said", what).await?;
            Ok::<_, Rejected>(())
        },
    );
    namespace.on(
        "tell",
        |socket: Socket, (room, what): (String, Json<serde_json::Value>)| async move {
            socket
                .io()
                .to(Target::Room(room))
                .emit("told", what)
                .await?;
            Ok::<_, Rejected>(())
        },
    );
    namespace.on(
        "tell-bytes",
        |socket: Socket, (room, what): (String, Bytes)| async move {
            socket.io().to(room).emit("told", what).await?;
            Ok::<_, Rejected>(())
        },
    );
    namespace.on(
        "all",
        |socket: Socket, what: Json<serde_json::Value>| async move {
            socket.io().emit("all", what).await?;
            Ok::<_, Rejected>(())
        },
    );
    namespace.on(
        "flash",
        |socket: Socket, what: Json<serde_json::Value>| async move {
            socket.io().volatile().emit("flash", what).await?;
            Ok::<_, Rejected>(())
        },
    );
}

fn ask(namespace: &mut Handlers) {
    namespace.on("ask", |socket: Socket, args: Args| async move {
        let answer = socket.emit_with_ack("question", args, PATIENCE).await;
        answer.map_err(|why| Rejected::new("unanswered", why.to_string()))
    });
    namespace.on("ask-all", |socket: Socket, args: Args| async move {
        let answers = socket
            .io()
            .emit_with_ack("question", args, PATIENCE)
            .await?;
        let answered = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
        Ok::<_, Rejected>(json!({
            "answered": answered,
            "silent": answers.len() - answered,
        }))
    });
}
