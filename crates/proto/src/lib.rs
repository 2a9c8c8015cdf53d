//! What bytes mean: the codecs of Fanwire, and nothing else.
//!
//! Everything here is sans-IO: bytes in, meaning out, and back. No runtime, no
//! clock, no randomness (a nonce or a mask key is an argument), no sockets, and
//! no knowledge of channels, brokers or permissions. Decoders are total: any
//! input gives a value or an error of [`error`], never a panic, and none holds
//! more memory than its limits say.
//!
//! | module | what it reads and writes |
//! |---|---|
//! | [`ws`] | WebSocket: handshake, frames, messages (RFC 6455) |
//! | [`sse`] | Server-Sent Events and the HTTP chunks that carry them |
//! | [`engineio`] | Engine.IO 4: packets, polling payloads, and a session's state |
//! | [`socketio`] | Socket.IO 5: packets, attachments |
//! | [`native`] | the JSON of `PROTOCOL.md`: envelope, system events, commands, answers |
//! | [`proxy`] | the PROXY protocol's header, versions 1 and 2 |
//! | [`limits`] | the numbers, by name |
//! | [`error`] | what can be wrong with bytes |

pub mod engineio;
pub mod error;
pub mod limits;
pub mod native;
pub mod proxy;
pub mod socketio;
pub mod sse;
pub mod ws;
