//! The targets, one per decoder. Each has a folder of its name in `corpus/`.

mod engineio;
mod files;
mod http;
mod native;
mod proxy;
mod request;
mod socketio;
mod sse;
pub mod ws;
mod ws_deflate;

/// One decoder under arbitrary bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What has to hold.
    pub about: &'static str,
    /// Panics where it does not.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident = $run:path, $about:literal;)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            about: $about,
            run: $run,
        },)*];
    };
}

targets! {
    ws_frames = ws::frames, "frames cut anywhere read as in one piece, and memory stays bounded";
    ws_peer = ws::peer, "tungstenite takes and refuses the same frames";
    ws_round_trip = ws::round_trip, "what either codec writes, both read";
    ws_handshake = http::handshake, "a handshake is refused or answered with one clean head";
    ws_extensions = ws_deflate::extensions, "what is agreed on was offered";
    inflate = ws_deflate::inflate, "as flate2 inflates it, within the limit";
    deflate = ws_deflate::deflate, "what is compressed comes back, in ours and in flate2";
    sse = sse::parse, "a stream cut anywhere reads as in one piece";
    sse_round_trip = sse::round_trip, "what is written as blocks reads as those";
    http_chunks = http::chunks, "an answer cut anywhere is found whole once, ours among them";
    engineio_payload = engineio::payload, "packets read are written and read again, as polls and as frames";
    engineio_query = engineio::query, "a request asks for one thing or is refused";
    engineio_session = engineio::session, "any inputs in any order: one answer, one live transport, one end";
    socketio_packet = socketio::packet, "a packet is refused or keeps its kind's rules, and is handed on as it is";
    socketio_attachments = socketio::attachments, "attachments complete their packet within the limit, or nothing is held";
    http2_answers = http::http2_answers, "a server's frames say the same wherever they are cut";
    command = native::command, "a client's command is refused or within its limits";
    incoming = native::incoming, "objects, polls and system events of a server";
    envelope = native::envelope, "an envelope is one line and reads as what it was written from";
    arguments = native::arguments, "several arguments there and back";
    cursor = request::cursor, "only what is written as a cursor is one";
    names = request::names, "keys, namespaces and event names keep their rules";
    target = request::target, "channels and query of a request";
    client_url = request::client_url, "the server reads the channels that the client wrote";
    negotiate = request::negotiate, "any headers and query: a form, a start, never a refused cursor";
    forwarded = request::forwarded, "nothing that a client writes hides what a proxy appends";
    publish_body = request::publish_body, "a body of any type is refused or kept";
    proxy = proxy::header, "a proxy's header, known once and for all when it is whole";
    config = files::config, "a configuration that is taken can be shown and read again";
    adapter = files::adapter, "a server's description for the load generator";
}
