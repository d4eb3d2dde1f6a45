use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys::bind_address_without_port;

/// The own addresses that targets are connected from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    four: Arc<[IpAddr]>,
    six: Arc<[IpAddr]>,
}

/// Where a connect comes from: one of [`Sources::count`] for its target, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source(u8);

impl Source {
    /// Connects hold it, so it is small.
    pub(crate) fn new(number: usize) -> Self {
        Self(u8::try_from(number).expect("there are at most COUNT_MAX"))
    }

    pub(crate) fn number(self) -> usize {
        self.0.into()
    }
}

impl Sources {
    /// More are not taken: each core goes through them when ports run out.
    pub const COUNT_MAX: usize = 64;

    /// These, or whatever the kernel chooses where there is none of the target's family.
    ///
    /// # Panics
    /// When there are more than [`Sources::COUNT_MAX`].
    pub fn new(addresses: &[IpAddr]) -> Self {
        assert!(addresses.len() <= Self::COUNT_MAX, "{} source addresses", addresses.len());
        let (four, six): (Vec<_>, Vec<_>) = addresses.iter().partition(|it| it.is_ipv4());
        Self { four: four.into(), six: six.into() }
    }

    /// All of them.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.four.iter().chain(self.six.iter()).copied()
    }

    /// Those that cannot be connected from, and why: as bind(2).
    pub fn unusable(&self) -> impl Iterator<Item = (IpAddr, io::Error)> {
        self.addresses().filter_map(|address| {
            let domain = Domain::for_address(SocketAddr::new(address, 0));
            let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP));
            socket.and_then(|socket| bind(&socket, address)).err().map(|error| (address, error))
        })
    }

    /// How many there are for a target, the kernel's choice being one.
    pub fn count(&self, target: IpAddr) -> usize {
        self.for_target(target).len().max(1)
    }

    /// A socket to connect `target` with, bound to the address `source` stands for. Blocking:
    /// `io_uring` would not wait on a non-blocking one.
    ///
    /// # Errors
    /// As socket(2) and bind(2): above all, an address that is no longer this machine's.
    pub(crate) fn socket(&self, target: SocketAddr, source: Source) -> io::Result<OwnedFd> {
        let domain = Domain::for_address(target);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        // What a client sent in one piece is not to wait for the acknowledgement of the one before.
        socket.set_tcp_nodelay(true)?;
        let addresses = self.for_target(target.ip());
        if let Some(&address) = addresses.get(source.number()) {
            bind(&socket, address)?;
        }
        Ok(socket.into())
    }

    /// The address in a log line; empty where it is the kernel's choice.
    pub(crate) fn name(&self, target: IpAddr, source: Source) -> String {
        let address = self.for_target(target).get(source.number());
        address.map_or_else(String::new, |address| format!(" from {address}"))
    }

    fn for_target(&self, target: IpAddr) -> &[IpAddr] {
        if target.is_ipv4() { &self.four } else { &self.six }
    }
}

/// Takes no port: one chosen by bind could serve one target only, and none may be chosen for
/// connections from other addresses (`inet_hash_connect` in the kernel).
fn bind(socket: &Socket, address: IpAddr) -> io::Result<()> {
    bind_address_without_port(socket)?;
    socket.bind(&SocketAddr::new(address, 0).into())
}

/// Whether a bind or connect failed for want of a free local port, or of the local address.
pub(crate) fn is_about_the_source(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EADDRNOTAVAIL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_of_the_other_family_is_no_source() {
        let sources = Sources::new(&[ip("127.0.0.2"), ip("::1"), ip("127.0.0.3")]);
        assert_eq!(sources.count(ip("10.0.0.1")), 2);
        assert_eq!(sources.count(ip("2001:db8::1")), 1);
        assert_eq!(Sources::default().count(ip("10.0.0.1")), 1);
        let four = Sources::new(&[ip("127.0.0.2")]);
        assert_eq!(four.count(ip("::1")), 1);
        assert_eq!(four.name(ip("::1"), Source::new(0)), "");
        assert_eq!(four.name(ip("10.0.0.1"), Source::new(0)), " from 127.0.0.2");
    }

    #[test]
    fn a_socket_has_its_source_and_no_port_yet() {
        let sources = Sources::new(&[ip("127.0.0.2"), ip("127.0.0.3")]);
        let target = "127.0.0.1:1".parse().unwrap();
        for (source, own) in [(0, "127.0.0.2:0"), (1, "127.0.0.3:0")] {
            let socket = sources.socket(target, Source::new(source)).unwrap();
            let address = SockRef::from(&socket).local_addr().unwrap().as_socket();
            assert_eq!(address, own.parse().ok());
        }
        let socket = Sources::default().socket(target, Source::new(0)).unwrap();
        let address = SockRef::from(&socket).local_addr().unwrap().as_socket();
        assert_eq!(address, "0.0.0.0:0".parse().ok());
        // TEST-NET-1 of RFC 5737: no machine has it.
        let error = Sources::new(&[ip("192.0.2.1")]).socket(target, Source::new(0)).unwrap_err();
        assert!(is_about_the_source(&error), "{error}");
    }
}
