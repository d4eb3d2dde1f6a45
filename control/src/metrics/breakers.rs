use prometheus::{IntCounterVec, IntGaugeVec};

use super::families::{gauge_by, total_by};
use crate::policy::breaker::Transitions;
use crate::status::{BreakerState, Status};

/// What is counted about the targets' circuit breakers.
#[derive(Debug)]
pub(super) struct Breakers {
    transitions: IntCounterVec,
}

impl Breakers {
    pub(super) fn new() -> Self {
        let transitions = total_by(
            "to",
            "load_balancer_circuit_breaker_transitions_total",
            "How often circuit breakers of targets have turned to this state",
        );
        let breakers = Self { transitions };
        // Present from 0.
        breakers.changed(Transitions::default());
        breakers
    }

    /// They have changed this often since the start.
    pub(super) fn changed(&self, transitions: Transitions) {
        let Transitions { open, half_open, closed } = transitions;
        for (to, total) in [("open", open), ("half_open", half_open), ("closed", closed)] {
            let counter = self.transitions.with_label_values(&[to]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    pub(super) fn transitions(&self) -> IntCounterVec {
        self.transitions.clone()
    }
}

/// The breaker of each target that is discovered: it counts again as soon as an operator undrains
/// the target. The address of a withdrawn one may belong to another by now.
pub(super) fn states(status: &Status) -> IntGaugeVec {
    let gauge = gauge_by(
        "node",
        "load_balancer_circuit_breaker_state",
        "0 while a target's circuit breaker is closed, 1 while it is being tried, 2 open",
    );
    for target in status.targets().iter().filter(|target| target.checks().is_some()) {
        let node = target.target().address.to_string();
        gauge.with_label_values(&[&node]).set(value(target.breaker()));
    }
    gauge
}

fn value(breaker: BreakerState) -> i64 {
    match breaker {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::status::{Checks, Condition, TargetState};
    use exchange::{Entry, Target, TargetCounters};
    use prometheus::core::Collector;

    #[test]
    fn the_state_is_that_of_the_breaker_and_withdrawn_targets_have_none() {
        let entry = |port, state, breaker| {
            let target = Arc::new(Target::at(([10, 0, 0, 1], port).into()));
            let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
            let checks = Some(Checks::Passing);
            (entry, Condition { state, breaker, checks, reason: None })
        };
        let drained = entry(4, TargetState::Draining, BreakerState::Open);
        let mut withdrawn = entry(5, TargetState::Draining, BreakerState::Open);
        withdrawn.1.checks = None;
        let targets = vec![
            entry(1, TargetState::Ejected, BreakerState::Open),
            entry(2, TargetState::Ejected, BreakerState::HalfOpen),
            entry(3, TargetState::Unhealthy, BreakerState::Closed),
            drained,
            withdrawn,
        ];
        let families = states(&Status::for_test(targets)).collect();
        let shown: Vec<_> = families[0]
            .get_metric()
            .iter()
            .map(|metric| {
                (metric.get_label()[0].value().to_owned(), metric.get_gauge().get_value())
            })
            .collect();
        let expected =
            [("10.0.0.1:1", 2.0), ("10.0.0.1:2", 1.0), ("10.0.0.1:3", 0.0), ("10.0.0.1:4", 2.0)];
        let mut shown: Vec<_> = shown.iter().map(|(node, value)| (&**node, *value)).collect();
        shown.sort_by_key(|(node, _)| *node);
        assert_eq!(shown, expected);
    }

    #[test]
    fn transitions_are_as_many_as_said() {
        let breakers = Breakers::new();
        for open in [1, 1, 3] {
            breakers.changed(Transitions { open, half_open: 1, closed: 0 });
        }
        let count = |to| breakers.transitions.with_label_values(&[to]).get();
        assert_eq!(["open", "half_open", "closed"].map(count), [3, 1, 0]);
    }
}
