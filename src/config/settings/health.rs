use control::health::{CheckProtocol, HealthSettings, ProxyHeader};
use dataplane::ProxyVersion;

use super::services::ConfiguredService;
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
        protocol: read.value(&var::HEALTH_CHECK_PROTOCOL)?,
        host: read.value(&var::HEALTH_CHECK_HOST)?,
        body: read.value(&var::HEALTH_CHECK_MATCH)?,
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

/// Refuses a text to look for where there is no body to find it in.
pub(super) fn refuse_match_without_body(service: &ConfiguredService, read: &mut Reader<'_>) {
    let told = service.reader();
    let is_http = told.value(&var::HEALTH_CHECK_PROTOCOL) == Some(CheckProtocol::Http);
    if is_http || !told.is_set(&var::HEALTH_CHECK_MATCH) {
        return;
    }
    let whose = service.name.map(|port| format!("for service {port}: ")).unwrap_or_default();
    let reason = format!(
        "{whose}needs an answer with a body; accepted: HEALTH_CHECK_PROTOCOL=http with it, or no \
         HEALTH_CHECK_MATCH"
    );
    read.refuse(&var::HEALTH_CHECK_MATCH, &reason);
}
