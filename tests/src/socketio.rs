//! A client of Socket.IO, by hand, and an application to talk to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanwire::{Application, Args, Auth, ConnectRefusal, Json, Reason, Rejected, Socket, Target};
use serde_json::{Value, json};

use crate::engineio::{ended, open_ws, text};
use crate::wait::within;
use crate::ws::{Ws, frame};

/// Where it is served.
pub const PATH: &str = "/socket.io/";

/// What an offset begins with.
const OFFSET: &str = ",\"fw~";

/// A session over WebSocket.
pub struct Client {
    /// Its connection.
    pub ws: Ws,
    /// The secret name of its session.
    pub sid: String,
    /// The last offset that came.
    pub offset: Option<String>,
}

/// What a namespace said to a client that came in.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The socket's public name.
    pub sid: String,
    /// Its secret one, where it can be recovered.
    pub pid: Option<String>,
}

impl Client {
    /// Opens a session.
    pub async fn open(to: SocketAddr) -> Self {
        let (ws, open) = open_ws(to, PATH).await;
        Self {
            ws,
            sid: open["sid"].as_str().unwrap_or_default().to_owned(),
            offset: None,
        }
    }

    /// The same, in a namespace (`/`, `/chat`).
    pub async fn join(to: SocketAddr, namespace: &str, auth: Value) -> (Self, Joined) {
        let mut client = Self::open(to).await;
        let joined = client.connect(namespace, auth).await;
        (client, joined)
    }

    /// Comes into a namespace.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn connect(&mut self, namespace: &str, auth: Value) -> Joined {
        let reply = self.try_connect(namespace, auth).await;
        let head = format!("40{}", head(namespace));
        let Some(json) = reply.strip_prefix(&head) else {
            panic!("not let in: {reply}");
        };
        let json: Value = serde_json::from_str(json).unwrap_or_default();
        Joined {
            sid: json["sid"].as_str().unwrap_or_default().to_owned(),
            pid: json["pid"].as_str().map(str::to_owned),
        }
    }

    /// Asks to come in; what is said first.
    pub async fn try_connect(&mut self, namespace: &str, auth: Value) -> String {
        let auth = match auth {
            Value::Null => String::new(),
            auth => auth.to_string(),
        };
        self.say(&format!("40{}{auth}", head(namespace))).await;
        self.hear().await
    }

    /// Sends a packet.
    pub async fn say(&mut self, packet: &str) {
        // Where the server has closed, what is read next tells.
        let _ = self.ws.wire.send(&frame(0x81, packet.as_bytes())).await;
    }

    /// The next text packet that is no ping; its offset is noted and cut out.
    pub async fn hear(&mut self) -> String {
        loop {
            let packet = within("a packet", text(&mut self.ws)).await;
            if packet == "2" {
                self.say("3").await;
                continue;
            }
            let Some((before, rest)) = packet.rsplit_once(OFFSET) else {
                return packet;
            };
            let (offset, end) = rest.split_once('"').unwrap_or_default();
            self.offset = Some(format!("fw~{offset}"));
            return format!("{before}{end}");
        }
    }

    /// Sends a packet and hears the next.
    pub async fn ask(&mut self, packet: &str) -> String {
        self.say(packet).await;
        self.hear().await
    }

    /// The next binary packet.
    ///
    /// # Panics
    /// Where something else comes.
    pub async fn hear_binary(&mut self) -> Vec<u8> {
        match within("bytes", self.ws.frame()).await {
            Ok(frame) if frame.opcode == 2 => frame.payload,
            other => panic!("no bytes: {other:?}"),
        }
    }

    /// Says one thing more and goes: by its own end, where that is none.
    pub async fn ends_by(mut self, packet: &str) {
        self.say(packet).await;
        if packet.starts_with("45") {
            self.vanish();
        } else {
            self.ends().await;
        }
    }

    /// Waits until the session has ended.
    pub async fn ends(mut self) {
        within("the session to end", ended(&mut self.ws)).await;
    }

    /// Goes without a word.
    pub fn vanish(self) {}

    /// What a stock client shows when it comes back.
    pub fn back(&self, joined: &Joined) -> Value {
        json!({"pid": joined.pid, "offset": self.offset})
    }
}

