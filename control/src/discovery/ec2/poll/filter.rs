use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use exchange::{Target, TargetId};

use crate::discovery::address_check::{Unfit, unfit};
use crate::discovery::ec2::poll::api::Instance;
use crate::discovery::ec2::settings::AwsSettings;

/// An instance that is no target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ignored {
    /// The instance id.
    pub id: String,
    /// Why it is none.
    pub reason: Reason,
    /// Where it would have been reached, if that is the reason.
    pub address: Option<SocketAddr>,
}

/// Why an instance is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Its Auto Scaling Group does not have it in service (pending, standby, terminating …).
    NotInService,
    /// It is not running.
    NotRunning,
    /// It has no private IPv4 address.
    NoPrivateAddress,
    /// Its address is link-local (RFC 3927), where a machine's metadata service lives.
    LinkLocal,
    /// Its address is a loopback one, and these are not allowed.
    Loopback,
    /// It is the balancer itself.
    OwnAddress,
    /// Its address names no single host.
    NotAHost,
    /// Another instance has the same address, in another network perhaps.
    DuplicateAddress,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 8] = [
        Self::NotInService,
        Self::NotRunning,
        Self::NoPrivateAddress,
        Self::LinkLocal,
        Self::Loopback,
        Self::OwnAddress,
        Self::NotAHost,
        Self::DuplicateAddress,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotInService => "not_in_service",
            Self::NotRunning => "not_running",
            Self::NoPrivateAddress => "no_private_address",
            Self::LinkLocal => "link_local",
            Self::Loopback => "loopback",
            Self::OwnAddress => "own_address",
            Self::NotAHost => "not_a_host",
            Self::DuplicateAddress => "duplicate_address",
        }
    }

    /// Whether it is part of an instance's life, rather than something that somebody has to mend.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::NotInService | Self::NotRunning)
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::NotInService => "it is not in service",
            Reason::NotRunning => "it is not running",
            Reason::NoPrivateAddress => "it has no private IPv4 address",
            Reason::LinkLocal => "its address is a link-local one",
            Reason::Loopback => {
                "its address is a loopback one, and ALLOW_LOOPBACK_TARGETS is not true"
            }
            Reason::OwnAddress => "its address is the balancer's own",
            Reason::NotAHost => "its address names no single host",
            Reason::DuplicateAddress => "another instance has the same address",
        };
        write!(f, "instance {} is no target: {reason}", self.id)?;
        self.address.map_or(Ok(()), |address| write!(f, " ({address})"))
    }
}

/// The target that `instance`, whose texts were checked, is.
///
/// # Errors
/// Why it is none.
pub(super) fn target(instance: &Instance, settings: &AwsSettings) -> Result<Target, Ignored> {
    let ignored = |reason, address| Ignored { id: instance.id.clone(), reason, address };
    if !instance.running {
        return Err(ignored(Reason::NotRunning, None));
    }
    let ip = instance.address.as_deref().and_then(|text| text.parse::<Ipv4Addr>().ok());
    let Some(ip) = ip else {
        return Err(ignored(Reason::NoPrivateAddress, None));
    };
    let address = SocketAddr::new(IpAddr::V4(ip), settings.default_port);
    let reason = match unfit(address, settings.own_address) {
        Some(Unfit::LinkLocal) => Some(Reason::LinkLocal),
        Some(Unfit::Own) => Some(Reason::OwnAddress),
        Some(Unfit::Unspecified | Unfit::Multicast | Unfit::Broadcast) => Some(Reason::NotAHost),
        None => (ip.is_loopback() && !settings.allow_loopback).then_some(Reason::Loopback),
    };
    if let Some(reason) = reason {
        return Err(ignored(reason, Some(address)));
    }
    let zone = instance.zone.as_deref().map(Into::into);
    Ok(Target { id: TargetId::new(&instance.id), address, zone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::ec2::poll::tests::{instance, settings};

    #[test]
    fn a_running_instance_is_a_target() {
        let target = target(&instance("i-1", "10.0.0.1"), &settings("asg")).unwrap();
        assert_eq!(target.id.as_str(), "i-1");
        assert_eq!(target.address, "10.0.0.1:30080".parse().unwrap());
        assert_eq!(target.zone.as_deref(), Some("eu-west-1a"));
    }

    #[test]
    fn what_is_refused_says_why() {
        for (address, reason) in [
            ("169.254.169.254", Reason::LinkLocal),
            ("127.0.0.11", Reason::Loopback),
            ("0.0.0.0", Reason::NotAHost),
            ("224.0.0.1", Reason::NotAHost),
            ("", Reason::NoPrivateAddress),
            ("host", Reason::NoPrivateAddress),
            ("fe80::1", Reason::NoPrivateAddress),
        ] {
            let ignored = target(&instance("i-1", address), &settings("asg")).unwrap_err();
            assert_eq!(ignored.reason, reason, "{address}");
            let shown = ignored.to_string();
            assert!(shown.contains("i-1") && !reason.is_ordinary(), "{shown}");
            assert!(ignored.address.is_none() || shown.contains(address), "{shown}");
        }
    }

    #[test]
    fn loopback_is_allowed_on_demand_and_the_balancer_never() {
        let mut settings = settings("asg");
        settings.allow_loopback = true;
        target(&instance("i-1", "127.0.0.11"), &settings).unwrap();
        settings.own_address = "0.0.0.0:30080".parse().unwrap();
        let ignored = target(&instance("i-1", "127.0.0.11"), &settings).unwrap_err();
        assert_eq!(ignored.reason, Reason::OwnAddress);
    }

    #[test]
    fn stopped_instances_are_none() {
        let stopped = Instance { running: false, ..instance("i-1", "10.0.0.1") };
        let ignored = target(&stopped, &settings("asg")).unwrap_err();
        assert_eq!(ignored.reason, Reason::NotRunning);
    }
}
