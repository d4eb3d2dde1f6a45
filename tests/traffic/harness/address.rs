use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// An address of 127.0.0.0/8 that nobody else uses: neither another test, whose process has
/// another id, nor a client, which gets 127.0.0.1.
///
/// # Panics
/// After 510 calls in one process.
pub(crate) fn unique() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    // Not 0: that block has 127.0.0.1.
    let block = process::id() % 0x7fff + 1;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 0x1ff, "too many addresses");
    Ipv4Addr::from(127 << 24 | block << 9 | number).into()
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
