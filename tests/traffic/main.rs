//! Black box: the real binary between real clients and real targets.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod eligibility;
mod harness;
mod lifecycle;
mod limits;
mod load;
mod preconnect;
mod proxy_protocol;
mod selection;
mod session;
mod timeouts;
