use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use exchange::Target;

/// Refuses targets that no connection should be forwarded to: link-local addresses (which is where
/// a cloud's metadata service lives; RFC 3927, RFC 4291 2.5.6), addresses that name no single
/// host, and the balancer itself, which would forward to itself until descriptors run out.
///
/// The balancer is any local address with the port of `own_address`, or that very address where
/// `own_address` is not the unspecified one.
///
/// # Errors
/// A sentence naming the target and the reason.
pub fn check_address(target: &Target, own_address: SocketAddr) -> Result<(), String> {
    let Some(unfit) = unfit(target.address, own_address) else { return Ok(()) };
    let reason = match unfit {
        Unfit::Own => format!("the balancer's own address (it listens on {own_address})"),
        kind => format!("{}, to which nothing is forwarded", kind.name()),
    };
    Err(format!("target {} is refused: it is {reason}", target.address))
}

/// What is wrong with a target that has a port of its own where there are several services.
pub fn with_port_of_its_own(target: &Target) -> String {
    format!(
        "target {} has a port of its own, which cannot be where PORT has several services: it says \
         where the targets of each serve",
        target.address
    )
}

/// Why nothing is forwarded to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    LinkLocal,
    Unspecified,
    Multicast,
    Broadcast,
    Own,
}

impl Unfit {
    /// What the address is.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LinkLocal => "a link-local address",
            Self::Unspecified => "the unspecified address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Own => "the balancer's own address",
        }
    }
}

/// As [`check_address`], with the reason as a value.
pub(super) fn unfit(address: SocketAddr, own_address: SocketAddr) -> Option<Unfit> {
    let ip = address.ip().to_canonical();
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if link_local {
        Some(Unfit::LinkLocal)
    } else if ip.is_unspecified() {
        Some(Unfit::Unspecified)
    } else if ip.is_multicast() {
        Some(Unfit::Multicast)
    } else if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some(Unfit::Broadcast)
    } else {
        is_own(ip, address.port(), own_address).then_some(Unfit::Own)
    }
}

fn is_own(ip: IpAddr, port: u16, own_address: SocketAddr) -> bool {
    let own_ip = own_address.ip().to_canonical();
    port == own_address.port() && if own_ip.is_unspecified() { is_local(ip) } else { ip == own_ip }
}

/// Whether `ip` belongs to this machine: then the kernel would send to it from itself. Connecting a
/// datagram socket only looks up the route, no packet leaves (udp(7)).
fn is_local(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        // Any port but 0 will do.
        socket.connect((ip, 9))?;
        socket.local_addr()
    };
    // No route to it, no such address family: then it is not local either.
    ip.is_loopback() || source().is_ok_and(|source| source.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(target: &str, own: &str) -> Result<(), String> {
        check_address(&Target::at(target.parse().unwrap()), own.parse().unwrap())
    }

    #[test]
    fn refuses_what_is_no_single_reachable_host() {
        for (target, reason) in [
            ("169.254.169.254:80", "a link-local"),
            ("[::ffff:169.254.169.254]:80", "a link-local"),
            ("[fe80::1]:80", "a link-local"),
            ("[febf::1]:80", "a link-local"),
            ("0.0.0.0:80", "the unspecified"),
            ("[::]:80", "the unspecified"),
            ("224.0.0.1:80", "a multicast"),
            ("[ff02::1]:80", "a multicast"),
            ("255.255.255.255:80", "the broadcast"),
        ] {
            let error = verdict(target, "0.0.0.0:8080").unwrap_err();
            assert!(error.contains(target) && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn refuses_the_balancer_itself() {
        for (target, own) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
            ("10.9.9.9:8080", "[::ffff:10.9.9.9]:8080"),
            ("127.0.0.11:8080", "0.0.0.0:8080"),
            ("127.0.0.11:8080", "[::]:8080"),
            ("[::1]:8080", "[::]:8080"),
        ] {
            let error = verdict(target, own).unwrap_err();
            assert!(error.contains("own address"), "{error}");
        }
    }

    #[test]
    fn admits_everything_else() {
        for (target, own) in [
            ("127.0.0.11:30080", "0.0.0.0:8080"),
            ("127.0.0.11:8080", "127.0.0.1:8080"),
            ("192.0.2.1:8080", "0.0.0.0:8080"),
            ("[2001:db8::1]:8080", "[::]:8080"),
            ("[::1]:30080", "[::1]:8080"),
        ] {
            assert_eq!(verdict(target, own), Ok(()), "{target} {own}");
        }
    }

    #[test]
    fn knows_an_interface_address_as_local() {
        // The address this machine would use towards the world, if it has one.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            assert!(is_local(socket.local_addr().unwrap().ip()));
        }
        assert!(!is_local("192.0.2.1".parse().unwrap()));
    }
}
