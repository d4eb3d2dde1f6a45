//! Targets from DNS: the addresses of a host name, or the servers that SRV records name. The only
//! module that names the resolver's library.

pub(crate) mod fault;
pub(crate) mod labels;
mod name;
mod pace;
pub(super) mod refresh;
mod resolved;
mod resolver;
mod servers;
pub(super) mod settings;
mod tracker;

pub use fault::DnsFault;
pub use name::DnsName;
pub use refresh::resolve_once;
pub use resolved::Resolved;
pub use servers::DnsServer;
pub use settings::DnsSettings;
