//! The process, black box: what it is told, what it says, how it starts and ends.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod aliases;
mod check;
mod cli;
mod config;
mod dns;
mod log;
mod start;

use testkit::balancer::Binary;

/// The binary under test.
const BINARY: Binary = testkit::binary!();
