//! Discovery in AWS on bad days, black box: a server that speaks the two APIs and misbehaves. What
//! was known stays known, the log says once what is wrong, metrics count it.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod answers;
mod credentials;
mod fleet;
mod proxies;
mod slowness;
mod statements;
mod threads;

use testkit::balancer::Binary;

/// The binary under test.
const BINARY: Binary = testkit::binary!();
