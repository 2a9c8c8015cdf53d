//! Private messages between people who said their names: what handlers ask for, what
//! they share, and code around all of them.
//!
//! `cargo run -p fanwire --example private_messages`

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use fanwire::{
    Application, Call, Config, Io, Json, Kept, Next, Rejected, Server, Socket, SocketId, State,
};
use parking_lot::Mutex;
use serde::Deserialize;

/// Whoever is here, shared by all handlers.
#[derive(Clone, Default)]
struct People(Arc<Mutex<HashMap<String, SocketId>>>);

/// Kept with a socket once it is known whose it is.
struct Name(String);

/// `{"to": "bob", "text": "hi"}`; anything else is refused with its place.
#[derive(Deserialize)]
struct Letter {
    to: String,
    text: String,
}

async fn register(
    socket: Socket,
    State(people): State<People>,
    before: Option<Kept<Name>>,
    name: String,
) -> Result<(), Rejected> {
    if before.is_some() {
        return Err(Rejected::new("known", "you have a name"));
    }
    if !(1..=20).contains(&name.chars().count()) {
        let sentence = "a name has 1 to 20 letters";
        return Err(Rejected::new("bad_request", sentence).at("args[0]"));
    }
    match people.0.lock().entry(name.clone()) {
        Entry::Occupied(_) => return Err(Rejected::new("taken", "somebody has this name")),
        Entry::Vacant(place) => place.insert(socket.id().clone()),
    };
    socket.set(Name(name));
    Ok(())
}

/// Not called before its sender has a name.
async fn write(
    io: Io,
    State(people): State<People>,
    Kept(name): Kept<Name>,
    Json(letter): Json<Letter>,
) -> Result<(), Rejected> {
    let to = people.0.lock().get(&letter.to).cloned();
    let to = to.ok_or_else(|| Rejected::new("nobody", "nobody has this name").at("args[0].to"))?;
    let sent = io.to(to).emit("letter", (name.0.as_str(), letter.text));
    Ok(sent.await?)
}

/// The server, to be started.
pub fn served(config: Config) -> Result<Server, Box<dyn std::error::Error>> {
    let application = Application::new()
        .state(People::default())
        .around(async |call: Call, next: Next| {
            let (event, began) = (call.event().to_owned(), Instant::now());
            let reply = next.run(call).await;
            println!("{event} took {:?}", began.elapsed());
            reply
        })
        .namespace("/", |root| {
            root.on("register", register).on("write", write);
            root.on_disconnect(async |State(people): State<People>, name: Kept<Name>| {
                people.0.lock().remove(&name.0.0);
            });
        })?;
    Ok(Server::new(config)?.application(application))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = served(Config::default())?.start().await?;
    println!("http://{}/", running.addr());
    std::future::pending().await
}
