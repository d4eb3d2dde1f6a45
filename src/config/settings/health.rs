use control::health::{CheckProtocol, HealthSettings, ProxyHeader};
use dataplane::ProxyVersion;

use crate::config::reader::Reader;
use crate::config::table as var;

/// How targets are checked.
pub(super) fn settings(read: &mut Reader<'_>) -> Option<HealthSettings> {
    let has_header = read.value(&var::HEALTH_CHECK_PROXY_PROTOCOL)?;
    let header = match read.value(&var::PROXY_PROTOCOL)? {
        Some(ProxyVersion::V1) => ProxyHeader::V1,
        Some(ProxyVersion::V2) | None => ProxyHeader::V2,
    };
    let protocol = read.value(&var::HEALTH_CHECK_PROTOCOL)?;
    let body = read.value(&var::HEALTH_CHECK_MATCH)?;
    if body.is_some() && protocol != CheckProtocol::Http {
        let reason = "needs an answer with a body; accepted: HEALTH_CHECK_PROTOCOL=http with it, or \
                      no HEALTH_CHECK_MATCH";
        read.refuse(&var::HEALTH_CHECK_MATCH, reason);
        return None;
    }
    Some(HealthSettings {
        protocol,
        host: read.value(&var::HEALTH_CHECK_HOST)?,
        body,
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
