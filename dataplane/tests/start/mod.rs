//! How the tests between real sockets start a data plane.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use dataplane::{Core, DataPlane, Listener, Settings};
use exchange::{CoreCounters, Publisher, Reports, broadcast, reports};

/// A data plane that accepts clients, and the other ends of its channels.
#[allow(dead_code, reason = "not every test needs every end")]
pub(crate) struct Started {
    pub(crate) running: DataPlane,
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<[CoreCounters]>,
    pub(crate) publisher: Publisher,
    pub(crate) reports: Reports,
}

/// All cores are on the first CPU.
pub(crate) fn start(cores: usize, settings: &Settings) -> Started {
    let (publisher, subscribers) = broadcast(cores).unwrap();
    let (reporters, reports) = reports(cores).unwrap();
    let counters: Arc<[CoreCounters]> = (0..cores).map(|_| CoreCounters::default()).collect();
    let address = free_address();
    let cores = subscribers.into_iter().zip(reporters).map(|(subscriber, reporter)| Core {
        cpu: 0,
        listener: Listener::bind(address).unwrap(),
        subscriber,
        reporter,
    });
    let mut running = DataPlane::start(settings, cores.collect(), &counters).unwrap();
    running.accept().unwrap();
    Started { running, address, counters, publisher, reports }
}

/// An address that nobody listens on for now.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
