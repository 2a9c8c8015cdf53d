//! The table: one test per behaviour, transport and variant of the server.

use std::future::Future;
use std::time::Duration;

/// Runs one test. Whatever waits inside it is bounded already; this bound only
/// catches a loop that never ends.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bound = tokio::time::timeout(Duration::from_secs(180), test);
        assert!(bound.await.is_ok(), "the test does not end");
    });
    runtime.shutdown_background();
}

/// One test per variant of the server for each `async fn(Variant, …)`.
macro_rules! variants {
    ($($name:ident),+ $(,)?) => { $(
        mod $name { $crate::table::four!(super::$name); }
    )+ };
}

/// One test per way of writing, over the memory broker.
macro_rules! modes {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn shard_writes() {
                $crate::table::run(super::$name(fanwire_tests::server::Variant::MEMORY));
            }
            #[test]
            fn pulled() {
                $crate::table::run(super::$name(fanwire_tests::server::Variant::MEMORY_PULL));
            }
        }
    )+ };
}

/// One test each: what does not depend on the broker nor on who writes.
macro_rules! once {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn memory() {
                $crate::table::run(super::$name(fanwire_tests::server::Variant::MEMORY));
            }
        }
    )+ };
}

/// One test per way of writing, over the chaos broker, which then fails.
macro_rules! faults {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn shard_writes() {
                $crate::table::run(super::$name(fanwire_tests::server::Variant::CHAOS));
            }
            #[test]
            fn pulled() {
                $crate::table::run(super::$name(fanwire_tests::server::Variant::CHAOS_PULL));
            }
        }
    )+ };
}

/// One test per transport and variant for each `async fn(Variant, Transport)`.
macro_rules! cells {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            $crate::table::transports!($name: sse_raw SseRaw, sse_envelope SseEnvelope,
                poll Poll, ws_envelope WsEnvelope, ws_raw WsRaw);
            $crate::table::http2!($name: sse_http2 SseHttp2, poll_http2 PollHttp2,
                ws_http2 WsHttp2);
        }
    )+ };
}

/// The same for the transports that carry cursors.
macro_rules! resuming {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            $crate::table::transports!($name: sse_raw SseRaw, sse_envelope SseEnvelope,
                poll Poll, ws_envelope WsEnvelope);
            $crate::table::http2!($name: sse_http2 SseHttp2, poll_http2 PollHttp2,
                ws_http2 WsHttp2);
        }
    )+ };
}

/// One test per transport that carries cursors and way of writing.
macro_rules! resuming_modes {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            $crate::table::resuming_modes!(@ $name: sse_raw SseRaw, sse_envelope SseEnvelope,
                poll Poll, ws_envelope WsEnvelope, sse_http2 SseHttp2, poll_http2 PollHttp2,
                ws_http2 WsHttp2);
        }
    )+ };
    (@ $test:ident: $($name:ident $transport:ident),+) => { $(
        mod $name {
            use fanwire_tests::listener::Transport;
            use fanwire_tests::server::Variant;
            #[test]
            fn shard_writes() {
                let test = super::super::$test(Variant::MEMORY, Transport::$transport);
                $crate::table::run(test);
            }
            #[test]
            fn pulled() {
                let test = super::super::$test(Variant::MEMORY_PULL, Transport::$transport);
                $crate::table::run(test);
            }
        }
    )+ };
}

/// The same for streams that say `$ready`.
macro_rules! readied {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            $crate::table::transports!($name: sse_raw SseRaw, sse_envelope SseEnvelope,
                ws_envelope WsEnvelope);
            $crate::table::http2!($name: sse_http2 SseHttp2, ws_http2 WsHttp2);
        }
    )+ };
}

macro_rules! transports {
    ($test:ident: $($name:ident $transport:ident),+) => { $(
        mod $name {
            $crate::table::four!(super::super::$test,
                fanwire_tests::listener::Transport::$transport);
        }
    )+ };
}

/// One test per transport over TLS, for each `async fn(Variant, Transport)`.
macro_rules! secured {
    ($($name:ident),+ $(,)?) => {
        mod tls { $(
            mod $name {
                $crate::table::secured!(@ $name: sse_raw SseRaw, poll Poll,
                    ws_envelope WsEnvelope, sse_http2 SseHttp2, poll_http2 PollHttp2,
                    ws_http2 WsHttp2);
            }
        )+ }
    };
    (@ $test:ident: $($name:ident $transport:ident),+) => { $(
        #[test]
        fn $name() {
            $crate::table::run(super::super::$test(
                fanwire_tests::server::Variant::MEMORY_TLS,
                fanwire_tests::listener::Transport::$transport,
            ));
        }
    )+ };
}

/// HTTP/2 is always written by tasks.
macro_rules! http2 {
    ($test:ident: $($name:ident $transport:ident),+) => { $(
        mod $name {
            #[test]
            fn memory() {
                $crate::table::run(super::super::$test(
                    fanwire_tests::server::Variant::MEMORY,
                    fanwire_tests::listener::Transport::$transport,
                ));
            }
            #[test]
            fn chaos() {
                $crate::table::run(super::super::$test(
                    fanwire_tests::server::Variant::CHAOS,
                    fanwire_tests::listener::Transport::$transport,
                ));
            }
        }
    )+ };
}

macro_rules! four {
    ($test:path $(, $argument:expr)*) => {
        #[test]
        fn memory_shard_writes() {
            $crate::table::run($test(fanwire_tests::server::Variant::MEMORY $(, $argument)*));
        }
        #[test]
        fn memory_pulled() {
            $crate::table::run($test(fanwire_tests::server::Variant::MEMORY_PULL $(, $argument)*));
        }
        #[test]
        fn chaos_shard_writes() {
            $crate::table::run($test(fanwire_tests::server::Variant::CHAOS $(, $argument)*));
        }
        #[test]
        fn chaos_pulled() {
            $crate::table::run($test(fanwire_tests::server::Variant::CHAOS_PULL $(, $argument)*));
        }
    };
}

pub(crate) use {
    cells, faults, four, http2, modes, once, readied, resuming, resuming_modes, secured,
    transports, variants,
};
