//! A session of Engine.IO as scripts: `scripts/*.txt` tell what a client and its
//! server do, and below each step what came of it. To write down a new trace,
//! run with `FANWIRE_UPDATE_SCRIPTS=1` and read the diff before you believe it.
#![allow(clippy::unwrap_used)]

mod model;
mod script;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[test]
fn every_script_gives_the_trace_that_is_written_below_its_steps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engineio/scripts");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "the scripts are gone");
    let mut differing = String::new();
    for file in files {
        let written = fs::read_to_string(&file).unwrap();
        let played = script::play(&written);
        if played == written {
            continue;
        }
        if std::env::var_os("FANWIRE_UPDATE_SCRIPTS").is_some() {
            fs::write(&file, &played).unwrap();
            continue;
        }
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        writeln!(differing, "{name} plays as:\n{played}").unwrap();
    }
    assert!(differing.is_empty(), "\n{differing}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_inputs_in_any_order_are_answered_once_and_end_once(
        inputs in prop::collection::vec(any::<u8>(), 0..160),
    ) {
        model::run(&inputs);
    }
}
