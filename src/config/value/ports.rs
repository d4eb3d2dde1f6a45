use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use exchange::ServiceIndex;

use super::list::each;

/// `PORT`: where clients connect, each port a service, and where that service's targets serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports(Vec<ServicePorts>);

/// The ports of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServicePorts {
    /// Where clients connect.
    pub(crate) port: u16,
    /// Where its targets serve; `None`: as `TARGET_PORT` says.
    pub(crate) target_port: Option<u16>,
}

const ACCEPTED: &str = "accepted: a port from 1 to 65535, or several, each with its targets' port: \
                        80:30080,443:30443";

impl Ports {
    /// In the order they are written in; not empty.
    pub(crate) fn services(&self) -> &[ServicePorts] {
        &self.0
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut services, mut seen) = (Vec::new(), BTreeSet::new());
        each(text, ACCEPTED, |part| {
            let (port, target_port) = match part.split_once(':') {
                Some((port, target_port)) => (port.trim_end(), Some(target_port.trim_start())),
                None => (part, None),
            };
            let target_port =
                target_port.map(|text| number(text).ok_or("has no valid port of targets"));
            let target_port = target_port.transpose()?;
            let port = number(port).ok_or("is no valid port")?;
            if !seen.insert(port) {
                return Err(format!("is there twice: port {port} is one service"));
            }
            services.push(ServicePorts { port, target_port });
            Ok(())
        })?;
        if services.len() > ServiceIndex::COUNT_MAX {
            let most = ServiceIndex::COUNT_MAX;
            return Err(format!("has {} services, the most is {most}; {ACCEPTED}", services.len()));
        }
        Ok(Self(services))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<_> = self.0.iter().map(|service| service.port.to_string()).collect();
        f.write_str(&ports.join(", "))
    }
}

/// u16's own parser would let a plus sign pass.
fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_and_without_those_of_targets() {
        for (text, expected) in [
            ("8080", vec![(8080, None)]),
            ("80:30080", vec![(80, Some(30080))]),
            ("80:30080, 443 : 30443", vec![(80, Some(30080)), (443, Some(30443))]),
            ("80,443:80", vec![(80, None), (443, Some(80))]),
        ] {
            let ports: Ports = text.parse().unwrap();
            let shown: Vec<_> =
                ports.services().iter().map(|it| (it.port, it.target_port)).collect();
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many: Vec<_> = (1..=33).map(|port: u16| port.to_string()).collect();
        for (text, named) in [
            ("0", "no valid port"),
            ("65536", "no valid port"),
            ("+80", "no valid port"),
            ("http", "no valid port"),
            ("80:", "no valid port of targets"),
            ("80:0", "no valid port of targets"),
            ("80:1:2", "no valid port of targets"),
            (":80", "no valid port"),
            ("80,", "accepted"),
            ("80,443,80:1", "is there twice: port 80"),
            (&many.join(","), "has 33 services, the most is 32"),
        ] {
            let error = text.parse::<Ports>().unwrap_err();
            assert!(error.contains(named) && error.contains("accepted"), "{text}: {error}");
        }
    }
}
