//! Deliberate bugs, each behind a name, to prove that the tests would notice.
//!
//! Compiled only with the feature `mutants`; in every other build
//! [`active`] is a constant `false` and vanishes.

/// Every deliberate bug, by the name that `FANWIRE_MUTANT` selects it by.
#[cfg_attr(not(feature = "mutants"), allow(dead_code, unreachable_pub))]
pub const NAMES: &[&str] = &[
    // Subscribe registers its interest after the hand-over instead of inside it.
    "skip-handover",
    // A cursor's epoch is not looked at.
    "ignore-epoch",
    // A replay starts one message too late.
    "replay-off-by-one",
    // After a cut the store hands out a seq that was in use in the same epoch.
    "reuse-seq",
    // The shard goes on to the next publication before all subscribers have this one.
    "yield-between-subscribers",
    // Falling behind forgets the refused message.
    "behind-skips-refused",
    // Trimming does not raise lost_through.
    "trim-forgets-loss",
    // The idempotency table is consulted after the append.
    "late-idempotency",
    // A replay ignores `except`.
    "replay-ignores-except",
    // A cut leaves live connections untold.
    "cut-untold",
    // A key joined while catching up is owed from the beginning.
    "join-forgets-floor",
    // The key that takes the number of one that was left is not told so.
    "leave-keeps-number",
    // What a join listened to for a subscriber that is gone is not taken back.
    "late-join-leaks-interest",
    // A resume forgets where its keys were joined.
    "resume-forgets-since",
    // What comes while a stream is greeted is not given to it afterwards.
    "greeting-skips-messages",
    // A node that stops passes over streams that are catching up.
    "drain-skips-behind",
];

/// True where the deliberate bug `name` is switched on.
#[cfg(feature = "mutants")]
pub(crate) fn active(name: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    debug_assert!(NAMES.contains(&name), "unknown mutant {name}");
    CHOSEN
        .get_or_init(|| std::env::var("FANWIRE_MUTANT").ok())
        .as_deref()
        == Some(name)
}

/// True where the deliberate bug `name` is switched on: never, in this build.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) fn active(_name: &str) -> bool {
    false
}
