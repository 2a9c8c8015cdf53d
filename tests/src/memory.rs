//! What this process holds.

/// Resident bytes of this process (Linux; 0 elsewhere).
pub fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| {
            statm
                .split(' ')
                .nth(1)
                .and_then(|pages| pages.parse::<usize>().ok())
        });
    pages.unwrap_or(0) * 4096
}
