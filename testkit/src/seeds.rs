//! How many seeds a simulation runs.

/// Divides the number of seeds; 10 runs a tenth of them.
const VARIABLE: &str = "SLB_SEEDS_DIVISOR";

/// How many of a simulation's `all` seeds to run. Only a machine too slow for all of them, such as an
/// emulated one, sets `SLB_SEEDS_DIVISOR`.
///
/// # Panics
/// Where it is set and is no number from 1.
pub fn seeds(all: u64) -> u64 {
    let Ok(text) = std::env::var(VARIABLE) else { return all };
    let divisor = text.parse().ok().filter(|divisor| *divisor > 0);
    let divisor: u64 = divisor.unwrap_or_else(|| panic!("{VARIABLE}={text} is no number from 1"));
    (all / divisor).max(1)
}
