//! What is known of each target's state.

use prometheus::IntGaugeVec;

use super::families::gauge_by;
use crate::status::{BreakerState, Checks, Status, TargetState, TargetStatus};

/// Of all targets that are checked, those that an operator drains too. A withdrawn one has no health
/// to show, and its address may belong to another target by now.
pub(super) fn health(status: &Status) -> IntGaugeVec {
    let health = gauge_by(
        "node",
        "load_balancer_node_health_status",
        "1 for a target that passes its health checks and is not ejected, else 0",
    );
    for target in status.targets() {
        let Some(checks) = target.checks() else { continue };
        let is_well = *checks == Checks::Passing && target.breaker() == BreakerState::Closed;
        let node = target.target().address.to_string();
        health.with_label_values(&[&node]).set(is_well.into());
    }
    health
}

/// How many targets are in each state.
pub(super) fn counts(status: &Status) -> IntGaugeVec {
    let counts = gauge_by("state", "load_balancer_targets", "Targets in this state");
    // Present from 0.
    for state in TargetState::ALL {
        counts.with_label_values(&[state.as_str()]);
    }
    for target in status.targets() {
        counts.with_label_values(&[target.state().as_str()]).inc();
    }
    counts
}

/// At each address, whether its target drains. Where one that is discovered has taken the place of
/// others that are withdrawn, it is that one that counts.
pub(super) fn draining(status: &Status) -> IntGaugeVec {
    let draining = gauge_by(
        "node",
        "load_balancer_node_draining",
        "1 while a target drains, by an operator's order or because it left discovery, else 0",
    );
    let is_withdrawn = |target: &&TargetStatus| target.checks().is_none();
    let (withdrawn, discovered): (Vec<_>, Vec<_>) = status.targets().iter().partition(is_withdrawn);
    for target in withdrawn.into_iter().chain(discovered) {
        let node = target.target().address.to_string();
        draining.with_label_values(&[&node]).set(target.is_draining().into());
    }
    draining
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Entry, Target, TargetCounters};
    use prometheus::core::Collector;

    use super::*;
    use crate::status::Condition;

    type Of = (Entry, Condition);

    fn entry(port: u16, state: TargetState, checks: Option<Checks>) -> Of {
        let target = Arc::new(Target::at(([10, 0, 0, 1], port).into()));
        let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
        (entry, Condition { state, checks, ..Condition::default() })
    }

    /// Each series as `label value`.
    fn shown(gauge: &IntGaugeVec) -> Vec<String> {
        let families = gauge.collect();
        let series = families[0].get_metric().iter().map(|metric| {
            format!("{} {}", metric.get_label()[0].value(), metric.get_gauge().get_value())
        });
        let mut shown: Vec<_> = series.collect();
        shown.sort();
        shown
    }

    #[test]
    fn health_is_that_of_every_target_that_is_checked() {
        let mut ejected = entry(3, TargetState::Ejected, Some(Checks::Passing));
        ejected.1.breaker = BreakerState::HalfOpen;
        let status = Status::for_test(vec![
            entry(1, TargetState::Healthy, Some(Checks::Passing)),
            entry(2, TargetState::Checking, Some(Checks::Pending)),
            ejected,
            entry(4, TargetState::Draining, Some(Checks::Passing)),
            entry(5, TargetState::Draining, Some(Checks::Failing("status 503".into()))),
            entry(6, TargetState::Draining, None),
        ]);
        let expected = ["10.0.0.1:1 1", "10.0.0.1:2 0", "10.0.0.1:3 0", "10.0.0.1:4 1"];
        assert_eq!(shown(&health(&status)), [&expected[..], &["10.0.0.1:5 0"]].concat());
    }
    #[test]
    fn every_state_is_counted_from_0() {
        let all = |healthy, draining| {
            let numbers = [0, draining, 0, healthy, 0];
            let names = ["checking", "draining", "ejected", "healthy", "unhealthy"];
            names.iter().zip(numbers).map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>()
        };
        assert_eq!(shown(&counts(&Status::default())), all(0, 0));
        let entries = [
            entry(1, TargetState::Healthy, Some(Checks::Passing)),
            entry(2, TargetState::Healthy, Some(Checks::Passing)),
            entry(3, TargetState::Draining, Some(Checks::Passing)),
            entry(1, TargetState::Draining, None),
            entry(4, TargetState::Draining, None),
        ];
        assert_eq!(shown(&counts(&Status::for_test(entries.to_vec()))), all(2, 3));
    }

    #[test]
    fn of_several_targets_at_an_address_the_discovered_one_drains_or_not() {
        let gone = |port| entry(port, TargetState::Draining, None);
        let status = Status::for_test(vec![
            gone(1),
            entry(1, TargetState::Healthy, Some(Checks::Passing)),
            gone(1),
            gone(2),
            entry(2, TargetState::Draining, Some(Checks::Passing)),
            gone(3),
            entry(4, TargetState::Unhealthy, Some(Checks::Failing("status 503".into()))),
        ]);
        let expected = ["10.0.0.1:1 0", "10.0.0.1:2 1", "10.0.0.1:3 1", "10.0.0.1:4 0"];
        assert_eq!(shown(&draining(&status)), expected);
    }
}
