use std::net::SocketAddr;
use std::time::Duration;

use exchange::Target;

use super::path::CheckPath;
use super::proxy_header::ProxyHeader;
use super::status::StatusSet;

/// How targets are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// Time between two checks of one target, jittered by ±10 %; not zero.
    pub period: Duration,
    /// Origin-form path.
    pub path: CheckPath,
    /// Longest that one whole check may take; not zero.
    pub timeout: Duration,
    /// The port to check; the target's own where none is given.
    pub port: Option<u16>,
    /// What a check sends before its request.
    pub proxy_header: Option<ProxyHeader>,
    /// Which status codes mean healthy.
    pub status: StatusSet,
    /// Passes in a row that admit a target again; its very first pass admits it at once.
    pub rise: u32,
    /// Failures in a row that take a target out.
    pub fall: u32,
}

impl HealthSettings {
    /// Where `target` is checked, and as what (`Host`).
    pub fn address_of(&self, target: &Target) -> SocketAddr {
        SocketAddr::new(target.address.ip(), self.port.unwrap_or(target.address.port()))
    }
}
