use control::health::{HealthSettings, ProxyHeader};
use dataplane::ProxyVersion;

use crate::config::reader::Reader;
use crate::config::table as var;

/// How targets are checked.
pub(super) fn settings(read: &Reader<'_>) -> Option<HealthSettings> {
    let has_header = read.value(&var::HEALTH_CHECK_PROXY_PROTOCOL)?;
    let header = match read.value(&var::PROXY_PROTOCOL)? {
        Some(ProxyVersion::V1) => ProxyHeader::V1,
        Some(ProxyVersion::V2) | None => ProxyHeader::V2,
    };
    Some(HealthSettings {
        period: read.value(&var::HEALTH_CHECK_PERIOD)?,
        path: read.value(&var::HEALTH_CHECK_PATH)?,
        timeout: read.value(&var::HEALTH_CHECK_TIMEOUT)?,
        port: read.value(&var::HEALTH_CHECK_PORT)?,
        status: read.value(&var::HEALTH_CHECK_STATUS)?,
        rise: read.value(&var::HEALTH_CHECK_RISE)?,
        fall: read.value(&var::HEALTH_CHECK_FALL)?,
        proxy_header: has_header.then_some(header),
    })
}
