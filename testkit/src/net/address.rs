//! Addresses and ports that tests share without meeting.

use std::net::{IpAddr, Ipv4Addr};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::port::Port;

/// Addresses for each process: all but the first and the last of a block of 2 to the power of 11.
const BLOCK: u32 = 1 << 11;
/// Without the first one of 127.0.0.0/8, in which 127.0.0.1 is.
const BLOCKS: u32 = (1 << 24) / BLOCK - 1;

/// An address of 127.0.0.0/8 that nobody else uses: neither another test, whose process has
/// another id, nor a client, which gets 127.0.0.1.
///
/// # Panics
/// After 2046 calls in one process.
pub fn unique() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(last < BLOCK - 1, "too many addresses");
    let block = 1 + process::id() % BLOCKS;
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 0, 0).to_bits() + block * BLOCK + last).into()
}

/// The ports that all servers of this process share, each on its own address.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Where clients connect to a balancer.
    pub clients: u16,
    /// Where operators do.
    pub admin: u16,
    /// Where a target serves clients.
    pub target: u16,
    /// Where it answers health checks.
    pub health: u16,
}

/// Ports that no other program uses on any address. Which they are depends on the network namespace
/// that asks first: it has to be the process's own.
pub fn ports() -> Ports {
    static PORTS: OnceLock<[Port; 4]> = OnceLock::new();
    let held = PORTS.get_or_init(|| [(); 4].map(|()| Port::free()));
    let [clients, admin, target, health] = held.each_ref().map(Port::number);
    Ports { clients, admin, target, health }
}
