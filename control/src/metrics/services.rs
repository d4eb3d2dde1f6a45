use std::collections::HashMap;

use exchange::ServiceCounters;
use prometheus::Registry;
use prometheus::proto::MetricFamily;

use super::families::gauge;
use super::{breakers, cores, nodes, pool, ports, states};
use crate::status::Status;

/// What is shown of one service: every metric of targets and connections.
#[derive(Debug)]
pub(super) struct ServiceMetrics {
    /// What it is called; `None` where it is the only one.
    port: Option<u16>,
    pub(super) breakers: breakers::Breakers,
}

impl ServiceMetrics {
    pub(super) fn new(port: Option<u16>) -> Self {
        Self { port, breakers: breakers::Breakers::new() }
    }

    /// Its metrics, with the label `service` where there are others. `cores` is what they have counted
    /// of it.
    pub(super) fn gather(
        &self,
        status: &Status,
        cores: &[&ServiceCounters],
        ports: &ports::UsedPorts<'_>,
    ) -> Vec<MetricFamily> {
        let label = |port: u16| HashMap::from([("service".to_owned(), port.to_string())]);
        let registry = Registry::new_custom(None, self.port.map(label));
        let registry = registry.expect("a prefix is not given");
        let mut metrics = vec![gauge(
            "load_balancer_fail_open",
            "1 while targets are used although too few are healthy",
            u64::from(status.fail_open()),
        )];
        metrics.push(Box::new(states::counts(status)));
        metrics.push(Box::new(states::health(status)));
        metrics.push(Box::new(states::draining(status)));
        metrics.push(Box::new(breakers::states(status)));
        metrics.push(Box::new(self.breakers.transitions()));
        metrics.push(Box::new(ports.headroom(status.snapshot())));
        metrics.extend(nodes::counts(status.snapshot()));
        metrics.extend(cores::collectors(cores));
        metrics.extend(pool::collectors(cores));
        for metric in metrics {
            registry.register(metric).expect("each name is registered once");
        }
        registry.gather()
    }
}
