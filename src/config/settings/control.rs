use std::net::SocketAddr;

use control::{ServiceSettings, Settings, breaker, policy, zone::ZoneSettings};
use dataplane::Balance;

use super::services::ConfiguredService;
use super::{discovery, health, limits, zone};
use crate::config::reader::Reader;
use crate::config::table as var;

/// What the control plane is told. `listen` is where clients connect, if that could be parsed.
pub(crate) fn settings(
    listen: &[SocketAddr],
    services: Option<&[ConfiguredService]>,
    read: &mut Reader<'_>,
) -> Option<Settings> {
    let discovery = discovery::settings(listen, services, read);
    let zone = zone::settings(read);
    let services = services?;
    for service in services {
        health::refuse_match_without_body(service, read);
    }
    let services: Option<Vec<_>> = services.iter().map(service).collect();
    let services = services?;
    let is_zone_heeded = services.iter().any(|service| !service.affinity);
    let rebalance_rate = read.value(&var::REBALANCE_RATE)?;
    Some(Settings {
        discovery: discovery?,
        discovery_period: read.value(&var::NODE_CHECK_PERIOD)?,
        services,
        connect_timeout: read.value(&var::POOL_TIMEOUT)?,
        zone: if is_zone_heeded { zone? } else { ZoneSettings::Ignored },
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

fn service(service: &ConfiguredService) -> Option<ServiceSettings> {
    let read = service.reader();
    Some(ServiceSettings {
        port: service.name,
        target_port: service.name.map(|_| service.target_port),
        health: health::settings(&read)?,
        affinity: read.value(&var::BALANCE)? == Balance::Maglev,
    })
}
