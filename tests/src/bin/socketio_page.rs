//! `socketio-page ORIGIN`: the application that `tests/conformance/clients/shared/
//! socket_io.mjs` describes, for pages of that origin. It is three servers, since each
//! has one path; when all listen it prints `PATH http://127.0.0.1:PORT` of each.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fanwire::{
    Application, Args, Auth, Config, ConnectRefusal, Handlers, Reason, Rejected, Running, Socket,
};
use serde_json::{Map, Value, json};

/// How long clients may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who is let into `/guarded`.
const TOKEN: &str = "open sesame";

/// What a socket showed as it came in.
struct Shown(Value);
/// The room that is told of a socket's end.
struct Watched(String);
/// How often `third-time` was asked.
#[derive(Default)]
struct Asked(AtomicU32);

fn main() -> ExitCode {
    let Some(origin) = std::env::args().nth(1) else {
        eprintln!("socketio-page ORIGIN: an application for tests of pages");
        return ExitCode::from(2);
    };
    let served = tokio::runtime::Runtime::new().and_then(|runtime| {
        runtime.block_on(async {
            let mut all = Vec::new();
            for path in ["/socket.io/", "/impatient/", "/recovering/"] {
                let running = serve(path, &origin).await?;
                println!("{path} http://{}", running.addr());
                all.push(running);
            }
            std::future::pending::<std::io::Result<Infallible>>().await
        })
    });
    match served {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("socketio-page: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(path: &str, origin: &str) -> std::io::Result<Running> {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.access.allow_origins = vec![origin.to_owned()];
    let settings = &mut config.socketio;
    settings.path = path.to_owned();
    settings.max_payload = 100_000;
    if path == "/impatient/" {
        settings.ping_interval = Duration::from_millis(300);
        settings.ping_timeout = Duration::from_millis(1700);
    }
    let recovers = path == "/recovering/";
    let mut application = Application::new();
    for name in ["/", "/custom", "/guarded"] {
        application = application
            .namespace(name, serve_namespace)
            .map_err(std::io::Error::other)?;
    }
    config.rules.recovery = recovers;
    let server = fanwire::Server::new(config).map_err(std::io::Error::other)?;
    server.application(application).start().await
}

fn serve_namespace(namespace: &mut Handlers) {
    namespace.on_connect(|socket: Socket, auth: Auth| async move {
        let token: Option<String> = auth.get("token");
        if socket.namespace() == "/guarded" && token.as_deref() != Some(TOKEN) {
            let data = json!({ "code": "token", "retry": [1, 2] });
            return Err(ConnectRefusal::new("not authorised").with(data));
        }
        socket.set(Shown(auth.parse().unwrap_or_default()));
        socket.set(Asked::default());
        let handshake = socket.handshake();
        let mut query = handshake.map_or_else(Map::new, |shown| members(&shown.query));
        if let Some(Value::String(room)) = query.remove("watched") {
            socket.set(Watched(room));
        }
        Ok(())
    });
    namespace.on_connected(|socket: Socket| async move {
        let shown = socket.get::<Shown>().map(|shown| shown.0.clone());
        let _ = socket.emit("auth", shown.unwrap_or_default()).await;
    });
    namespace.on_disconnect(|socket: Socket, Reason(reason): Reason| async move {
        if let Some(watched) = socket.get::<Watched>() {
            let room = socket.io().to(watched.0.as_str());
            let _ = room.emit("said", ("gone", reason)).await;
        }
    });
    talk(namespace);
    namespace.on("join", |socket: Socket, room: String| async move {
        socket.join(&room)?;
        Ok::<_, Rejected>(())
    });
    namespace.on("say", |socket: Socket, args: Args| async move {
        if let Ok((room, what)) = args.parse::<(String, String)>() {
            socket.io().to(room).emit("said", what).await?;
        } else {
            let (room, what, _) = args.parse::<(String, String, Value)>()?;
            let bytes = args.binary(2).unwrap_or_default();
            socket.io().to(room).emit("said", (what, bytes)).await?;
        }
        Ok::<_, Rejected>(())
    });
    namespace.on("about", |socket: Socket, ()| async move {
        let handshake = socket.handshake()?;
        let extra = handshake.headers.get("x-extra");
        Some(json!({
            "query": members(&handshake.query),
            "extra": extra.and_then(|value| value.to_str().ok()),
            "transport": socket.transport(),
        }))
    });
    namespace.on("leave", |socket: Socket, ()| async move {
        socket.disconnect();
    });
    namespace.on("drop", |socket: Socket, ()| async move { socket.close() });
}

fn talk(namespace: &mut Handlers) {
    namespace.on("message", |socket: Socket, args: Args| async move {
        socket.emit("message-back", args).await?;
        Ok::<_, Rejected>(())
    });
    namespace.on("message-with-ack", |args: Args| async move { args });
    namespace.on("ask", |socket: Socket, args: Args| async move {
        let answer = socket.emit_with_ack("question", args, PATIENCE).await;
        let answer = answer.map_err(|why| Rejected::new("unanswered", why.to_string()))?;
        socket.emit("answered", answer).await?;
        Ok::<_, Rejected>(())
    });
    namespace.on("never", || async { None::<Args> });
    namespace.on("third-time", |socket: Socket, ()| async move {
        let asked = socket.get::<Asked>()?;
        let times = asked.0.fetch_add(1, Ordering::Relaxed) + 1;
        (times >= 3).then_some(3)
    });
}

/// A query's members, decoded.
fn members(query: &str) -> Map<String, Value> {
    let members = query.split('&').filter(|member| !member.is_empty());
    members
        .map(|member| {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            (decoded(name), Value::String(decoded(value)))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let byte = piece.get(..2).map(|hex| u8::from_str_radix(hex, 16));
        match byte {
            Some(Ok(byte)) => {
                bytes.push(byte);
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            _ => bytes.extend_from_slice(format!("%{piece}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
