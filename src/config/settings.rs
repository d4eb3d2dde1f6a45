//! What the planes are told.

pub(super) mod aws;
pub(super) mod discovery;
pub(super) mod limits;
pub(super) mod proxy_protocol;
pub(super) mod zone;
