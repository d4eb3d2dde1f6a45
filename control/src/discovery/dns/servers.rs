use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::discovery::endpoint::{self, Endpoint};

/// The port of name servers (RFC 1035, 4.2).
const PORT: u16 = 53;

/// The name server that is asked, in place of those of `/etc/resolv.conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsServer(SocketAddr);

impl DnsServer {
    /// Where it answers.
    pub(super) fn address(self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DnsServer {
    type Err = String;

    /// # Errors
    /// A phrase that says what is wrong and what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let endpoint = text.parse::<Endpoint>();
        let endpoint = endpoint.map_err(|_| {
            format!("is no address of a name server; accepted: {}", endpoint::ACCEPTED)
        })?;
        Ok(Self(endpoint.or_port(PORT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_with_or_without_a_port() {
        let shown = |text: &str| text.parse::<DnsServer>().map(|server| server.to_string());
        assert_eq!(shown("10.0.0.2").as_deref(), Ok("10.0.0.2:53"));
        assert_eq!(shown("[::1]:5353").as_deref(), Ok("[::1]:5353"));
        for text in ["dns.example", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2,10.0.0.3"] {
            assert!(shown(text).unwrap_err().contains("accepted:"), "{text}");
        }
    }
}
