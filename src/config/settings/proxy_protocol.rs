use control::health::ProxyHeader;
use dataplane::{Cidrs, ProxyProtocol, ProxyVersion};

use crate::config::reader::Reader;
use crate::config::table::{self as var, Raw};
use crate::config::value;

/// PROXY protocol headers between clients, the balancer and targets.
pub(in crate::config) fn settings(raw: &Raw, read: &mut Reader) -> Option<ProxyProtocol> {
    let text = raw.proxy_protocol.as_deref();
    let to_targets = read.value(var::PROXY_PROTOCOL, text, value::proxy_protocol);
    let text = raw.proxy_protocol_tlvs.as_deref();
    let drops_fields = read.value(var::PROXY_PROTOCOL_TLVS, text, value::proxy_protocol_tlvs);
    let text = raw.accept_proxy_protocol.as_deref();
    let accepts = read.value(var::ACCEPT_PROXY_PROTOCOL, text, value::boolean);
    let text = raw.trusted_proxies.as_deref();
    let trusted = read.optional(var::TRUSTED_PROXIES, text, value::own::<Cidrs>);
    let from = match (accepts?, trusted?) {
        (true, None) => {
            let reason = "is not set, and ACCEPT_PROXY_PROTOCOL=true needs it; accepted: the \
                          addresses and blocks of the proxies, such as 10.0.0.0/8, comma separated";
            read.refuse(var::TRUSTED_PROXIES, None, reason);
            return None;
        }
        (true, trusted) => trusted,
        (false, _) => None,
    };
    Some(ProxyProtocol { from, to_targets: to_targets?, drops_fields: drops_fields? })
}

/// What health checks begin with.
#[expect(clippy::option_option, reason = "bad and none are two different things")]
pub(in crate::config) fn of_health_checks(
    raw: &Raw,
    read: &mut Reader,
) -> Option<Option<ProxyHeader>> {
    let text = raw.health_check_proxy_protocol.as_deref();
    let is_wanted = read.value(var::HEALTH_CHECK_PROXY_PROTOCOL, text, value::boolean)?;
    let text = raw.proxy_protocol.as_deref();
    // A bad value is reported where the data plane's settings are read.
    let version = Reader::default().value(var::PROXY_PROTOCOL, text, value::proxy_protocol)?;
    let header = match version {
        Some(ProxyVersion::V1) => ProxyHeader::V1,
        Some(ProxyVersion::V2) | None => ProxyHeader::V2,
    };
    Some(is_wanted.then_some(header))
}
