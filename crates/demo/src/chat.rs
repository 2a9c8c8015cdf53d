//! A chat over Socket.IO, for stock clients: `io("http://localhost:3000")`.
//!
//! | a client sends | who hears what |
//! |---|---|
//! | `register(username)` | all: `user-joined({username, totalUsers})` |
//! | `chat-message(text)` | all: `chat-message({username, message, timestamp})` |
//! | `typing`, `stop-typing` | the others: `user-typing(username)`, `user-stop-typing(username)` |
//! | `private-message({to, message})` | the one of that name: `private-message({from, message})` |
//! | nothing any more | the others: `user-left({username, totalUsers})` |
//!
//! What cannot be done is answered with `{code, message}`: as the acknowledgement where
//! the client asked for one, else as the event `$error`. It disturbs nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanwire::{
    Application, Call, Extract, Io, Json, Needs, Reason, Rejected, Socket, SocketId, State,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use crate::demo::Demo;
use crate::time::now_iso;

pub(crate) const DEMO: Demo = Demo {
    name: "chat",
    title: "Chat",
    shows: "A chat room with private messages, over Socket.IO with its stock client. Who loses \
            the connection for a moment has not left and misses nothing.",
    by: "Socket.IO at /",
    body: include_str!("assets/chat.html"),
    script: include_str!("assets/chat.js"),
    source: &[("chat.rs", include_str!("chat.rs"))],
};

/// Longest name, in characters.
const LONGEST_NAME: usize = 32;
/// Longest message, in bytes.
const LONGEST: usize = 4000;
/// People at once.
const MOST: usize = 1000;

/// Who is here.
struct Room {
    /// By their names in lower case: there is one `Ann` only.
    users: Mutex<HashMap<String, User>>,
    /// How long one may be away without having left.
    absence: Duration,
}

struct User {
    name: String,
    socket: SocketId,
    /// Says that they have left, unless they come back before.
    leaving: Option<AbortHandle>,
}

/// Kept with the socket: the key of its user. It is there again when its client comes
/// back.
struct Registered(String);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Count<'a> {
    username: &'a str,
    total_users: usize,
}

#[derive(Serialize)]
struct Said<'a> {
    username: &'a str,
    message: &'a str,
    timestamp: String,
}

#[derive(Deserialize)]
struct Whisper {
    to: String,
    message: String,
}

/// Adds the chat to the namespace `/`.
///
/// # Errors
/// None: the namespace's name is good.
pub(crate) fn serve(
    application: Application,
    absence: Duration,
) -> Result<Application, Box<dyn std::error::Error + Send + Sync>> {
    let room = Arc::new(Room {
        users: Mutex::default(),
        absence,
    });
    let application = application.state(room).namespace("/", |chat| {
        chat.on("register", register);
        chat.on("chat-message", say);
        chat.on("typing", async |socket: Socket, Me(name): Me| {
            socket.broadcast().emit("user-typing", name).await
        });
        chat.on("stop-typing", async |socket: Socket, Me(name): Me| {
            socket.broadcast().emit("user-stop-typing", name).await
        });
        chat.on("private-message", whisper);
        chat.on_connected(comes_back);
        chat.on_disconnect(goes);
    })?;
    Ok(application)
}

/// Answers with the names of all who are here.
async fn register(
    State(room): State<Arc<Room>>,
    socket: Socket,
    name: String,
) -> Result<Json<Vec<String>>, Rejected> {
    let name = name.trim();
    let fits = (1..=LONGEST_NAME).contains(&name.chars().count());
    if !fits || name.chars().any(char::is_control) {
        let why = format!("a name has 1 to {LONGEST_NAME} characters");
        return Err(Rejected::new("invalid_name", why));
    }
    // Whoever sends an event without Socket.IO, with a POST, is not here to stay.
    if socket.transport().is_none() {
        let why = "the chat is for clients of Socket.IO";
        return Err(Rejected::new("forbidden", why));
    }
    // Held while it is told: everyone hears of people in the order in which they count.
    let mut users = room.users.lock().await;
    if let Some(user) = of(&users, &socket) {
        return match user.name == name {
            true => Ok(Json(names(&users))),
            false => Err(Rejected::new("registered", "you have a name already")),
        };
    }
    let key = name.to_lowercase();
    match users.get(&key) {
        // One who is away loses the name to one who is here.
        Some(user) if user.leaving.is_some() => {
            let away = users.remove(&key);
            left(&users, away, &socket.io()).await;
        }
        Some(_) => return Err(Rejected::new("taken", "somebody has that name already")),
        None if users.len() >= MOST => {
            return Err(Rejected::new("full", "too many people are here"));
        }
        None => {}
    }
    let user = User {
        name: name.to_owned(),
        socket: socket.id().clone(),
        leaving: None,
    };
    users.insert(key.clone(), user);
    socket.set(Registered(key));
    tracing::info!(name, people = users.len(), "somebody came to the chat");
    let came = Count {
        username: name,
        total_users: users.len(),
    };
    socket.io().emit("user-joined", Json(came)).await?;
    Ok(Json(names(&users)))
}

