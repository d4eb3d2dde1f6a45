use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use exchange::ServiceIndex;

use crate::limits::Permit;
use crate::proxy_header::header_exchange::HeaderExchange;
use crate::worker::idle_scan::activity::LastActivity;

/// A client that has just connected, to which service.
#[derive(Debug)]
pub(crate) struct NewClient {
    pub(crate) service: ServiceIndex,
    pub(crate) socket: OwnedFd,
}

/// A client that was let in, before it is decided where it goes.
#[derive(Debug)]
pub(in crate::worker) struct AcceptedClient {
    pub(in crate::worker) service: ServiceIndex,
    pub(in crate::worker) socket: OwnedFd,
    /// `None` if nothing depends on it.
    pub(in crate::worker) origin: Option<Box<Origin>>,
    /// Where PROXY protocol headers are in use.
    pub(in crate::worker) header: Option<Box<HeaderExchange>>,
    pub(in crate::worker) activity: LastActivity,
    /// When it was accepted, on the core's clock.
    pub(in crate::worker) accepted_ms: u32,
}

impl AcceptedClient {
    /// Who the client is; `None` if nothing depends on it.
    pub(in crate::worker) fn address(&self) -> Option<SocketAddr> {
        self.origin.as_ref().and_then(|origin| origin.client)
    }
}

/// Where and when a connection came from, and its place within the limits.
#[derive(Debug)]
pub(in crate::worker) struct Origin {
    /// Never IPv4-mapped; `None` if nothing depends on it.
    pub(in crate::worker) client: Option<SocketAddr>,
    pub(in crate::worker) accepted: Instant,
    /// Given back at the end; `None` as long as it is not known who the client is.
    pub(in crate::worker) permit: Option<Permit>,
    /// Its end is a line in the log.
    pub(in crate::worker) is_logged: bool,
    /// What its service is called there.
    pub(in crate::worker) service_port: Option<u16>,
}
