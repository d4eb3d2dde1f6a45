//! What black-box tests share: the real binary as a guarded process, ports that no other test
//! uses, small backends, and waiting for conditions instead of sleeping.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod aws;
pub(crate) mod backend;
pub(crate) mod balancer;
pub(crate) mod endpoint;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod port;
pub(crate) mod scratch;

use std::io::Write;
use std::time::{Duration, Instant};

/// Longest that anything may take before a test gives up. Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
const POLL_PERIOD: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`]; the message is `what`.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(POLL_PERIOD);
    }
}

/// Says that the calling test did not run, and why, where it is seen even for a test that passes:
/// a write to the stream itself is not captured. The test then returns.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {reason}\n", thread.name().unwrap_or("unnamed test"));
    // Without standard error there is nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
