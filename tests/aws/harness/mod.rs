//! moto, a fleet of real servers in it, a proxy that makes faults, and the balancer with its
//! clients.
//!
//! All tests share one moto and have a region of it each.
pub(crate) mod account;
pub(crate) mod backend;
pub(crate) mod balancer;
pub(crate) mod clients;
pub(crate) mod fleet;
pub(crate) mod form;
pub(crate) mod message;
pub(crate) mod moto;
pub(crate) mod proxy;

pub(crate) use crate::support::{PATIENCE, wait_until};
