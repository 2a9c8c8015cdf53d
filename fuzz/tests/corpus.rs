//! The committed corpus, and seeded mutations of it, through every target,
//! without libFuzzer: what was found once stays found.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fanwire_fuzz::input::Dice;
use fanwire_fuzz::{TARGETS, Target};

/// Most bytes of all corpora together.
const CORPUS_BYTES: usize = 200 * 1024;
/// Mutations of each input.
const MUTATIONS: u64 = 40;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A target's inputs by file name.
fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = corpora().join(target.name);
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let entry = entry.expect("a file of the corpus");
            let data = fs::read(entry.path()).expect("its bytes");
            (entry.file_name().to_string_lossy().into_owned(), data)
        })
        .collect();
    inputs.sort();
    inputs
}

/// Runs a target and names the input where a property does not hold.
fn hold(target: &Target, name: &str, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(data))).is_err() {
        panic!("{} does not hold for {name}: {data:?}", target.name);
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|t| t.name.to_owned()).collect();
    let folders: BTreeSet<String> = fs::read_dir(corpora())
        .expect("the corpus")
        .map(|entry| {
            entry
                .expect("a folder")
                .file_name()
                .to_string_lossy()
                .into()
        })
        .collect();
    assert_eq!(targets, folders);
    let mut bytes = 0;
    for target in TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() >= 3, "{} has too few", target.name);
        bytes += inputs.iter().map(|(_, data)| data.len()).sum::<usize>();
    }
    assert!(bytes <= CORPUS_BYTES, "{bytes} bytes");
}

#[test]
fn every_input_of_the_corpus_holds() {
    for target in TARGETS {
        hold(target, "no bytes at all", &[]);
        for (name, data) in inputs(target) {
            hold(target, &name, &data);
        }
    }
}

#[test]
fn mutations_of_the_corpus_hold() {
    for target in TARGETS {
        let inputs = inputs(target);
        for (name, data) in &inputs {
            for seed in 0..MUTATIONS {
                let mut dice = Dice::new(seed + 1);
                let other = &inputs[dice.below(inputs.len())].1;
                let mutated = mutate(&mut dice, data.clone(), other);
                hold(target, &format!("{name}, mutation {seed}"), &mutated);
            }
        }
    }
}

/// One to four small changes.
fn mutate(dice: &mut Dice, mut data: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..=dice.below(4) {
        let at = dice.below(data.len() + 1);
        match dice.below(6) {
            0 => data.insert(at, dice.below(256) as u8),
            1 => data.truncate(at),
            2 if at < data.len() => data[at] ^= 1 << dice.below(8),
            3 if at < data.len() => data[at] = b"\0\xFF\x7F\x80\r\n\"{}%,:-09\x1E"[dice.below(16)],
            4 => {
                let from = dice.below(other.len() + 1);
                let part = other[from..].iter().take(dice.below(40)).copied();
                data.splice(at..at, part);
            }
            _ => {
                let end = (at + dice.below(20)).min(data.len());
                let part = data[at..end].to_vec();
                data.splice(at..at, part);
            }
        }
    }
    data
}
