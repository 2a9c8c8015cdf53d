//! The simulation of core: a seed makes a world of clients, publishers, a hub
//! and a broker that go wrong in every way there is; an oracle that shares no
//! code with core judges what everyone received.
//!
//! `FANWIRE_SIM_SEEDS=N` walks N seeds (1,000), `FANWIRE_SIM_SEED=N` that one
//! alone, `FANWIRE_SIM_TRACE=1` writes every step down.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod book;
mod client;
mod cx;
mod events;
mod exec;
mod faults;
mod gaps;
mod greet;
mod members;
mod opening;
mod oracle;
mod oracle_tests;
mod peer;
mod plan;
mod publisher;
mod rng;
mod rooms;
mod tap;
mod truth;
mod wire;
mod world;

use std::collections::BTreeMap;

use plan::Over;
use world::World;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Walks the seeds over one broker; returns what was seen.
fn walk(over: Over, test: &str) -> BTreeMap<&'static str, u64> {
    quiet_panics();
    let loud = std::env::var_os("FANWIRE_SIM_TRACE").is_some_and(|value| value != "0");
    let seeds = match number("FANWIRE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FANWIRE_SIM_SEEDS").unwrap_or(1_000),
    };
    let mut seen = BTreeMap::new();
    for seed in seeds {
        let mut world = World::new(seed, over, loud);
        if let Err(why) = world.run() {
            let mutant = std::env::var("FANWIRE_MUTANT")
                .ok()
                .filter(|name| !name.is_empty());
            let features = mutant.map_or(String::new(), |name| format!("FANWIRE_MUTANT={name} "));
            let flag = if features.is_empty() {
                ""
            } else {
                " --features mutants"
            };
            eprintln!("{}", world.cx.book.tail());
            panic!(
                "{why}\nseed {seed} over {over:?}; replay with:\n{features}FANWIRE_SIM_SEED={seed} FANWIRE_SIM_TRACE=1 \
                 cargo test -p fanwire-core{flag} --test sim {test} -- --exact --nocapture"
            );
        }
        world.tally();
        for (what, times) in &world.cx.book.counts {
            *seen.entry(*what).or_default() += times;
        }
    }
    seen
}

/// Keeps the panics that are made on purpose off the screen.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload_as_str().unwrap_or_default();
            if !text.contains(peer::DELIBERATE) {
                usual(info);
            }
        }));
    });
}

/// Each kind of trouble has to have come up; what comes up over one broker only
/// is named after it.
fn met(seen: &BTreeMap<&'static str, u64>, over: &[&str]) {
    const ENOUGH: u64 = 500;
    let seeds = number("FANWIRE_SIM_SEEDS").unwrap_or(1_000);
    if number("FANWIRE_SIM_SEED").is_some() || seeds < ENOUGH {
        return;
    }
    let missing: Vec<_> = faults::ALWAYS
        .iter()
        .chain(over)
        .filter(|what| !seen.contains_key(**what))
        .collect();
    assert!(
        missing.is_empty(),
        "never met in {seeds} seeds: {missing:?}; met: {seen:#?}"
    );
}

#[test]
fn promises_hold_over_the_memory_broker() {
    let seen = walk(Over::Memory, "promises_hold_over_the_memory_broker");
    met(&seen, faults::MEMORY);
}

#[test]
fn promises_hold_over_a_broker_that_misbehaves() {
    let seen = walk(Over::Chaos, "promises_hold_over_a_broker_that_misbehaves");
    met(&seen, faults::CHAOS);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    quiet_panics();
    for over in [Over::Memory, Over::Chaos] {
        let trace = |seed| {
            let mut world = World::new(seed, over, false);
            let verdict = world.run();
            (world.cx.book.hash(), verdict)
        };
        for seed in 0..10 {
            assert_eq!(trace(seed), trace(seed), "seed {seed} over {over:?}");
        }
        assert_ne!(trace(1).0, trace(2).0);
    }
}

/// `FANWIRE_MUTANT=list` prints the deliberate bugs, one a line, each of which
/// must make this target fail when it is switched on.
#[cfg(feature = "mutants")]
#[test]
fn mutants_are_listed() {
    use std::io::Write;
    let names = fanwire_core::mutant::NAMES;
    assert!(!names.is_empty());
    if std::env::var("FANWIRE_MUTANT").is_ok_and(|chosen| chosen == "list") {
        // Past libtest's capture, which would keep it to itself.
        let mut out = std::io::stdout().lock();
        for name in names {
            writeln!(out, "mutant: {name}").unwrap();
        }
    }
}
