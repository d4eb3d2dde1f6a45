use dataplane::ProxyProtocol;

use crate::config::reader::Reader;
use crate::config::table as var;

/// PROXY protocol headers between clients, the balancer and targets.
pub(super) fn settings(read: &mut Reader<'_>) -> Option<ProxyProtocol> {
    let accepts = read.value(&var::ACCEPT_PROXY_PROTOCOL)?;
    let trusted = read.value(&var::TRUSTED_PROXIES)?;
    if accepts && trusted.is_none() {
        let reason = "is not set, and ACCEPT_PROXY_PROTOCOL=true needs it; accepted: the \
                      addresses and blocks of the proxies, such as 10.0.0.0/8, comma separated";
        read.refuse(&var::TRUSTED_PROXIES, reason);
        return None;
    }
    Some(ProxyProtocol {
        from: trusted.filter(|_| accepts),
        drops_fields: read.value(&var::PROXY_PROTOCOL_TLVS)?,
    })
}
