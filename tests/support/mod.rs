//! Real clients, real targets and the real binary between them.
//!
//! Every server has a loopback address of its own, so tests run in parallel without agreeing on
//! ports, and all targets of a balancer share `TARGET_PORT` and `HEALTH_CHECK_PORT`.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function")]

pub mod address;
pub mod backend;
pub mod balancer;
pub mod http;
pub mod nginx;
pub mod process;
pub mod raw_target;
pub mod scratch;
pub mod server;
pub mod stream;

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks for a value until it is as it must be.
///
/// # Panics
/// When that takes longer than [`PATIENCE`].
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
        thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_for(what, holds, |holds| *holds);
}

/// Says why a test cannot run here; it goes where the test runner shows it.
pub fn skip(test: &str, reason: &str) {
    use std::io::Write;
    // Past the runner's capture: a test that did not run must not look like one that passed.
    let mut output = std::io::stderr().lock();
    writeln!(output, "skipped: {test}: {reason}").unwrap();
}
