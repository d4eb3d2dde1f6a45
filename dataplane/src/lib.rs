//! The data plane: one glommio executor pinned to each chosen core, each with its own listener,
//! ring, buffers and sessions. Nothing is shared between cores on the hot path.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use exchange::{CoreCounters, Subscriber};

/// How the target of a new connection is chosen among the eligible ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two chosen at random.
    #[default]
    P2c,
    /// Each in turn.
    RoundRobin,
    /// Any, at random.
    Random,
    /// The one with the fewest connections.
    LeastConnections,
}

/// What every core is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How a target is chosen.
    pub balance: Balance,
    /// Distinct targets tried for one client before giving up; at least 1.
    pub connect_attempts: usize,
    /// How long one dial of a target may take.
    pub connect_timeout: Duration,
    /// How long, at most, clients wait in the listen queue at start for the first eligible target.
    pub first_target_timeout: Duration,
    /// After accepting stopped, how long live sessions may go on before they are reset.
    pub shutdown_timeout: Duration,
    /// Log each connection's end.
    pub log_connections: bool,
}

/// A bound socket that does not listen yet, in a SO_REUSEPORT group.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Binds one more socket of the SO_REUSEPORT group of `address`.
    ///
    /// # Errors
    /// As bind(2): the address is in use by a program that does not share it, or is not local.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let _ = address;
        todo!()
    }

    /// Starts to queue connections, at most `backlog`.
    ///
    /// # Errors
    /// As listen(2).
    pub fn listen(&self, backlog: u32) -> io::Result<()> {
        let _ = backlog;
        todo!()
    }
}

/// One core's share of the data plane.
#[derive(Debug)]
pub struct Core {
    /// The CPU to pin to, as the kernel numbers them.
    pub cpu: usize,
    /// Where its clients come from.
    pub listener: Listener,
    /// Where its snapshots come from.
    pub subscriber: Subscriber,
}

/// Why the data plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TODO
    #[error("TODO")]
    Todo,
}

/// The running data plane.
#[derive(Debug)]
pub struct DataPlane {}

impl DataPlane {
    /// Starts an executor per core and returns once each has its ring, before any of them accepts.
    /// The caller then calls listen on... and [`DataPlane::accept`].
    ///
    /// # Errors
    /// When an executor or a ring cannot be made.
    pub fn start(
        settings: &Settings,
        cores: Vec<Core>,
        counters: &Arc<[CoreCounters]>,
    ) -> Result<Self, StartError> {
        let _ = (settings, cores, counters);
        todo!()
    }

    /// Makes every core's socket listen and lets the cores accept.
    ///
    /// # Errors
    /// As listen(2): another program began to listen on the address meanwhile.
    pub fn accept(&self, backlog: u32) -> io::Result<()> {
        let _ = backlog;
        todo!()
    }

    /// Starts the graceful end: cores stop accepting once they have taken what is queued, live
    /// sessions go on until they finish or `shutdown_timeout` is over. Returns at once.
    pub fn stop_accepting(&self) {
        todo!()
    }

    /// Blocks until every core has finished, which happens only after [`Self::stop_accepting`].
    pub fn join(self) {
        todo!()
    }
}

/// Whether this process may use io_uring with all the features needed.
///
/// # Errors
/// A sentence with cause and remedy.
pub fn probe_io_uring() -> Result<(), String> {
    todo!()
}
