use exchange::{Entry, Snapshot, TargetState};
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use crate::breaker::Turns;

/// What is counted about the targets' circuit breakers.
#[derive(Debug)]
pub(super) struct Breakers {
    transitions: IntCounterVec,
}

impl Breakers {
    pub(super) fn new() -> Self {
        let opts = Opts::new(
            "load_balancer_circuit_breaker_transitions_total",
            "How often circuit breakers of targets have turned to this state",
        );
        let transitions = IntCounterVec::new(opts, &["to"]).expect("name and label are valid");
        let breakers = Self { transitions };
        // Present from 0.
        breakers.turned(Turns::default());
        breakers
    }

    /// They have turned this often since the start.
    pub(super) fn turned(&self, turns: Turns) {
        let Turns { open, half_open, closed } = turns;
        for (to, total) in [("open", open), ("half_open", half_open), ("closed", closed)] {
            let counter = self.transitions.with_label_values(&[to]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    pub(super) fn transitions(&self) -> IntCounterVec {
        self.transitions.clone()
    }
}

/// The breaker of each target but withdrawn ones, whose address may belong to another by now.
pub(super) fn states(snapshot: &Snapshot) -> IntGaugeVec {
    let opts = Opts::new(
        "load_balancer_circuit_breaker_state",
        "0 while a target's circuit breaker is closed, 1 half open, 2 open",
    );
    let states = IntGaugeVec::new(opts, &["node"]).expect("name and label are valid");
    for entry in snapshot.entries.iter().filter(|entry| entry.state != TargetState::Draining) {
        let node = entry.target.address.to_string();
        states.with_label_values(&[&node]).set(state(entry));
    }
    states
}

fn state(entry: &Entry) -> i64 {
    match (entry.state, &entry.trial) {
        (TargetState::Ejected, None) => 2,
        (TargetState::Ejected, Some(_)) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use exchange::{Target, TargetCounters};
    use prometheus::core::Collector;

    #[test]
    fn the_state_is_that_of_the_breaker_and_withdrawn_targets_have_none() {
        let entry = |port, state, has_trial: bool| {
            let target = Arc::new(Target::at(([10, 0, 0, 1], port).into()));
            let trial = has_trial.then(Arc::default);
            Entry { state, trial, ..Entry::new(target, Arc::new(TargetCounters::new(1))) }
        };
        let entries = vec![
            entry(1, TargetState::Ejected, false),
            entry(2, TargetState::Ejected, true),
            entry(3, TargetState::Unhealthy, false),
            entry(4, TargetState::Draining, false),
        ];
        let snapshot = Snapshot { entries, ..Snapshot::default() };
        let families = states(&snapshot).collect();
        let shown: Vec<_> = families[0]
            .get_metric()
            .iter()
            .map(|metric| {
                (metric.get_label()[0].value().to_owned(), metric.get_gauge().get_value())
            })
            .collect();
        let expected = [("10.0.0.1:1", 2.0), ("10.0.0.1:2", 1.0), ("10.0.0.1:3", 0.0)];
        let mut shown: Vec<_> = shown.iter().map(|(node, value)| (&**node, *value)).collect();
        shown.sort_by_key(|(node, _)| *node);
        assert_eq!(shown, expected);
    }

    #[test]
    fn transitions_are_as_many_as_said() {
        let breakers = Breakers::new();
        for open in [1, 1, 3] {
            breakers.turned(Turns { open, half_open: 1, closed: 0 });
        }
        let count = |to| breakers.transitions.with_label_values(&[to]).get();
        assert_eq!(["open", "half_open", "closed"].map(count), [3, 1, 0]);
    }
}
