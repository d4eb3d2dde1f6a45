use std::net::SocketAddr;
use std::time::Duration;

use exchange::Target;

use super::body_match::BodyMatch;
use super::check_host::CheckHost;
use super::path::CheckPath;
use super::proxy_header::ProxyHeader;
use super::status::StatusSet;

/// What a check speaks to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckProtocol {
    /// A GET of HTTP/1.1.
    Http,
    /// Nothing: whether it can be connected to is all that counts, and its server sees none of it.
    Tcp,
    /// There are no checks: every target is as good as one that has passed.
    None,
}

/// How targets are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// What a check speaks. The status, the path and what else is of HTTP counts there alone.
    pub protocol: CheckProtocol,
    /// Time between two checks of one target, jittered by ±10 %; not zero.
    pub period: Duration,
    /// Origin-form path.
    pub path: CheckPath,
    /// Longest that one whole check may take; not zero.
    pub timeout: Duration,
    /// The port to check; the target's own where none is given.
    pub port: Option<u16>,
    /// What a check calls its target (`Host`); by its address where none is given.
    pub host: Option<CheckHost>,
    /// What the body of an answer has to hold.
    pub body: Option<BodyMatch>,
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
    /// Where `target` is checked.
    pub fn address_of(&self, target: &Target) -> SocketAddr {
        SocketAddr::new(target.address.ip(), self.port.unwrap_or(target.address.port()))
    }

    /// What a check of the target at `address` asks, for people.
    pub fn asked(&self, address: &dyn std::fmt::Display) -> String {
        match (self.protocol, &self.host) {
            (CheckProtocol::Http, Some(host)) => format!("GET {}, Host: {host}", self.path),
            (CheckProtocol::Http, None) => format!("GET {}, Host: {address}", self.path),
            (CheckProtocol::Tcp, _) => format!("TCP connection to {address}"),
            (CheckProtocol::None, _) => "HEALTH_CHECK_PROTOCOL=none".to_owned(),
        }
    }
}
