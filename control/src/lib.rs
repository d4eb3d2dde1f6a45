//! The control plane: finds targets, checks their health and decides who may receive traffic. Its
//! only product is an immutable [`exchange::Snapshot`], published to every core.

pub mod discovery;
pub mod health;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use exchange::{CoreCounters, Publisher, Snapshot};
use tokio::sync::watch;

/// Threads that health checks may block at once: what the runtime needs as its bound on blocking
/// threads.
pub const MAX_BLOCKING_THREADS: usize = 512;

/// What the control plane is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where targets come from.
    pub discovery: discovery::Settings,
    /// How often discovery is refreshed.
    pub discovery_period: Duration,
    /// How targets are checked.
    pub health: health::Settings,
    /// In percent (0-100): at or below this share of healthy targets, all that are not draining are used;
    /// 0: only when none is healthy.
    pub fail_open_threshold: u8,
}

/// The running control plane. Its tasks run on the tokio runtime it was started on.
#[derive(Debug)]
pub struct Control {}

impl Control {
    /// Starts discovery, health checks and, where `admin` is given (bound and listening already), the admin server.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the admin socket cannot be handed to the runtime.
    pub fn start(
        settings: Settings,
        publisher: Publisher,
        counters: Arc<[CoreCounters]>,
        admin: Option<TcpListener>,
    ) -> std::io::Result<Self> {
        let _ = (settings, publisher, counters, admin);
        todo!()
    }

    /// Says whether the data plane accepts connections; `/readyz` is 503 while it does not.
    pub fn set_accepting(&self, accepting: bool) {
        let _ = accepting;
    }

    /// The latest published snapshot, and a way to wait for the next.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        todo!()
    }
}
