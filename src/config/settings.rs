//! What the planes are told.

mod aws;
pub(super) mod control;
pub(super) mod dataplane;
pub(super) mod discovery;
mod health;
pub(super) mod limits;
mod proxy_protocol;
pub(super) mod services;
mod zone;
