//! The hub's behaviour as scripts: `scripts/*.txt` tell what is done, and below
//! each step what every client received. To write down a new trace, run with
//! `FANWIRE_UPDATE_SCRIPTS=1` and read the diff before you believe it.
#![allow(clippy::unwrap_used)]

mod history;
mod late;
mod look;
mod script;
mod world;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

#[test]
fn every_script_gives_the_trace_that_is_written_below_its_steps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hub/scripts");
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
        let (line, expected, got) = first_difference(&written, &played);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        writeln!(
            differing,
            "{name}:{line}\n  written: {expected}\n  played:  {got}"
        )
        .unwrap();
    }
    assert!(differing.is_empty(), "\n{differing}");
}

fn first_difference<'a>(written: &'a str, played: &'a str) -> (usize, &'a str, &'a str) {
    let mut written = written.lines();
    let mut played = played.lines();
    for line in 1.. {
        match (written.next(), played.next()) {
            (None, None) => break,
            (one, other) if one == other => {}
            (one, other) => return (line, one.unwrap_or("(end)"), other.unwrap_or("(end)")),
        }
    }
    (0, "", "")
}
