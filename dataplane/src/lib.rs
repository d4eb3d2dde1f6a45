//! The data plane: one glommio executor pinned to each chosen core, each with its own listener,
//! ring, buffers and sessions. Nothing is shared between cores on the hot path.

mod affinity;
mod balance;
mod candidates;
mod choice;
mod cidrs;
mod connection;
mod handover;
mod idle;
mod introduction;
mod limits;
mod lingering;
mod listener;
mod liveness;
mod local_target;
mod orders;
mod pace;
mod pause_log;
mod pipes;
mod plane;
mod pool;
mod ports;
mod proxy_protocol;
mod rejection_log;
mod retry_budget;
mod ring;
#[cfg(test)]
#[path = "../../tests/support/seeds.rs"]
mod seeds;
mod session;
mod slots;
mod sources;
mod targets;
mod timers;
mod worker;

use std::time::Duration;

pub use balance::Balance;
pub use cidrs::Cidrs;
pub use idle::IdleTimeouts;
pub use limits::Limits;
pub use listener::Listener;
pub use liveness::KEEPALIVE_MAX;
pub use plane::{Core, DataPlane, StartError};
pub use proxy_protocol::{ProxyProtocol, ProxyVersion};
pub use sources::Sources;

/// What decides where connections go, for simulations that drive it as a core does. Not part of the
/// interface.
#[doc(hidden)]
pub mod policy {
    pub use crate::balance::Balancer;
    pub use crate::choice::{Choice, Chooser, Tried};
    pub use crate::local_target::{LastConnect, LocalTarget};
    pub use crate::retry_budget::RetryBudget;
    pub use crate::targets::Targets;
}

/// What every core is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How a target is chosen.
    pub balance: Balance,
    /// Distinct targets tried for one client before giving up; at least 1, at most 254.
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
    /// PROXY protocol headers, expected and sent.
    pub proxy_protocol: ProxyProtocol,
    /// Most connections that each core's listener queues, as in listen(2).
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
            balance: Balance::default(),
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

/// Makes a ring as every core will need it, enters it once and drops it again: a seccomp filter may
/// deny each of the three system calls alone.
///
/// # Errors
/// As `io_uring_setup(2)`, `io_uring_register(2)` and `io_uring_enter(2)`.
pub fn probe_io_uring() -> std::io::Result<()> {
    ring::Ring::new()?.wait(std::time::Duration::ZERO)
}
