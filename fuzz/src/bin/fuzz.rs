//! libFuzzer around the target that `FANWIRE_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use fanwire_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

/// Which one, for libFuzzer's own arguments have no place for it.
static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FANWIRE_FUZZ_TARGET").unwrap_or_default();
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| {
            eprintln!("FANWIRE_FUZZ_TARGET={name} names none of the targets");
            std::process::exit(2)
        })
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));
