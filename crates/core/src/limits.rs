//! Every bound of core, with its default. The server's configuration can
//! change those of [`Limits`]; constants are part of the protocol.

use std::time::Duration;

/// Bytes of a channel name.
pub const MAX_NAME: usize = 255;
/// Bytes of a namespace's name.
pub const MAX_NAMESPACE: usize = 64;
/// Bytes of a cursor's text.
pub const MAX_CURSOR: usize = 100;
/// Bytes of an event name.
pub const MAX_EVENT: usize = 255;
/// Bytes of a conflation key or an idempotency key.
pub const MAX_KEY: usize = 255;
/// Targets of one message.
pub const MAX_TARGETS: usize = 16;
/// Exclusions of one message.
pub const MAX_EXCEPT: usize = 100;
/// Channels of one URL stream.
pub const MAX_URL_CHANNELS: usize = 16;
/// Keys of one subscriber, those joined included.
pub const MAX_KEYS: usize = 250;
/// Messages of one history answer.
pub const MAX_HISTORY_LIMIT: usize = 1_000;
/// Buckets in which forgotten channels' losses are folded.
pub const FORGOTTEN_BUCKETS: usize = 0x1_0000;

/// The bounds an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message's body (64 KiB).
    pub message: usize,
    /// Bytes of all channel logs and records of this node (256 MiB).
    pub log_bytes: usize,
    /// Channel records (1,000,000).
    pub channel_records: usize,
    /// Bytes of the ring of recent messages (16 MiB).
    pub ring_bytes: usize,
    /// Bytes queued for one subscriber before it is Behind (256 KiB).
    pub outbox: usize,
    /// Bytes of one catch-up chunk (64 KiB).
    pub chunk: usize,
    /// Bytes of one poll or history answer (256 KiB).
    pub answer: usize,
    /// Catch-up reads under way per shard (256).
    pub reads_per_shard: usize,
    /// Bytes of publications not yet taken by the slowest shard (64 MiB).
    pub publish_credit: usize,
    /// Idempotency keys in all (100,000).
    pub idempotency_keys: usize,
    /// Idempotency keys of one publisher (10,000).
    pub idempotency_per_publisher: usize,
    /// How long an idempotency key is remembered (10 min).
    pub idempotency_ttl: Duration,
    /// Without write progress for this long a connection is closed (60 s).
    pub write_progress: Duration,
    /// At most one mid-stream `$gap` per subscriber in this time (1 s).
    pub gap_interval: Duration,
    /// A quiet live stream gets `$cursor` this often (5 min).
    pub cursor_interval: Duration,
    /// How long a publish waits for credit (1 s).
    pub credit_wait: Duration,
    /// How long a connection that is being closed may take its last words (1 s).
    pub end_wait: Duration,
    /// How long a publish waits for a broker that says nothing (30 s); then the
    /// outcome is unknown.
    pub broker_wait: Duration,
    /// How long until a broker that could not be reached is asked again (200 ms).
    pub broker_retry: Duration,
    /// How long a publish waits for delivery on this node (2 s), and a cursor
    /// ahead of it for the feed.
    pub applied_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Self {
            message: 64 * KIB,
            log_bytes: 256 * MIB,
            channel_records: 1_000_000,
            ring_bytes: 16 * MIB,
            outbox: 256 * KIB,
            chunk: 64 * KIB,
            answer: 256 * KIB,
            reads_per_shard: 256,
            publish_credit: 64 * MIB,
            idempotency_keys: 100_000,
            idempotency_per_publisher: 10_000,
            idempotency_ttl: Duration::from_secs(600),
            write_progress: Duration::from_secs(60),
            gap_interval: Duration::from_secs(1),
            cursor_interval: Duration::from_secs(300),
            credit_wait: Duration::from_secs(1),
            end_wait: Duration::from_secs(1),
            broker_wait: Duration::from_secs(30),
            broker_retry: Duration::from_millis(200),
            applied_wait: Duration::from_secs(2),
        }
    }
}
