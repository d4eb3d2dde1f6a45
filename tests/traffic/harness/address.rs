use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// An address of 127.0.0.0/8 that nobody else uses: neither another test, whose process has
/// another id, nor a client, which gets 127.0.0.1.
///
/// # Panics
/// After 254 calls in one process.
pub(crate) fn unique() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [_, _, high, low] = (process::id() % (254 << 8)).to_be_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    let last = u8::try_from(last).ok().filter(|last| *last < 255).expect("too many addresses");
    Ipv4Addr::new(127, high + 1, low, last).into()
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
