//! Black box: the real binary finds real servers by asking moto, which speaks the APIs of AWS; a
//! proxy between the two makes faults. `tests/aws_faults` has the faults in more detail, before
//! a server of its own.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod clients;
mod departures;
mod faults;
mod fleet;
mod modes;
mod outage;
mod scaling;
mod startup;

use testkit::balancer::Binary;

/// The binary under test.
const BINARY: Binary = testkit::binary!();
