use std::net::SocketAddr;
use std::num::NonZeroUsize;

use dataplane::Sources;

/// Values that are good by themselves but that this machine may not go with, from a configuration
/// that may be bad elsewhere. `None` is what is unset or bad.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParsedValues {
    /// Where clients connect, by service; empty where that is bad.
    pub(crate) listen: Vec<SocketAddr>,
    /// How many services there are; 0 where that is bad.
    pub(crate) services: usize,
    /// Whether another process may listen there, too.
    pub(crate) overlap: Option<bool>,
    /// Where the admin server listens.
    pub(crate) admin: Option<SocketAddr>,
    /// How many CPUs carry traffic.
    pub(crate) cores: Option<usize>,
    /// Where connections to targets come from; none where they are bad.
    pub(crate) sources: Sources,
    /// Most client connections at a time.
    pub(crate) connections: Option<NonZeroUsize>,
    /// Most clients that wait to be accepted, per core.
    pub(crate) listen_backlog: Option<u32>,
}
