use std::net::SocketAddr;

use control::{ServiceSettings, Settings, breaker, policy, zone::ZoneSettings};
use dataplane::Balance;

use super::{discovery, health, limits, zone};
use crate::config::reader::Reader;
use crate::config::table as var;

/// What the control plane is told. `listen` is where clients connect, if that could be parsed.
pub(crate) fn settings(listen: Option<SocketAddr>, read: &mut Reader<'_>) -> Option<Settings> {
    let discovery = discovery::settings(listen, read);
    let zone = zone::settings(read);
    let affinity = read.value(&var::BALANCE)? == Balance::Maglev;
    let rebalance_rate = read.value(&var::REBALANCE_RATE)?;
    Some(Settings {
        discovery: discovery?,
        discovery_period: read.value(&var::NODE_CHECK_PERIOD)?,
        services: vec![ServiceSettings {
            port: None,
            target_port: None,
            health: health::settings(read)?,
            affinity,
        }],
        connect_timeout: read.value(&var::POOL_TIMEOUT)?,
        zone: if affinity { ZoneSettings::Ignored } else { zone? },
        source_addresses: limits::sources(read)?.addresses().collect(),
        // The start-up checks find out.
        probes_max: control::MAX_PROBES,
        policy: policy::PolicySettings {
            fail_open_threshold: read.value(&var::FAIL_OPEN_THRESHOLD)?,
            drain_timeout: read.value(&var::DRAIN_TIMEOUT)?,
            reset_unhealthy: read.value(&var::UNHEALTHY_CONNECTIONS)?,
            slow_start: read.value(&var::SLOW_START)?,
            rebalance_rate,
            breaker: breaker::BreakerSettings {
                threshold: read.value(&var::CIRCUIT_BREAKER_THRESHOLD)?,
                timeout: read.value(&var::CIRCUIT_BREAKER_TIMEOUT)?,
            },
        },
    })
}
