use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where a connection came from and where it was made to, both of one family: IPv4 wherever both
/// can be, as connections to an IPv6 socket may be (IPv4-mapped, RFC 4291, 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    source: SocketAddr,
    destination: SocketAddr,
}

impl Addresses {
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
        let is_ipv4 = from.is_ipv4() && to.is_ipv4();
        // A header has room for one family: where they differ, both are written as IPv6.
        let unify = |ip: IpAddr, port| {
            SocketAddr::new(if is_ipv4 { ip } else { IpAddr::V6(as_ipv6(ip)) }, port)
        };
        Self { source: unify(from, source.port()), destination: unify(to, destination.port()) }
    }

    /// Where the client is; for IPv4-mapped addresses `ip().to_canonical()` tells.
    pub(crate) fn source(&self) -> SocketAddr {
        self.source
    }

    /// What the client connected to.
    pub(crate) fn destination(&self) -> SocketAddr {
        self.destination
    }
}

fn as_ipv6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}
