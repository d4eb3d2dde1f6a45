use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many addresses each process has.
const BLOCK: u32 = 512;

/// An address of 127.0.0.0/8 that nobody else uses: neither another test, whose process has
/// another id, nor a client, which gets 127.0.0.1.
///
/// # Panics
/// After 510 calls in one process.
pub(crate) fn unique() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < BLOCK - 1, "too many addresses");
    // From 127.1.0.0 on, which leaves 255 << 16.
    let block = process::id() % ((255 << 16) / BLOCK);
    Ipv4Addr::from_bits((127 << 24) + (1 << 16) + block * BLOCK + number).into()
}

/// The ports that all servers of this process share, each on its own address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) clients: u16,
    pub(crate) admin: u16,
    pub(crate) target: u16,
    pub(crate) health: u16,
}

/// Ports that no other program uses on any address.
pub(crate) fn ports() -> Ports {
    static PORTS: OnceLock<Ports> = OnceLock::new();
    *PORTS.get_or_init(|| {
        // All are held until the last is chosen, so they differ.
        let free = [(); 4].map(|()| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        let [clients, admin, target, health] = free.map(|it| it.local_addr().unwrap().port());
        Ports { clients, admin, target, health }
    })
}
