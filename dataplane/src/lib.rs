//! The data plane: one glommio executor pinned to each chosen core, each with its own listener,
//! ring, buffers and sessions. Nothing is shared between cores on the hot path.

mod balance;
mod connection;
mod idle;
mod listener;
mod liveness;
mod orders;
mod pace;
mod pause_log;
mod pipes;
mod plane;
mod ring;
mod session;
mod slots;
mod targets;
mod timers;
mod worker;

use std::time::Duration;

pub use balance::Balance;
pub use idle::IdleTimeouts;
pub use listener::Listener;
pub use plane::{Core, DataPlane, StartError};

/// What every core is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How a target is chosen.
    pub balance: Balance,
    /// Distinct targets tried for one client before giving up; at least 1, at most 255.
    pub connect_attempts: usize,
    /// Most client connections at a time, all cores together: further ones wait in the listen
    /// queue. Each takes two descriptors.
    pub connections_max: usize,
    /// Most connections that each core's listener queues, as in listen(2).
    pub listen_backlog: u32,
    /// How long one dial of a target may take.
    pub connect_timeout: Duration,
    /// How long, at most, clients wait in the listen queue at start for the first eligible target.
    pub first_target_timeout: Duration,
    /// How long connections are kept on which nothing moves.
    pub idle_timeouts: IdleTimeouts,
    /// How long a peer is silent before it is asked for a sign of life (tcp(7), `TCP_KEEPIDLE`).
    /// Without one it is given up after as long again, or after 4 s if that is longer, unless it is
    /// idle for too long before.
    pub keepalive: Option<Duration>,
    /// After accepting stopped, how long live sessions may go on before they are reset.
    pub shutdown_timeout: Duration,
    /// Log each connection's end.
    pub log_connections: bool,
}

/// Makes a ring as every core will need it and drops it again.
///
/// # Errors
/// As `io_uring_setup(2)` and `io_uring_register(2)`.
pub fn probe_io_uring() -> std::io::Result<()> {
    ring::Ring::new().map(drop)
}
