use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a target is called: the instance id where there is one, else its `ip:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(Arc<str>);

impl TargetId {
    /// Takes `id` as it is.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A server that connections can be forwarded to.
///
/// Its identity is the id *and* the address: the same address under another id is another target
/// (an instance that was replaced), and so is the same id at another address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The instance id, or the address where there is none.
    pub id: TargetId,
    /// Where it serves.
    pub address: SocketAddr,
    /// Its availability zone, where known. Not part of what is compared across cores.
    pub zone: Option<Arc<str>>,
}

impl Target {
    /// A target without an instance id: its address is its id.
    pub fn at(address: SocketAddr) -> Self {
        Self { id: TargetId::new(&address.to_string()), address, zone: None }
    }

    /// An instance without an id, at whatever port each service gives it ([`Target::at_port`]): its
    /// address without a port is its id.
    pub fn without_port(ip: IpAddr) -> Self {
        Self { id: TargetId::new(&ip.to_string()), address: SocketAddr::new(ip, 0), zone: None }
    }

    /// The same instance, serving at `port`.
    #[must_use]
    pub fn at_port(mut self, port: u16) -> Self {
        self.address.set_port(port);
        self
    }

    /// The same target, said to be in `zone`.
    #[must_use]
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.into());
        self
    }
}