fn head(namespace: &str) -> String {
    match namespace {
        "/" => String::new(),
        namespace => format!("{namespace},"),
    }
}

/// Why sockets went, in the order in which code was told.
#[derive(Clone, Default)]
pub struct Reasons(Arc<Mutex<Vec<&'static str>>>);

impl Reasons {
    /// So far.
    pub fn all(&self) -> Vec<&'static str> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for so many.
    pub async fn wait(&self, count: usize) -> Vec<&'static str> {
        crate::wait::until("sockets to go", || {
            Some(self.all()).filter(|all| all.len() >= count)
        })
        .await
    }
}

/// Code for the namespaces `/` and `/room-*`.
///
/// # Panics
/// Never: the names are good.
pub fn application(reasons: &Reasons) -> Application {
    ["/", "/room-*"]
        .into_iter()
        .try_fold(Application::new(), |all, name| {
            all.namespace(name, |namespace| handlers(namespace, reasons))
        })
        .unwrap_or_else(|why| panic!("{why}"))
}

fn handlers(namespace: &mut fanwire::Handlers, reasons: &Reasons) {
    let gone = reasons.clone();
    namespace
        .on_connect(|socket: Socket, auth: Auth| async move {
            if let Some(why) = auth.get::<String>("refuse") {
                return Err(ConnectRefusal::new(why).with(json!({"code": "told-so"})));
            }
            match auth.get::<String>("room") {
                Some(room) => socket.join(&room).map_err(|why| (&why).into()),
                None => Ok(()),
            }
        })
        .on_disconnect(move |Reason(reason): Reason| {
            let mut all = gone.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(reason);
            async {}
        })
        .on("echo", |args: Args| async move { args })
        .on("back", |socket: Socket, args: Args| async move {
            socket.emit("back", args).await?;
            Ok::<_, Rejected>(())
        })
        .on("join", |socket: Socket, room: String| async move {
            socket.join(&room)?;
            Ok::<_, Rejected>(())
        })
        .on(
            "say",
            |socket: Socket, (room, what): (String, u32)| async move {
                socket.to(room).emit("said", what).await?;
                Ok::<_, Rejected>(())
            },
        )
        .on(
            "tell",
            |socket: Socket, (room, what): (String, u32)| async move {
                let to = socket.io().to(Target::Room(room));
                to.emit("told", what).await?;
                Ok::<_, Rejected>(())
            },
        )
        .on("flash", |socket: Socket, what: String| async move {
            socket.io().volatile().emit("flash", what).await?;
            Ok::<_, Rejected>(())
        })
        .on("ask", |socket: Socket, ms: u32| async move {
            let time = Duration::from_millis(ms.into());
            let answer = socket.emit_with_ack("question", (), time).await;
            answer.map_err(|why| Rejected::new("unanswered", why.to_string()))
        })
        .on("ask-all", |socket: Socket, ms: u32| async move {
            let time = Duration::from_millis(ms.into());
            let answers = socket.io().emit_with_ack("question", (), time).await?;
            let answered = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
            Ok::<_, Rejected>(Json((answered, answers.len())))
        })
        .on("whoami", |socket: Socket, ()| async move {
            Json((
                socket.id().as_str().to_owned(),
                socket.recovered(),
                socket.rooms(),
            ))
        })
        .on("kick", |socket: Socket, ()| async move {
            let _ = socket.emit("bye", ()).await;
            socket.disconnect();
        })
        .on("panic", |args: Args| async move {
            assert!(!args.is_empty(), "as was asked for");
        });
}
