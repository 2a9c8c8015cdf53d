//! The adapters that are built in, and those in files.

use std::path::Path;

use super::Adapter;
use crate::error::{Error, Result};

/// Those that need no file: the text of each is in the program, its servers
/// are in `crates/bench/peers`.
const BUILT_IN: &[(&str, &str)] = &[
    ("fanwire", include_str!("../../peers/fanwire/adapter.toml")),
    (
        "fanwire-guarded",
        include_str!("../../peers/fanwire-guarded/adapter.toml"),
    ),
    ("floor", include_str!("../../peers/floor/adapter.toml")),
    (
        "floor-batch",
        include_str!("../../peers/floor-batch/adapter.toml"),
    ),
    ("node", include_str!("../../peers/node/adapter.toml")),
    (
        "socketio",
        include_str!("../../peers/socketio/adapter.toml"),
    ),
    (
        "socketioxide",
        include_str!("../../peers/socketioxide/adapter.toml"),
    ),
    ("axum", include_str!("../../peers/axum/adapter.toml")),
    ("nchan", include_str!("../../peers/nchan/adapter.toml")),
    (
        "centrifugo",
        include_str!("../../peers/centrifugo/adapter.toml"),
    ),
    ("mercure", include_str!("../../peers/mercure/adapter.toml")),
    ("pushpin", include_str!("../../peers/pushpin/adapter.toml")),
    ("sockudo", include_str!("../../peers/sockudo/adapter.toml")),
    ("soketi", include_str!("../../peers/soketi/adapter.toml")),
];

/// Names of the adapters that are built in.
pub(crate) fn names() -> Vec<String> {
    BUILT_IN
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// An adapter by its name, or by the path of its file. `peers` is the folder
/// with the servers of the built-in ones.
///
/// # Errors
/// A name that is not built in, a file that does not read.
pub(crate) fn find(name: &str, peers: Option<&Path>) -> Result<Adapter> {
    let doing = |error: Error| error.doing(format_args!("adapter {name}"));
    if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        let mut adapter = Adapter::parse(text).map_err(doing)?;
        adapter.folder = peers
            .map(|peers| peers.join(name))
            .filter(|path| path.is_dir());
        return Ok(adapter);
    }
    if !name.ends_with(".toml") {
        return Err(Error::new(format_args!(
            "no adapter is called {name:?}; there are {} (or give the path of a .toml file)",
            names().join(", ")
        )));
    }
    let text = std::fs::read_to_string(name).map_err(|error| doing(error.into()))?;
    let mut adapter = Adapter::parse(&text).map_err(doing)?;
    let folder = Path::new(name)
        .parent()
        .filter(|path| !path.as_os_str().is_empty());
    adapter.folder = Some(folder.unwrap_or(Path::new(".")).to_owned());
    Ok(adapter)
}
