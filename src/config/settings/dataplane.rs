use std::time::Duration;

use dataplane::{IdleTimeouts, ServiceSettings, Settings};

use super::services::ConfiguredService;
use super::{limits, proxy_protocol};
use crate::config::reader::Reader;
use crate::config::table as var;

/// What the cores are told.
pub(crate) fn settings(
    services: Option<&[ConfiguredService]>,
    read: &mut Reader<'_>,
) -> Option<Settings> {
    let proxy_protocol = proxy_protocol::settings(read);
    let services: Option<Vec<_>> = services?.iter().map(service).collect();
    let keepalive = read.value(&var::TCP_KEEPALIVE)?;
    Some(Settings {
        services: services?,
        // The start-up checks find out.
        connections_max: usize::MAX,
        pool_size: read.value(&var::POOL_SIZE)?.into(),
        limits: limits::limits(read)?,
        sources: limits::sources(read)?,
        listen_backlog: read.value(&var::LISTEN_BACKLOG)?,
        proxy_protocol: proxy_protocol?,
        connect_attempts: read.value(&var::CONNECT_ATTEMPTS)?.into(),
        connect_timeout: read.value(&var::POOL_TIMEOUT)?,
        idle_timeouts: idle_timeouts(read)?,
        keepalive: unless_zero(keepalive),
        shutdown_timeout: read.value(&var::SHUTDOWN_TIMEOUT)?,
        log_connections: read.value(&var::LOG_CONNECTIONS)?,
    })
}

fn service(service: &ConfiguredService) -> Option<ServiceSettings> {
    let read = service.reader();
    Some(ServiceSettings {
        port: service.name,
        balance: read.value(&var::BALANCE)?,
        proxy_header: read.value(&var::PROXY_PROTOCOL)?,
    })
}

fn idle_timeouts(read: &Reader<'_>) -> Option<IdleTimeouts> {
    let open = read.value(&var::IDLE_TIMEOUT)?;
    let half_closed = read.value(&var::HALF_CLOSED_TIMEOUT)?.unwrap_or(open);
    Some(IdleTimeouts { open: unless_zero(open), half_closed: unless_zero(half_closed) })
}

fn unless_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}
