//! What is counted of each target: its traffic and its health checks.

use exchange::{Routing, TargetCounters};
use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec};

use super::families::{gauge_by, total_by};

/// By address, so that a series is one and the same over restarts of a target. While several targets
/// are known at an address, of which all but one are draining, it is the sum of theirs.
pub(super) fn counts(routing: &Routing) -> Vec<Box<dyn Collector>> {
    vec![
        Box::new(active(routing)),
        Box::new(total(
            routing,
            "load_balancer_node_connections_total",
            "Client connections that got one to the target",
            |counters| counters.sum(|core| &core.connections),
        )),
        Box::new(total(
            routing,
            "load_balancer_node_unanswered_connections_total",
            "Client connections that the target was first to end, before it had sent a byte",
            |counters| counters.sum(|core| &core.unanswered),
        )),
        Box::new(total(
            routing,
            "load_balancer_node_failed_connects_total",
            "Attempts to connect to the target that failed or took too long",
            |counters| counters.sum(|core| &core.failed_connects),
        )),
        Box::new(total(
            routing,
            "load_balancer_health_check_failures_total",
            "Health checks of the target that failed",
            |counters| counters.failed_checks().get(),
        )),
    ]
}

fn active(routing: &Routing) -> IntGaugeVec {
    let gauge = gauge_by(
        "node",
        "load_balancer_node_active_connections",
        "Clients' connections to the target, those that are being connected included",
    );
    for entry in routing.entries() {
        let active = i64::try_from(entry.counters().active()).unwrap_or(i64::MAX);
        gauge.with_label_values(&[&entry.target().address.to_string()]).add(active);
    }
    gauge
}

fn total(
    routing: &Routing,
    name: &str,
    help: &str,
    count: impl Fn(&TargetCounters) -> u64,
) -> IntCounterVec {
    let total = total_by("node", name, help);
    for entry in routing.entries() {
        let node = entry.target().address.to_string();
        total.with_label_values(&[&node]).inc_by(count(entry.counters()));
    }
    total
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Entry, Target};
    use prometheus::{Registry, TextEncoder};

    use super::*;

    fn entry(address: &str, each: u64) -> Entry {
        let counters = TargetCounters::new(2);
        counters.on(0).active.add(each);
        counters.on(1).connections.add(10 * each);
        counters.on(0).connections.add(each);
        counters.on(1).failed_connects.add(100 * each);
        counters.failed_checks().add(1000 * each);
        counters.on(0).unanswered.add(7 * each);
        Entry::new(Arc::new(Target::at(address.parse().unwrap())), Arc::new(counters))
    }

    #[test]
    fn each_address_has_the_sum_over_its_targets_and_all_cores() {
        let entries = vec![entry("10.0.0.1:80", 1), entry("[::1]:80", 5), entry("10.0.0.1:80", 2)];
        let registry = Registry::new();
        for metric in counts(&Routing::to(entries)) {
            registry.register(metric).unwrap();
        }
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "load_balancer_node_active_connections{node=\"10.0.0.1:80\"} 3",
            "load_balancer_node_active_connections{node=\"[::1]:80\"} 5",
            "load_balancer_node_connections_total{node=\"10.0.0.1:80\"} 33",
            "load_balancer_node_connections_total{node=\"[::1]:80\"} 55",
            "load_balancer_node_failed_connects_total{node=\"10.0.0.1:80\"} 300",
            "load_balancer_health_check_failures_total{node=\"10.0.0.1:80\"} 3000",
            "load_balancer_health_check_failures_total{node=\"[::1]:80\"} 5000",
            "load_balancer_node_unanswered_connections_total{node=\"10.0.0.1:80\"} 21",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
        }
    }
}
