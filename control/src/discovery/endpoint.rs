use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::log_lines::escaped::Escaped;

/// What an [`Endpoint`] may look like, for error messages. Its own errors leave that to their reader,
/// who may have several to tell.
pub(crate) const ACCEPTED: &str = "an IP address with an optional port from 1 to 65535, as in \
    10.0.0.1, 10.0.0.1:80, 2001:db8::1 or [2001:db8::1]:80";

/// `ip[:port]`, where an IPv6 address that is followed by a port stands in brackets
/// (RFC 3986, 3.2.2). IPv4-mapped IPv6 addresses are taken as the IPv4 addresses they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    ip: IpAddr,
    port: Option<u16>,
}

impl Endpoint {
    /// The address, with `default_port` where no port was given.
    pub(crate) fn or_port(self, default_port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(default_port))
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{}` {what}", Escaped(text));
        let (ip, port) = if let Ok(ip) = text.parse::<IpAddr>() {
            match port_of_bare_ipv6(text) {
                Some((address, port)) => {
                    return Err(wrong(&format!(
                        "may be read in two ways: write [{text}] if it is an address, or \
                         [{address}]:{port} if {port} is the port"
                    )));
                }
                None => (ip, None),
            }
        } else if let Some(bracketed) = text.strip_prefix('[') {
            let (ip, rest) =
                bracketed.split_once(']').ok_or_else(|| wrong("has no closing bracket"))?;
            let ip: Ipv6Addr =
                ip.parse().map_err(|_| wrong("has no IPv6 address in its brackets"))?;
            match (rest, rest.strip_prefix(':')) {
                ("", _) => (IpAddr::V6(ip), None),
                (_, Some(port)) => (IpAddr::V6(ip), Some(port)),
                (_, None) => return Err(wrong("goes on after its bracket without a colon")),
            }
        } else if let Some((address, port)) = port_of_bare_ipv6(text) {
            let what = format!("needs brackets before its port: write [{address}]:{port}");
            return Err(wrong(&what));
        } else {
            let (ip, port) = text.split_once(':').unwrap_or((text, ""));
            let ip: Ipv4Addr = ip
                .parse()
                .map_err(|_| wrong("is not an IP address (host names are not looked up)"))?;
            (IpAddr::V4(ip), Some(port))
        };
        let port = port.map(|port| parse_port(port).ok_or_else(|| wrong("has no valid port")));
        Ok(Self { ip: ip.to_canonical(), port: port.transpose()? })
    }
}

/// The last part of an IPv6 address without brackets, if it may be a port, and the rest an address.
fn port_of_bare_ipv6(text: &str) -> Option<(Ipv6Addr, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    Some((address.parse().ok()?, parse_port(port)?))
}

fn parse_port(text: &str) -> Option<u16> {
    // u16's own parser would let a plus sign pass.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_with_and_without_a_port() {
        for (text, address) in [
            ("10.0.0.1", "10.0.0.1:30080"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("::1", "[::1]:30080"),
            ("[::1]", "[::1]:30080"),
            ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.or_port(30080), address.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_that_may_end_with_a_port_needs_brackets() {
        for (text, suggested) in [
            ("::1:8000", &["[::1:8000]", "[::1]:8000"][..]),
            ("2001:db8::1:8000", &["[2001:db8::1:8000]", "[2001:db8::1]:8000"]),
            ("2001:db8::1:30080", &["[2001:db8::1]:30080"]),
            ("2001:db8:0:1:2:3:4:5:80", &["[2001:db8:0:1:2:3:4:5]:80"]),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}` ")), "{error}");
            for suggested in suggested {
                assert!(error.contains(suggested), "{error}");
                assert!(suggested.parse::<Endpoint>().is_ok(), "{suggested}");
            }
        }
        // The last part of these is no port, or what is before it no address.
        for text in ["2001:db8::1", "::1", "::", "fe80::1:0", "2001:db8::1:beef", "1:2:3:4:5:6:7:8"]
        {
            assert!(text.parse::<Endpoint>().is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_by_name() {
        for text in [
            "",
            "localhost",
            "web:80",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:+80",
            "10.0.0.1:65536",
            "10.0.0",
            "[::1",
            "[::1]80",
            "[::1]:",
            "[::1]:0",
            "[10.0.0.1]:80",
            "[fe80::1%1]:80",
            "10.0.0.1 :80",
            "10.0.0.1:80:80",
            "é:80",
            "[é]:1",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}` ")), "{error}");
        }
    }
}
