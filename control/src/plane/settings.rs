use std::net::IpAddr;
use std::time::Duration;

use crate::discovery::DiscoverySettings;
use crate::discovery::zone::ZoneSettings;
use crate::health::HealthSettings;
use crate::policy::PolicySettings;

/// What the control plane is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where targets come from.
    pub discovery: DiscoverySettings,
    /// How often discovery is refreshed; not zero.
    pub discovery_period: Duration,
    /// How targets are checked.
    pub health: HealthSettings,
    /// By what is decided who may receive traffic.
    pub policy: PolicySettings,
    /// How long the control plane waits for a connection of its own to such a target; not zero.
    pub connect_timeout: Duration,
    /// Which zone this balancer is in, if targets there are to be preferred.
    pub zone: ZoneSettings,
    /// Where the data plane connects targets from: says how many local ports there are.
    pub source_addresses: Vec<IpAddr>,
    /// Most health checks at a time, each with a descriptor; at most [`crate::MAX_PROBES`].
    pub probes_max: usize,
}
