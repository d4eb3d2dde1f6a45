use super::remark::Remark;
use crate::config::environment::Environment;
use crate::config::table::{DNS_NAME, NODE_FILTER, TARGET_PORT};

/// SRV records have ports of their own.
pub(super) fn unused_port(environment: &Environment) -> Option<Remark> {
    let name = (DNS_NAME.parse)(environment.get(&DNS_NAME)).ok().flatten()?;
    let is_read = environment.get(&NODE_FILTER) == Some("dns");
    let written = environment.written(&TARGET_PORT.row).filter(|_| is_read && name.is_service())?;
    let variable = written.name;
    let text = format!("{variable} is set, but the SRV records of DNS_NAME={name} name the ports");
    Some(Remark::warning(variable, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_in_vain_beside_those_of_srv_records() {
        let told = |name: &str, filter: &str| {
            let variables = [("DNS_NAME", name), ("NODE_FILTER", filter), ("TARGET_PORT", "80")];
            let environment =
                variables.into_iter().map(|(name, value)| (name.into(), value.into()));
            unused_port(&environment.collect()).map(|remark| remark.to_string())
        };
        assert_eq!(
            told("_http._tcp.example", "dns").as_deref(),
            Some(
                "TARGET_PORT is set, but the SRV records of DNS_NAME=_http._tcp.example name the ports"
            )
        );
        assert_eq!(told("workers.example", "dns"), None);
        assert_eq!(told("_http._tcp.example", "static"), None);
        assert_eq!(told("", "dns"), None);
    }
}
