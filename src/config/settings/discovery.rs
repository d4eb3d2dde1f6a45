use std::net::SocketAddr;

use control::discovery::{
    DiscoverySettings, DnsSettings, FileSettings, check_address, parse_targets, read_file,
    with_port_of_its_own,
};

use exchange::Target;

use super::aws::{Aws, Shared};
use super::services::ConfiguredService;
use crate::config::reader::Reader;
use crate::config::table as var;
use crate::config::value::NodeFilter;

/// Where the targets come from. `listen` is where clients connect, as far as that could be parsed.
pub(super) fn settings(
    listen: &[SocketAddr],
    services: Option<&[ConfiguredService]>,
    read: &mut Reader<'_>,
) -> Option<DiscoverySettings> {
    let ports = services.map(TargetPorts::of);
    // With a port that is bad, any will do to check the rest.
    let ports = ports.unwrap_or(TargetPorts { all: vec![1], is_given: false });
    let default_port = ports.all[0];
    let targets = targets(&ports, listen, read);
    if let Some(reason) = not_chosen(read) {
        read.refuse_unset(&var::NODE_FILTER, &reason);
        return None;
    }
    match read.value(&var::NODE_FILTER)? {
        NodeFilter::Static => static_targets(targets?, read),
        NodeFilter::File => target_file(&ports, listen, read),
        NodeFilter::Dns => dns(&ports, listen, read),
        filter @ (NodeFilter::Asg | NodeFilter::Tag) => {
            refuse_without_aws(read);
            let period = read.value(&var::NODE_CHECK_PERIOD)?;
            let shared = Shared { default_port, own_address: *listen.first()?, period };
            from_aws(Aws::read(read)?, filter == NodeFilter::Tag, shared)
        }
    }
}

/// Where targets serve.
struct TargetPorts {
    /// Each service's; not empty.
    all: Vec<u16>,
    /// They are all that holds: targets have no ports of their own.
    is_given: bool,
}

impl TargetPorts {
    fn of(services: &[ConfiguredService]) -> Self {
        let all: Vec<_> = services.iter().map(|service| service.target_port).collect();
        Self { is_given: all.len() > 1, all }
    }

    /// Whether `target` may be one, wherever it serves.
    fn check(&self, target: &Target, listen: &[SocketAddr]) -> Result<(), String> {
        if !self.is_given {
            // Without an address of its own, the balancer has a worse problem.
            return listen.iter().try_for_each(|own| check_address(target, *own));
        }
        if target.address.port() != self.all[0] {
            return Err(with_port_of_its_own(target));
        }
        let places = self.all.iter().map(|port| target.clone().at_port(*port));
        let mut places = places.flat_map(|it| listen.iter().map(move |own| (it.clone(), *own)));
        places.try_for_each(|(target, own)| check_address(&target, own))
    }
}

/// `TARGETS`, whether it will be used or not; `None` if it is bad.
#[expect(clippy::option_option, reason = "bad and unset are two different things")]
fn targets(
    ports: &TargetPorts,
    listen: &[SocketAddr],
    read: &mut Reader<'_>,
) -> Option<Option<Vec<Target>>> {
    let Some(list) = read.value(&var::TARGETS)? else { return Some(None) };
    // Without an address of its own, the balancer has a worse problem.
    let may_be_target = |target: &_| ports.check(target, listen);
    let targets = parse_targets(&list, ports.all[0], may_be_target);
    targets.map_err(|reason| read.refuse(&var::TARGETS, &reason)).ok().map(Some)
}

