use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::families::{gauge_by, total_by};
use crate::discovery::ec2::poll::filter::Reason;
use crate::discovery::ec2::tracker::{counts::InstanceCounts, outcome::RefreshOutcome};

/// How discovery in AWS goes.
#[derive(Debug)]
pub(super) struct Refreshes {
    outcomes: IntCounterVec,
    found: IntGauge,
    ignored: IntGaugeVec,
}

impl Refreshes {
    /// Every series is there from 0.
    pub(super) fn new() -> Self {
        let outcomes = total_by(
            "outcome",
            "load_balancer_discovery_refreshes_total",
            "Refreshes of the targets from AWS, by how they ended; all but ok keep targets that \
             an answer lacks",
        );
        let found = IntGauge::new(
            "load_balancer_discovery_targets_found",
            "Targets in the latest answer of AWS",
        );
        let ignored = gauge_by(
            "reason",
            "load_balancer_discovery_targets_ignored",
            "Instances in the latest answer of AWS that are no targets, by reason",
        );
        let refreshes = Self { outcomes, found: found.expect("the name is valid"), ignored };
        for outcome in RefreshOutcome::all() {
            refreshes.outcomes.with_label_values(&[outcome.label()]);
        }
        for reason in Reason::ALL {
            refreshes.ignored.with_label_values(&[reason.label()]);
        }
        refreshes
    }

    /// A refresh has ended; `counts` is of its answer, if there was one.
    pub(super) fn ended(&self, outcome: RefreshOutcome, counts: Option<&InstanceCounts>) {
        self.outcomes.with_label_values(&[outcome.label()]).inc();
        let Some(counts) = counts else { return };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.found.set(number(counts.found));
        for label in Reason::ALL.map(Reason::label) {
            let count = counts.ignored.get(label).copied().unwrap_or(0);
            self.ignored.with_label_values(&[label]).set(number(count));
        }
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        [
            Box::new(self.outcomes.clone()),
            Box::new(self.found.clone()),
            Box::new(self.ignored.clone()),
        ]
    }
}
