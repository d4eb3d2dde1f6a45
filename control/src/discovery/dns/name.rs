use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::labels::{are_labels, ends_with_number, is_too_long};

/// The name whose records say where targets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsName(String);

impl DnsName {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has the form of a service, `_service._proto.name`, whose records are of type SRV
    /// (RFC 2782). They name ports, and hosts of which the addresses are those of the targets.
    pub fn is_service(&self) -> bool {
        let mut labels = self.0.split('.').map(|label| label.starts_with('_'));
        labels.next() == Some(true) && labels.next() == Some(true)
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DnsName {
    type Err = String;

    /// # Errors
    /// A phrase that says what is wrong and what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = "accepted: a host name such as workers.example.com, or that of SRV records \
                        such as _http._tcp.example.com";
        let wrong = |what: &str| Err(format!("{what}; {accepted}"));
        let bare = text.trim_start_matches('[').split(']').next().unwrap_or_default();
        if bare.parse::<IpAddr>().is_ok() {
            return wrong("is an address: there is nothing to look up, use NODE_FILTER=static");
        }
        if text.contains(':') {
            return wrong("is no name; the port of a host's targets is TARGET_PORT");
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if is_too_long(name) || !are_labels(name, is_label) {
            return wrong("is no DNS name");
        }
        if ends_with_number(name) {
            return wrong("ends with a number, as an address does");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_of_services_are_told_apart() {
        for host in ["a", "a.b.", "my_app", "_a.b", "workers.example.com", "x--y.3com"] {
            assert!(!host.parse::<DnsName>().unwrap().is_service(), "{host}");
        }
        for service in ["_http._tcp.example.com", "_a._b", "_http._tcp.a.b."] {
            assert!(service.parse::<DnsName>().unwrap().is_service(), "{service}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_is() {
        let long = "a".repeat(64);
        let longer = "a.".repeat(128);
        for (text, reason) in [
            ("10.0.0.1", "is an address"),
            ("::1", "is an address"),
            ("[2001:db8::1]:80", "is an address"),
            ("10.0.0.1:80", "TARGET_PORT"),
            ("a.example:80", "TARGET_PORT"),
            ("10.1", "ends with a number"),
            ("a..b", "no DNS name"),
            (".", "no DNS name"),
            ("a b", "no DNS name"),
            ("bücher.example", "no DNS name"),
            (&long, "no DNS name"),
            (&longer, "no DNS name"),
        ] {
            let error = text.parse::<DnsName>().unwrap_err();
            assert!(error.contains(reason) && error.contains("accepted:"), "{text}: {error}");
        }
    }
}
