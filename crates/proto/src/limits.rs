//! The numbers that codecs need, by name. Where a limit is a setting, this is
//! its default and the decoder takes the value in force as an argument.

/// Largest message on a native transport, in bytes after reassembly.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// Most frames that one message may be split into, empty ones included.
pub const MESSAGE_FRAGMENTS: u32 = 1024;
/// Deepest nesting of arrays and objects in any JSON that is taken in.
pub const JSON_DEPTH: usize = 128;
/// Most final blocks (BFINAL) in one compressed message, each of which starts
/// the inflater anew.
pub const DEFLATE_STREAMS: usize = 1024;
/// Largest payload of a WebSocket control frame (RFC 6455, 5.5).
pub const CONTROL_BYTES: usize = 125;
/// Largest close reason: a control frame less the two bytes of the code.
pub const CLOSE_REASON_BYTES: usize = CONTROL_BYTES - 2;
/// Longest `ref` of a client command, in bytes.
pub const REF_BYTES: usize = 64;
/// Largest integer `ref`: what JavaScript keeps exactly, 2^53 − 1.
pub const REF_MAX: u64 = (1 << 53) - 1;
/// Longest name of an event, an idempotency key or a conflation key, in bytes.
pub const NAME_BYTES: usize = 255;
/// Most binary attachments of one message with several arguments.
pub const ATTACHMENTS: usize = 64;
/// Longest line that the SSE parser takes: a largest message as base64 or
/// escaped six-fold, in its envelope.
pub const SSE_LINE_BYTES: usize = 8 * MESSAGE_BYTES;
/// Largest SSE event (all its `data:` lines together).
pub const SSE_EVENT_BYTES: usize = 16 * MESSAGE_BYTES;
/// Largest poll answer that the reader takes, in bytes: what a server sends
/// (256 KiB) with room for other settings.
pub const POLL_BYTES: usize = 8 * 1024 * 1024;
/// Longest header of the PROXY protocol: the addresses, and what a proxy may tell
/// of its client's TLS behind them.
pub const PROXY_HEADER_BYTES: usize = 4096;
/// Most Engine.IO packets in one polling payload: what a stock client may gather
/// in a million bytes while a request is under way.
pub const ENGINEIO_PACKETS: usize = 65_536;
/// Most binary attachments of one Socket.IO packet that is taken in.
pub const SOCKETIO_ATTACHMENTS: usize = 10;
/// Longest Socket.IO namespace that is taken in, in bytes, its slash included.
pub const SOCKETIO_NAMESPACE_BYTES: usize = 255;
