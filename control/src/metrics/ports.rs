use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use exchange::Routing;
use prometheus::IntGaugeVec;

use super::families::gauge_by;
use crate::status::Statuses;

/// Where the kernel keeps the ports it gives to outgoing connections, IPv6 too (ip-sysctl).
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// What it holds unless somebody changed it.
const DEFAULT_PORTS: u64 = 60_999 - 32_768 + 1;

/// The local ports that connections to targets take.
#[derive(Debug)]
pub(super) struct UsedPorts<'a> {
    sources: &'a [IpAddr],
    /// For each source.
    range: u64,
    /// By the target's address: ports are taken towards an address, whoever serves there.
    by_address: HashMap<SocketAddr, u64>,
}

impl<'a> UsedPorts<'a> {
    /// By the targets of all services.
    pub(super) fn of(statuses: &Statuses, sources: &'a [IpAddr]) -> Self {
        let range = fs::read_to_string(RANGE).ok();
        let range = range.as_deref().and_then(parse).unwrap_or(DEFAULT_PORTS);
        let routings = statuses.iter().map(|status| status.snapshot().routing());
        Self::within(range, sources, routings)
    }

    fn within<'b>(
        range: u64,
        sources: &'a [IpAddr],
        routings: impl Iterator<Item = &'b Routing>,
    ) -> Self {
        let mut by_address = HashMap::new();
        for entry in routings.flat_map(Routing::entries) {
            *by_address.entry(entry.target().address).or_insert(0) += entry.counters().active();
        }
        Self { sources, range, by_address }
    }

    /// How many more connections each target could get, by local ports: an estimate, since ports in
    /// `TIME_WAIT`, reserved ones and those of other programs' connections to it are not known.
    pub(super) fn headroom(&self, routing: &Routing) -> IntGaugeVec {
        let gauge = gauge_by(
            "node",
            "load_balancer_port_headroom",
            "Local ports left for connections to the target, estimated",
        );
        for entry in routing.entries() {
            let node = entry.target().address;
            let left = i64::try_from(self.left(node)).unwrap_or(i64::MAX);
            gauge.with_label_values(&[&node.to_string()]).set(left);
        }
        gauge
    }

    fn left(&self, address: SocketAddr) -> u64 {
        let is_own = |source: &&IpAddr| source.is_ipv4() == address.is_ipv4();
        let own = self.sources.iter().filter(is_own).count();
        // Without one the kernel chooses, and always the same.
        let own = u64::try_from(own.max(1)).unwrap_or(u64::MAX);
        let used = self.by_address.get(&address).copied().unwrap_or(0);
        self.range.saturating_mul(own).saturating_sub(used)
    }
}

/// How many ports there are in a range such as `32768 60999`.
fn parse(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    (last.checked_sub(first)?).checked_add(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Entry, Target, TargetCounters};

    use super::*;

    fn entry(address: &str, active: u64) -> Entry {
        let counters = TargetCounters::new(2);
        counters.on(1).active.add(active);
        Entry::new(Arc::new(Target::at(address.parse().unwrap())), Arc::new(counters))
    }

    #[test]
    fn each_source_of_the_family_brings_a_range() {
        let entries = vec![
            entry("10.0.0.1:80", 30),
            entry("10.0.0.2:80", 1000),
            entry("[::1]:80", 1),
            // Another identity at an address that has one already.
            entry("10.0.0.1:80", 20),
        ];
        // Of two services.
        let routings = [Routing::to(entries), Routing::to(vec![entry("10.0.0.2:80", 7)])];
        let left = |sources: &[&str], node: &str| {
            let sources: Vec<_> = sources.iter().map(|source| source.parse().unwrap()).collect();
            UsedPorts::within(100, &sources, routings.iter()).left(node.parse().unwrap())
        };
        assert_eq!(left(&["10.0.0.8", "10.0.0.9", "10.0.0.7"], "10.0.0.2:80"), 0);
        assert_eq!(left(&[], "10.0.0.1:80"), 50);
        assert_eq!(left(&["10.0.0.8", "10.0.0.9"], "10.0.0.1:80"), 150);
        assert_eq!(left(&["10.0.0.8", "10.0.0.9"], "10.0.0.2:80"), 0);
        assert_eq!(left(&["10.0.0.8", "10.0.0.9"], "[::1]:80"), 99);
        assert_eq!(left(&["10.0.0.8", "::2", "::3"], "[::1]:80"), 199);
    }

    #[test]
    fn the_kernels_range_includes_both_ends() {
        assert_eq!(parse("32768\t60999\n"), Some(DEFAULT_PORTS));
        assert_eq!(parse("5000 5000"), Some(1));
        for text in ["", "1", "a b", "9 1", "-1 5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
