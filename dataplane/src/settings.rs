use std::time::Duration;

use crate::limits::Limits;
use crate::proxy_header::{ProxyProtocol, ProxyVersion};
use crate::selection::balance::Balance;
use crate::selection::source_addresses::Sources;
#[cfg(doc)]
use crate::sys::keepalive::KEEPALIVE_MAX;
use crate::worker::IdleTimeouts;

/// What every core is told of a service: those who connect to one port.
#[derive(Clone, Debug, Default)]
pub struct ServiceSettings {
    /// What it is called in log lines; `None` where it is the only one.
    pub port: Option<u16>,
    /// How a target is chosen.
    pub balance: Balance,
    /// The PROXY protocol header that targets get before a client's first byte.
    pub proxy_header: Option<ProxyVersion>,
}

/// What every core is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What differs from service to service; not empty, and at most
    /// [`exchange::ServiceIndex::COUNT_MAX`].
    pub services: Vec<ServiceSettings>,
    /// Distinct targets tried for one client before giving up; at least 1.
    pub connect_attempts: usize,
    /// Most client connections at a time, all cores together: further ones wait in the listen
    /// queue. Each takes two descriptors.
    pub connections_max: usize,
    /// Most connections that are preconnected for one target, all cores together.
    pub pool_size: usize,
    /// What exceeds these is not left waiting but reset.
    pub limits: Limits,
    /// Where connections to targets come from.
    pub sources: Sources,
    /// PROXY protocol headers that are expected of clients.
    pub proxy_protocol: ProxyProtocol,
    /// Most connections that each listener of a core queues, as in listen(2).
    pub listen_backlog: u32,
    /// How long one connect of a target may take.
    pub connect_timeout: Duration,
    /// How long connections are kept on which nothing moves.
    pub idle_timeouts: IdleTimeouts,
    /// How long a peer is silent before it is asked for a sign of life (tcp(7), `TCP_KEEPIDLE`), in
    /// seconds rounded up; at most [`KEEPALIVE_MAX`].
    /// Without one it is given up after as long again, or after 4 s if that is longer, unless it is
    /// idle for too long before.
    pub keepalive: Option<Duration>,
    /// After accepting stopped, how long live sessions may go on before they are reset.
    pub shutdown_timeout: Duration,
    /// Log each connection's end.
    pub log_connections: bool,
}

impl Default for Settings {
    /// The defaults of the environment variables; 1,000 connections.
    fn default() -> Self {
        Self {
            services: vec![ServiceSettings::default()],
            connect_attempts: 3,
            connections_max: 1000,
            pool_size: 100,
            limits: Limits::default(),
            sources: Sources::default(),
            proxy_protocol: ProxyProtocol::default(),
            listen_backlog: 4096,
            connect_timeout: Duration::from_secs(2),
            idle_timeouts: IdleTimeouts::default(),
            keepalive: Some(Duration::from_mins(1)),
            shutdown_timeout: Duration::from_secs(30),
            log_connections: false,
        }
    }
}
