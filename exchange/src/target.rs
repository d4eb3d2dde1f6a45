use std::fmt;
use std::net::SocketAddr;
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

    /// The same instance, serving at `port`. One that is called by its address is called by it without
    /// a port: so it has one id wherever it serves.
    #[must_use]
    pub fn at_port(mut self, port: u16) -> Self {
        if self.id.as_str() == self.address.to_string() {
            self.id = TargetId::new(&self.address.ip().to_string());
        }
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
