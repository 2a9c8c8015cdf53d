//! The behaviour suite over the wires: each promise, on each transport that
//! makes it, on each variant of the server.
#![allow(clippy::unwrap_used)]

mod a_tokens;
mod alive;
mod api;
mod bodies;
mod drain;
mod engineio;
mod figures;
mod http2;
mod http2_bounds;
mod listing;
mod observe;
mod origins;
mod p1_order;
mod p2_resume;
mod p3_gaps;
mod p3_midstream;
mod p3_store;
mod p4_ack;
mod p5_exceptions;
mod p5_slow;
mod p6_node;
mod p6_requests;
mod p7_http;
mod p7_refusals;
mod p8_access;
mod polling;
mod proxies;
mod rates;
mod reload;
mod socketio;
mod socketio_access;
mod socketio_protocol;
mod socketio_recovery;
mod socketio_slow;
mod storm;
mod table;
mod tls;
mod ws_auth;
mod ws_deflate;
mod ws_frames;
mod ws_handshake;
