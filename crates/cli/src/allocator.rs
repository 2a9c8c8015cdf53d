//! The allocator of the binary: mimalloc, told to give freed memory back.
//!
//! By itself it gives back what has been free for a second, but looks only
//! while memory is being freed. After a flood of connections that all go
//! within that second it would keep nearly everything for good.

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_get, mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3: milliseconds for which freed memory is
/// kept. The bindings have no name for it.
const PURGE_DELAY: mi_option_t = 15;
/// What it is by itself: that number is that option.
const DEFAULT: c_long = 1000;
/// At once: there is no later moment in which it would look again.
const OURS: c_long = 0;

/// Sets how soon freed memory goes back to the system, unless the environment
/// says so (`MIMALLOC_PURGE_DELAY`). To be called before there are threads.
#[expect(
    unsafe_code,
    reason = "the only two calls of the repository that need it: plain numbers in and out, no \
              other thread yet, and the allocator takes any number for an option"
)]
pub(crate) fn give_back() {
    // SAFETY: both take numbers alone; they are not thread-safe, and `main`
    // calls this first.
    unsafe {
        if mi_option_get(PURGE_DELAY) == DEFAULT {
            mi_option_set(PURGE_DELAY, OURS);
        }
    }
}
