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
