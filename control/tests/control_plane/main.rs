//! The control plane between real sockets: its runtime, its admin server and the servers it checks.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod admin;
mod affinity;
mod breaker;
mod drain;
mod file_discovery;
mod health_checks;
mod plane;
mod zone;
