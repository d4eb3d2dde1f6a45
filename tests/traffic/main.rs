//! Black box: the real binary between real clients and real targets.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod admin;
mod eligibility;
mod lifecycle;
mod limits;
mod load;
mod preconnect;
mod proxy_protocol;
mod selection;
mod services;
mod session;
mod timeouts;

use testkit::balancer::Binary;

/// The binary under test.
const BINARY: Binary = testkit::binary!();
