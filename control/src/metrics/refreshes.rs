use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::discovery::ec2::{Census, Outcome, Reason};

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
        let outcomes = Opts::new(
            "load_balancer_discovery_refreshes_total",
            "Refreshes of the targets from AWS, by how they ended; all but ok keep targets that \
             an answer lacks",
        );
        let outcomes = IntCounterVec::new(outcomes, &["outcome"]);
        let found = IntGauge::new(
            "load_balancer_discovery_targets_found",
            "Targets in the latest answer of AWS",
        );
        let ignored = Opts::new(
            "load_balancer_discovery_targets_ignored",
            "Instances in the latest answer of AWS that are no targets, by reason",
        );
        let ignored = IntGaugeVec::new(ignored, &["reason"]);
        let refreshes = Self {
            outcomes: outcomes.expect("name and label are valid"),
            found: found.expect("the name is valid"),
            ignored: ignored.expect("name and label are valid"),
        };
        for outcome in Outcome::all() {
            refreshes.outcomes.with_label_values(&[outcome.label()]);
        }
        for reason in Reason::ALL {
            refreshes.ignored.with_label_values(&[reason.label()]);
        }
        refreshes
    }

    /// A refresh has ended; `census` is of its answer, if there was one.
    pub(super) fn ended(&self, outcome: Outcome, census: Option<&Census>) {
        self.outcomes.with_label_values(&[outcome.label()]).inc();
        let Some(census) = census else { return };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.found.set(number(census.found));
        for label in Reason::ALL.map(Reason::label) {
            let count = census.ignored.get(label).copied().unwrap_or(0);
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
