use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use exchange::Target;

use super::settings::DnsSettings;
use crate::discovery::address_check::check_address;

/// What DNS says about the targets at one moment.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The targets, ordered by address.
    pub targets: Vec<Target>,
    /// Why which addresses are no targets: a sentence each.
    pub ignored: BTreeSet<String>,
    /// How long that may be believed: the shortest of the times to live of all that was asked for.
    /// `None` where there was nothing.
    pub(super) ttl: Option<Duration>,
}

impl Resolved {
    /// Of these addresses, as far as they are those of servers behind this balancer.
    pub(super) fn of(
        addresses: impl IntoIterator<Item = SocketAddr>,
        ttl: Option<u32>,
        settings: &DnsSettings,
    ) -> Self {
        let mut resolved =
            Self { ttl: ttl.map(|s| Duration::from_secs(s.into())), ..Self::default() };
        let addresses: BTreeSet<_> = addresses.into_iter().map(canonical).collect();
        for target in addresses.into_iter().map(Target::at) {
            let checked = if target.address.port() == 0 {
                Err(format!("target {} is refused: its SRV record has port 0", target.address))
            } else {
                check_address(&target, settings.own_address)
            };
            match checked {
                Ok(()) => resolved.targets.push(target),
                Err(reason) => drop(resolved.ignored.insert(reason)),
            }
        }
        resolved
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
