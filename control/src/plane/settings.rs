use std::net::IpAddr;
use std::time::Duration;

use crate::discovery::DiscoverySettings;
use crate::discovery::zone::ZoneSettings;
use crate::health::HealthSettings;
use crate::policy::PolicySettings;

/// What the control plane is told of a service: those who connect to one port.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// What it is called: where clients connect; `None` where it is the only one.
    pub port: Option<u16>,
    /// Where its targets serve; `None`: each has a port of its own.
    pub target_port: Option<u16>,
    /// How its targets are checked.
    pub health: HealthSettings,
    /// Whether clients keep their targets: snapshots then carry an [`exchange::Affinity`].
    pub affinity: bool,
}

/// What the control plane is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where targets come from.
    pub discovery: DiscoverySettings,
    /// How often discovery is refreshed; not zero.
    pub discovery_period: Duration,
    /// What differs from service to service; not empty, and at most
    /// [`exchange::ServiceIndex::COUNT_MAX`]. Where there are several, the ports that discovery gives
    /// targets do not matter.
    pub services: Vec<ServiceSettings>,
    /// By what is decided who may receive traffic, in every service.
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
