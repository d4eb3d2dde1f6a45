//! What the tests of all crates share: the binary under test, its targets and clients, the AWS that
//! it asks, and waiting for conditions instead of sleeping. A dev-dependency only; it knows neither
//! plane, so that both can use it.
//!
//! | Room | What |
//! |---|---|
//! | [`balancer`] | The real binary between clients and targets, started in one place |
//! | [`backend`] | Targets: small servers, ones whose end the test holds, nginx, `HAProxy` |
//! | [`http`] | HTTP/1.1 as far as tests need it: messages, and one client |
//! | [`net`] | Addresses, ports, streams and network namespaces |
//! | [`aws`] | An AWS that misbehaves, and moto behind a proxy that makes faults |
//! | [`process`] | A guarded child process, and what it uses |
//! | [`wait`], [`skip`], [`scratch`], [`seeds`] | Conditions, skipped tests, directories, seeds |
#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "this is test code: whatever it cannot do fails the test"
)]

pub mod aws;
pub mod backend;
pub mod balancer;
pub mod http;
pub mod net;
pub mod process;
pub mod scratch;
pub mod seeds;
pub mod skip;
pub mod wait;
