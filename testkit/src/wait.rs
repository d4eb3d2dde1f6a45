//! Waiting for conditions, never for time to pass.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Longest that anything may take before a test gives up. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
const POLL_PERIOD: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`]; the message names `what`.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_for(what, condition, |holds| *holds);
}

/// Asks for a value until it is as it must be.
///
/// # Panics
/// When that takes longer than [`PATIENCE`]; the message names `what` and the last value.
#[track_caller]
pub fn wait_for<T: Debug>(
    what: &str,
    mut value: impl FnMut() -> T,
    is_right: impl Fn(&T) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        let value = value();
        if is_right(&value) {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}; it is {value:?}");
        thread::sleep(POLL_PERIOD);
    }
}