async fn say(Me(username): Me, io: Io, text: String) -> Result<(), Rejected> {
    let said = Said {
        username: &username,
        message: checked(&text)?,
        timestamp: now_iso(),
    };
    Ok(io.emit("chat-message", Json(said)).await?)
}

async fn whisper(
    State(room): State<Arc<Room>>,
    Me(from): Me,
    io: Io,
    Json(Whisper { to, message }): Json<Whisper>,
) -> Result<(), Rejected> {
    let message = checked(&message)?;
    let to = {
        let users = room.users.lock().await;
        let user = users.get(&to.trim().to_lowercase());
        user.map(|user| user.socket.clone())
    };
    let to = to.ok_or_else(|| Rejected::new("unknown_user", "nobody here has that name"))?;
    let told = serde_json::json!({ "from": from, "message": message });
    Ok(io.to(to).emit("private-message", told).await?)
}

/// A client is in. One that was away is a user still: it has its socket's id again.
async fn comes_back(State(room): State<Arc<Room>>, socket: Socket) {
    let mut users = room.users.lock().await;
    let user = key_of(&users, &socket).and_then(|key| users.get_mut(&key));
    if let Some(leaving) = user.and_then(|user| user.leaving.take()) {
        leaving.abort();
    }
}

/// A connection is gone. Who said so has left; who did not may come back.
async fn goes(State(room): State<Arc<Room>>, socket: Socket, Reason(reason): Reason) {
    let mut users = room.users.lock().await;
    let Some(key) = key_of(&users, &socket) else {
        return;
    };
    let io = socket.io();
    // Back already, on another connection.
    if io.socket(socket.id()).is_some() {
        return;
    }
    if reason.ends_with("namespace disconnect") {
        let user = users.remove(&key);
        return left(&users, user, &io).await;
    }
    let later = room.clone();
    let leaving = tokio::spawn(async move {
        tokio::time::sleep(later.absence).await;
        let mut users = later.users.lock().await;
        let away = key_of(&users, &socket).and_then(|key| users.remove(&key));
        left(&users, away, &io).await;
    });
    if let Some(user) = users.get_mut(&key) {
        user.leaving = Some(leaving.abort_handle());
    }
}

/// The name of whoever sent an event: a parameter of handlers for those who have one.
struct Me(String);

impl Extract<Call> for Me {
    async fn extract(from: &mut Call) -> Result<Self, Rejected> {
        let State(room) = State::<Arc<Room>>::extract(from).await?;
        let users = room.users.lock().await;
        let name = of(&users, from.socket()).map(|user| user.name.clone());
        let why = "say who you are with `register` first";
        name.map(Self)
            .ok_or_else(|| Rejected::new("not_registered", why))
    }

    fn needs(needs: &mut Needs) {
        <State<Arc<Room>> as Extract<Call>>::needs(needs);
    }
}

/// The user of a socket.
fn of<'a>(users: &'a HashMap<String, User>, socket: &Socket) -> Option<&'a User> {
    let registered = socket.get::<Registered>()?;
    // The name may be somebody else's by now.
    users
        .get(&registered.0)
        .filter(|user| user.socket == *socket.id())
}

fn key_of(users: &HashMap<String, User>, socket: &Socket) -> Option<String> {
    of(users, socket)?;
    socket
        .get::<Registered>()
        .map(|registered| registered.0.clone())
}

fn names(users: &HashMap<String, User>) -> Vec<String> {
    users.values().map(|user| user.name.clone()).collect()
}

/// Tells that somebody has left.
async fn left(users: &HashMap<String, User>, user: Option<User>, io: &Io) {
    let Some(user) = user else { return };
    tracing::info!(
        name = user.name,
        people = users.len(),
        "somebody left the chat"
    );
    let left = Count {
        username: &user.name,
        total_users: users.len(),
    };
    if let Err(why) = io.emit("user-left", Json(left)).await {
        tracing::debug!(%why, "nobody was told that somebody left");
    }
}

fn checked(text: &str) -> Result<&str, Rejected> {
    if text.trim().is_empty() || text.len() > LONGEST {
        let why = format!("a message is a text of 1 to {LONGEST} bytes");
        return Err(Rejected::new("bad_request", why));
    }
    Ok(text)
}
