//! The data plane between real sockets.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod forward;
mod news;
mod plane;
mod preconnect;
mod reports;
mod waiting;
