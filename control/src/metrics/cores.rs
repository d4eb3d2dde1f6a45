//! Connections, as the cores count them.

use exchange::{Counter, Rejection, ServiceCounters};
use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec};

use super::families::{gauge, gauge_by, sum, total, total_by};

/// What the cores count of their connections.
pub(super) fn collectors(cores: &[&ServiceCounters]) -> Vec<Box<dyn Collector>> {
    let sum = |counter: fn(&ServiceCounters) -> &Counter| sum(cores, counter);
    vec![
        gauge(
            "load_balancer_active_connections",
            "Open client connections",
            sum(|core| &core.connections.active),
        ),
        total(
            "load_balancer_successful_connections_total",
            "Client connections that got a target",
            sum(|core| &core.connections.successful),
        ),
        total(
            "load_balancer_failed_connections_total",
            "Client connections that got no target",
            sum(|core| &core.connections.failed),
        ),
        total(
            "load_balancer_failed_connects_total",
            "Attempts to connect to a target that failed or took too long",
            sum(|core| &core.connects.failed),
        ),
        total(
            "load_balancer_retry_budget_exhausted_total",
            "Client connections given up because there were too many retries",
            sum(|core| &core.connects.retry_budget_exhausted),
        ),
        total(
            "load_balancer_idle_timeouts_total",
            "Client connections ended because nothing had moved on them for too long",
            sum(|core| &core.connections.idle_timeouts),
        ),
        total(
            "load_balancer_rebalanced_connections_total",
            "Client connections closed in favour of targets that had joined",
            sum(|core| &core.connections.rebalanced),
        ),
        total(
            "load_balancer_moved_connections_total",
            "Client connections that one core accepted and another serves",
            sum(|core| &core.connections.moved),
        ),
        total(
            "load_balancer_port_exhaustions_total",
            "Connects that found no free local port towards their target",
            sum(|core| &core.connects.without_port),
        ),
        gauge(
            "load_balancer_accept_paused",
            "Cores that do not accept for want of descriptors",
            sum(|core| &core.accept_paused),
        ),
        Box::new(zone_connections(cores)),
        Box::new(rejections(cores)),
        Box::new(core_connections(cores)),
    ]
}

fn zone_connections(cores: &[&ServiceCounters]) -> IntCounterVec {
    let connections = total_by(
        "zone",
        "load_balancer_zone_connections_total",
        "Client connections that got a target of the balancer's own zone, or of another",
    );
    let same = sum(cores, |core| &core.connections.same_zone);
    let other = sum(cores, |core| &core.connections.other_zone);
    connections.with_label_values(&["same"]).inc_by(same);
    connections.with_label_values(&["other"]).inc_by(other);
    connections
}

fn rejections(cores: &[&ServiceCounters]) -> IntCounterVec {
    let rejections = total_by(
        "reason",
        "load_balancer_rejected_connections_total",
        "Client connections that were reset instead of being forwarded",
    );
    for reason in Rejection::ALL {
        let total = sum(cores, |core| core.connections.rejected.of(reason));
        rejections.with_label_values(&[reason.name()]).inc_by(total);
    }
    rejections
}

fn core_connections(cores: &[&ServiceCounters]) -> IntGaugeVec {
    let connections =
        gauge_by("core", "load_balancer_core_connections", "Open client connections of each core");
    for (number, core) in cores.iter().enumerate() {
        let open = i64::try_from(core.connections.active.get()).unwrap_or(i64::MAX);
        connections.with_label_values(&[&number.to_string()]).set(open);
    }
    connections
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{CoreCounters, ServiceIndex};

    use super::*;
    use crate::metrics::Metrics;
    use crate::status::Status;

    const SERVICE: ServiceIndex = ServiceIndex::FIRST;

    #[test]
    fn numbers_are_sums_over_cores() {
        let cores: Arc<[CoreCounters]> = (0..2).map(|_| CoreCounters::default()).collect();
        cores[0].of(SERVICE).connections.successful.add(3);
        cores[1].of(SERVICE).connections.successful.add(4);
        cores[1].of(SERVICE).connections.active.increment();
        cores[0].of(SERVICE).connections.same_zone.add(5);
        cores[1].of(SERVICE).connections.same_zone.add(6);
        cores[1].of(SERVICE).connections.other_zone.add(2);
        cores[0].of(SERVICE).connections.rejected.of(Rejection::MaxConnections).add(8);
        cores[1].of(SERVICE).connections.rejected.of(Rejection::MaxConnections).add(9);
        let text = Metrics::for_test(cores).expose_one(Status::default());
        for line in [
            "load_balancer_successful_connections_total 7",
            "load_balancer_active_connections 1",
            "load_balancer_zone_connections_total{zone=\"same\"} 11",
            "load_balancer_zone_connections_total{zone=\"other\"} 2",
            "load_balancer_rejected_connections_total{reason=\"max_connections\"} 17",
            "load_balancer_rejected_connections_total{reason=\"not_allowed\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
