//! An AWS for tests: a small one that misbehaves on demand, and moto behind a proxy that makes
//! faults.

pub mod account;
pub mod api;
pub mod endpoint;
mod form;
pub mod moto;
pub mod proxy;
