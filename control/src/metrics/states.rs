//! What is known of each target's state.

use exchange::{BreakerState, Checks, Snapshot};
use prometheus::{IntGaugeVec, Opts};

/// Of all targets that are checked, those that an operator drains too. A withdrawn one has no health
/// to show, and its address may belong to another target by now.
pub(super) fn health(snapshot: &Snapshot) -> IntGaugeVec {
    let opts = Opts::new(
        "load_balancer_node_health_status",
        "1 for a target that passes its health checks and is not ejected, else 0",
    );
    let health = IntGaugeVec::new(opts, &["node"]).expect("name and label are valid");
    for entry in &snapshot.entries {
        let Some(checks) = &entry.checks else { continue };
        let is_well = *checks == Checks::Passing && entry.breaker == BreakerState::Closed;
        let node = entry.target.address.to_string();
        health.with_label_values(&[&node]).set(is_well.into());
    }
    health
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Entry, Target, TargetCounters, TargetState};
    use prometheus::core::Collector;

    use super::*;

    fn entry(port: u16, state: TargetState, checks: Option<Checks>) -> Entry {
        let target = Arc::new(Target::at(([10, 0, 0, 1], port).into()));
        Entry { state, checks, ..Entry::new(target, Arc::new(TargetCounters::new(1))) }
    }

    fn snapshot(entries: Vec<Entry>) -> Snapshot {
        Snapshot { entries, ..Snapshot::default() }
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
        let ejected = entry(3, TargetState::Ejected, Some(Checks::Passing));
        let snapshot = snapshot(vec![
            entry(1, TargetState::Healthy, Some(Checks::Passing)),
            entry(2, TargetState::Checking, Some(Checks::Pending)),
            Entry { breaker: BreakerState::HalfOpen, ..ejected },
            entry(4, TargetState::Draining, Some(Checks::Passing)),
            entry(5, TargetState::Draining, Some(Checks::Failing("status 503".into()))),
            entry(6, TargetState::Draining, None),
        ]);
        let expected = ["10.0.0.1:1 1", "10.0.0.1:2 0", "10.0.0.1:3 0", "10.0.0.1:4 1"];
        assert_eq!(shown(&health(&snapshot)), [&expected[..], &["10.0.0.1:5 0"]].concat());
    }
}
