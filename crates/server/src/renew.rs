//! Other settings for a server that runs, without dropping a connection.

use crate::access;
use crate::app::App;
use crate::config::{Config, Problem, Problems};
use crate::handlers::rooms;
use crate::reload::{Reloaded, differing, kept};

/// Reads the configuration again and puts it in force.
///
/// # Errors
/// Everything that is wrong with it; then nothing changed.
pub(crate) fn again(app: &App) -> Result<Reloaded, Problems> {
    let Some(loader) = &app.reload.loader else {
        return Err(wrong(
            "this server was started without anything to read again",
        ));
    };
    match loader() {
        Ok(wanted) => apply(app, wanted),
        Err(problems) => {
            app.metrics.reloads(false);
            Err(problems)
        }
    }
}

/// Puts `wanted` in force, as far as a running server can.
///
/// # Errors
/// As [`again`].
pub(crate) fn apply(app: &App, wanted: Config) -> Result<Reloaded, Problems> {
    let result = put_in_force(app, wanted);
    app.metrics.reloads(result.is_ok());
    result
}

fn put_in_force(app: &App, wanted: Config) -> Result<Reloaded, Problems> {
    let _one = app.reload.busy.lock();
    wanted.validate()?;
    let old: &Config = &app.config;
    let next = kept(old, wanted.clone());
    // What is wanted may hold only together with what needs a restart.
    next.validate()?;
    let changed: Vec<_> = differing(old, &next).collect();
    let needs_restart = differing(&next, &wanted).collect();
    // Files of public keys may hold others.
    if changed.is_empty() && app.auth.reads_no_files() {
        return Ok(Reloaded {
            changed,
            needs_restart,
        });
    }
    if !app.config.has_room() {
        return Err(wrong("reloaded too often; start the server anew"));
    }
    let auth = app.auth.renewed(&next);
    let auth = auth.map_err(|why| wrong(why.to_string()))?;
    auth.fetch(&mut app.reload.fetching.lock());
    app.auth.replace(auth);
    app.access.replace(access::Rules::of(&next));
    app.rates.set(&next.rates);
    if let Some(counts) = app.reload.counts.get() {
        counts.set(next.limits.connections, next.limits.connections_per_ip);
    }
    app.door.set_keys(next.access.api_keys.keys());
    let rooms = rooms(&next, app.spaces.application());
    app.door
        .replace(next.to_core().namespaces.with_rooms(rooms));
    app.config.replace(next);
    // Whoever may no longer is let go.
    app.hub.recheck();
    app.spaces
        .everyone()
        .iter()
        .for_each(|socket| socket.recheck());
    Ok(Reloaded {
        changed,
        needs_restart,
    })
}

fn wrong(why: impl Into<String>) -> Problems {
    Problems(vec![Problem::new("", why)])
}