/// Why the default of `NODE_FILTER` cannot be meant: a variable is set that another value reads. The
/// balancer would look for targets in AWS for ever.
fn not_chosen(read: &Reader<'_>) -> Option<String> {
    let sources = [
        ("static", var::TARGETS.name(), read.is_set(&var::TARGETS)),
        ("file", var::TARGETS_FILE.name(), read.is_set(&var::TARGETS_FILE)),
        ("dns", var::DNS_NAME.name(), read.is_set(&var::DNS_NAME)),
        ("tag", var::TAG_NAME.name(), read.is_set(&var::TAG_NAME)),
        ("tag", var::TAG_VALUE.name(), read.is_set(&var::TAG_VALUE)),
    ];
    let set = sources.iter().filter(|(_, _, is_set)| *is_set);
    let readers: Vec<_> = set.map(|(filter, name, _)| format!("{filter} reads {name}")).collect();
    (!read.is_set(&var::NODE_FILTER) && !readers.is_empty()).then(|| {
        format!("is not set: {}; accepted: asg, tag, static, file or dns", readers.join(", "))
    })
}

#[cfg(feature = "aws")]
#[expect(clippy::unnecessary_wraps, reason = "other builds have none")]
fn from_aws(aws: Aws, by_tag: bool, common: Shared) -> Option<DiscoverySettings> {
    Some(aws.settings(by_tag, common))
}

#[cfg(feature = "aws")]
fn refuse_without_aws(_: &mut Reader<'_>) {}

#[cfg(not(feature = "aws"))]
fn from_aws(_: Aws, _: bool, _: Shared) -> Option<DiscoverySettings> {
    None
}

#[cfg(not(feature = "aws"))]
fn refuse_without_aws(read: &mut Reader<'_>) {
    let reason =
        "needs AWS discovery, and this build was made without; accepted: static, file, dns";
    read.refuse(&var::NODE_FILTER, reason);
}

fn static_targets(
    targets: Option<Vec<Target>>,
    read: &mut Reader<'_>,
) -> Option<DiscoverySettings> {
    let Some(targets) = targets else {
        let reason = "is not set, and NODE_FILTER=static needs it; accepted: \
                      ip[:port][@zone], comma separated";
        read.refuse(&var::TARGETS, reason);
        return None;
    };
    Some(DiscoverySettings::Static(targets))
}

fn target_file(
    ports: &TargetPorts,
    listen: &[SocketAddr],
    read: &mut Reader<'_>,
) -> Option<DiscoverySettings> {
    let Some(path) = read.value(&var::TARGETS_FILE)? else {
        let reason = "is not set, and NODE_FILTER=file needs it; accepted: the path of a \
                      Prometheus file_sd JSON file";
        read.refuse(&var::TARGETS_FILE, reason);
        return None;
    };
    // Without an address of its own, the balancer is nobody's target: the file can be read all the same.
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let settings = FileSettings {
        path,
        default_port: ports.all[0],
        is_port_given: ports.is_given,
        own_address: listen.first().copied().unwrap_or(nowhere),
    };
    match read_file(&settings) {
        Ok(_) => Some(DiscoverySettings::File(settings)),
        Err(reason) => {
            // Whoever writes it may be late, or about to mend it.
            read.refuse_for_now(&var::TARGETS_FILE, &reason);
            None
        }
    }
}

fn dns(
    ports: &TargetPorts,
    listen: &[SocketAddr],
    read: &mut Reader<'_>,
) -> Option<DiscoverySettings> {
    let server = read.value(&var::DNS_SERVER)?;
    let period = read.value(&var::NODE_CHECK_PERIOD)?;
    let Some(name) = read.value(&var::DNS_NAME)? else {
        let reason = "is not set, and NODE_FILTER=dns needs it; accepted: a host name, or that of \
                      SRV records such as _http._tcp.example.com";
        read.refuse(&var::DNS_NAME, reason);
        return None;
    };
    if ports.is_given && name.is_service() {
        let reason = "names SRV records, whose ports cannot be used where PORT has several services: \
                      it says where the targets of each serve; accepted: a host name";
        read.refuse(&var::DNS_NAME, reason);
        return None;
    }
    let (default_port, own_address) = (ports.all[0], *listen.first()?);
    Some(DiscoverySettings::Dns(DnsSettings { name, server, default_port, own_address, period }))
}
