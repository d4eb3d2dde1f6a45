use std::net::SocketAddr;
use std::time::Duration;

use super::mode::Mode;

/// How targets are looked for in AWS.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// What makes an instance a target.
    pub mode: Mode,
    /// The region of the targets; where none is given, the profile's, and else `default_region`.
    pub region: Option<String>,
    /// The region where none is given in any form.
    pub default_region: String,
    /// The port of the targets.
    pub default_port: u16,
    /// Where the balancer itself listens: never a target.
    pub own_address: SocketAddr,
    /// Whether loopback addresses may be targets.
    pub allow_loopback: bool,
    /// In percent (0-100): an answer that would remove more than this share of the targets has to
    /// be confirmed.
    pub shrink_limit: u8,
    /// Time between two refreshes, jittered by ±10 %; not zero. It also bounds how long a refresh
    /// may take.
    pub period: Duration,
    /// The names of the variables that lead requests through a proxy, or around it, as far as they
    /// are set.
    pub proxies: Vec<String>,
}

impl AwsSettings {
    /// The region that is asked.
    pub(super) fn region(&self) -> &str {
        self.region.as_ref().unwrap_or(&self.default_region)
    }
}
