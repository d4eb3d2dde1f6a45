use std::net::SocketAddr;

use exchange::{Target, TargetId};

/// What makes a target the same target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Where it serves.
    pub address: SocketAddr,
    /// What it is called.
    pub id: TargetId,
}

impl Identity {
    /// That of `target`.
    pub fn of(target: &Target) -> Self {
        Self { address: target.address, id: target.id.clone() }
    }
}
