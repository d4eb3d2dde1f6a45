//! Ports that are free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::process;

/// Below the kernel's usual ephemeral range, so that no outgoing connection takes one meanwhile.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A TCP port that is free on every address and that no other test uses as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// An abstract socket (unix(7)) with the port in its name: only one process can have it, and
    /// the kernel takes it back from one that dies.
    _reserved: UnixListener,
}

impl Port {
    /// Any free port.
    pub fn free() -> Self {
        let start = process::id().wrapping_mul(2_654_435_761) % u32::from(COUNT);
        let start = u16::try_from(start).expect("below COUNT");
        let candidates = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
        candidates.into_iter().find_map(Self::reserve).expect("one of so many ports is free")
    }

    fn reserve(number: u16) -> Option<Self> {
        let name = format!("stateless-load-balancer-test-port-{number}");
        let name = UnixAddress::from_abstract_name(name).expect("a short name");
        let reserved = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).ok()?;
        Some(Self { number, _reserved: reserved })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its number as the value of a variable.
    pub fn text(&self) -> String {
        self.number.to_string()
    }

    /// The port on 127.0.0.1.
    pub fn local(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
