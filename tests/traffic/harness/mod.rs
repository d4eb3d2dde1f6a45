//! Real clients, real targets and the real binary between them.
//!
//! Every server has a loopback address of its own, so tests run in parallel without agreeing on
//! ports, and all targets of a balancer share `TARGET_PORT` and `HEALTH_CHECK_PORT`.
pub(crate) mod address;
pub(crate) mod backend;
pub(crate) mod balancer;
pub(crate) mod haproxy;
pub(crate) mod http;
pub(crate) mod namespace;
pub(crate) mod nginx;
pub(crate) mod process;
pub(crate) mod raw_target;
pub(crate) mod server;
pub(crate) mod stream;

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use crate::support::{PATIENCE, scratch, skip, wait_until};

/// Asks for a value until it is as it must be.
///
/// # Panics
/// When that takes longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn wait_for<T: Debug>(
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
