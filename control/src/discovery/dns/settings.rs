use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::name::DnsName;
use super::servers::DnsServer;

/// How targets are looked for in DNS.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// The name whose records are asked for.
    pub name: DnsName,
    /// Who is asked; `None`: the servers of `/etc/resolv.conf`, which is read again each time.
    pub server: Option<DnsServer>,
    /// The port of a host's targets. SRV records have ports of their own.
    pub default_port: u16,
    /// Where the balancer itself listens: never a target.
    pub own_address: SocketAddr,
    /// The longest time from one refresh to the next; not zero.
    pub period: Duration,
}

impl fmt::Display for DnsSettings {
    /// What is asked of whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = if self.name.is_service() { "SRV records of" } else { "addresses of" };
        write!(f, "the {records} {}, by ", self.name)?;
        match self.server {
            Some(server) => write!(f, "name server {server}"),
            None => f.write_str("the name servers of /etc/resolv.conf"),
        }
    }
}
