//! Every metric, and its name once.

mod breakers;
mod cores;
mod families;
mod nodes;
pub(crate) mod overflows;
mod pool;
mod ports;
#[cfg(feature = "aws")]
mod refreshes;
mod services;
mod states;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use exchange::{CoreCounters, ServiceIndex};
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Registry, TextEncoder,
};

use families::{gauge_by, total, total_by};
use services::ServiceMetrics;

use crate::discovery::dns::fault::DnsFaultKind;
#[cfg(feature = "aws")]
use crate::discovery::ec2::fault::FaultKind;
#[cfg(feature = "aws")]
use crate::discovery::ec2::tracker::{counts::InstanceCounts, outcome::RefreshOutcome};
use crate::discovery::file::FileError;
use crate::policy::breaker::Transitions;
use crate::status::Statuses;
#[cfg(test)]
use crate::status::{ServiceStatus, Status};

/// Upper bounds of the latency histogram's buckets, in seconds: 0.5 ms to 10 s.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What the metrics endpoint shows. The control plane writes its own metrics here; those of the
/// cores and targets are read when somebody asks.
#[derive(Debug)]
pub(crate) struct Metrics {
    cores: Arc<[CoreCounters]>,
    /// By service.
    services: Vec<ServiceMetrics>,
    source_addresses: Vec<IpAddr>,
    probe_latency: Histogram,
    discovery_failures: IntCounterVec,
    discovered_at: Mutex<Instant>,
    listen_overflows: AtomicU64,
    #[cfg(feature = "aws")]
    refreshes: refreshes::Refreshes,
}

impl Metrics {
    /// Of services that are called so; `None` where there is only one.
    pub(crate) fn new(
        cores: Arc<[CoreCounters]>,
        ports: Vec<Option<u16>>,
        source_addresses: Vec<IpAddr>,
    ) -> Self {
        let probe_latency = Histogram::with_opts(
            HistogramOpts::new(
                "load_balancer_health_check_latency_seconds",
                "Duration of health checks, whatever their result",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
        );
        let discovery_failures = total_by(
            "kind",
            "load_balancer_discovery_failures_total",
            "Refreshes of the targets that failed, so that the last good ones stayed",
        );
        // Present from 0.
        for kind in FileError::KINDS {
            discovery_failures.with_label_values(&[kind]);
        }
        for kind in DnsFaultKind::ALL {
            discovery_failures.with_label_values(&[kind.label()]);
        }
        #[cfg(feature = "aws")]
        for kind in FaultKind::ALL {
            discovery_failures.with_label_values(&[kind.label()]);
        }
        Self {
            cores,
            services: ports.into_iter().map(ServiceMetrics::new).collect(),
            source_addresses,
            probe_latency: probe_latency.expect("name and buckets are valid"),
            discovery_failures,
            discovered_at: Mutex::new(Instant::now()),
            listen_overflows: AtomicU64::new(0),
            #[cfg(feature = "aws")]
            refreshes: refreshes::Refreshes::new(),
        }
    }

    /// A health check took `latency`.
    pub(crate) fn probed(&self, latency: Duration) {
        self.probe_latency.observe(latency.as_secs_f64());
    }

    /// Discovery has just succeeded.
    pub(crate) fn discovered(&self) {
        *self.discovered_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Discovery has failed.
    pub(crate) fn discovery_failed(&self, kind: &str) {
        self.discovery_failures.with_label_values(&[kind]).inc();
    }

    /// What the kernel has dropped at all listeners so far.
    pub(crate) fn listen_drops(&self) -> u64 {
        let services = self.cores.iter().flat_map(CoreCounters::services);
        services.fold(0, |sum, service| sum.wrapping_add(service.listen_drops.get()))
    }

    /// So many more connections were dropped because a listen queue was full.
    pub(crate) fn overflowed(&self, count: u64) {
        self.listen_overflows.fetch_add(count, Ordering::Relaxed);
    }

    /// Circuit breakers of a service have changed this often since the start.
    pub(crate) fn breakers_changed(&self, service: ServiceIndex, transitions: Transitions) {
        self.services[service.place()].breakers.changed(transitions);
    }

    /// A refresh from AWS has ended like this; `counts` is of its answer, if there was one.
    #[cfg(feature = "aws")]
    pub(crate) fn refreshed(&self, outcome: RefreshOutcome, counts: Option<&InstanceCounts>) {
        self.refreshes.ended(outcome, counts);
        match outcome {
            RefreshOutcome::Failed(kind) => self.discovery_failed(kind.label()),
            RefreshOutcome::Answered(_) if outcome.is_good() => self.discovered(),
            RefreshOutcome::Answered(_) => (),
        }
    }

    /// All metrics in Prometheus' text format 0.0.4.
    pub(crate) fn expose(&self, statuses: &Statuses) -> String {
        // A registry per call: the numbers that live elsewhere are copied into metrics of this one
        // moment, so that series of targets that are gone cannot be left behind.
        let registry = Registry::new();
        let metrics: Vec<Box<dyn Collector>> = vec![
            Box::new(self.probe_latency.clone()),
            Box::new(self.discovery_failures.clone()),
            Box::new(self.discovery_age()),
            Box::new(build_info()),
            total(
                "load_balancer_listen_overflows_total",
                "Connections that the kernel dropped because a listen queue was full",
                self.listen_overflows.load(Ordering::Relaxed),
            ),
        ];
        for metric in metrics {
            registry.register(metric).expect("each name is registered once");
        }
        #[cfg(feature = "aws")]
        for metric in self.refreshes.collectors() {
            registry.register(metric).expect("each name is registered once");
        }
        let mut families = registry.gather();
        let ports = ports::UsedPorts::of(statuses, &self.source_addresses);
        let services = ServiceIndex::first(self.services.len()).zip(&self.services);
        for ((index, service), status) in services.zip(statuses.iter()) {
            let cores: Vec<_> = self.cores.iter().map(|core| core.of(index)).collect();
            families::merge(&mut families, service.gather(status, &cores, &ports));
        }
        TextEncoder::new().encode_to_string(&families).expect("text has no size limit")
    }

    fn discovery_age(&self) -> Gauge {
        let at = *self.discovered_at.lock().unwrap_or_else(PoisonError::into_inner);
        let gauge = Gauge::new(
            "load_balancer_discovery_age_seconds",
            "Time since discovery last succeeded, or since the start where it never has",
        );
        let gauge = gauge.expect("the name is valid");
        gauge.set(at.elapsed().as_secs_f64());
        gauge
    }
}

fn build_info() -> IntGaugeVec {
    let info =
        gauge_by("version", "load_balancer_build_info", "1, labelled with the version that runs");
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    info
}

#[cfg(test)]
impl Metrics {
    /// Of one service.
    fn for_test(cores: Arc<[CoreCounters]>) -> Self {
        Self::new(cores, vec![None], Vec::new())
    }

    /// Of the one service there is.
    fn expose_one(&self, status: Status) -> String {
        let service = ServiceStatus { port: None, status: Arc::new(status) };
        self.expose(&Statuses::of(vec![service]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Checks, Condition, TargetState};
    use exchange::{Entry, Routing, Target, TargetCounters};

    fn entry(address: &str, state: TargetState) -> (Entry, Condition) {
        let target = Arc::new(Target::at(address.parse().unwrap()));
        let checks = match state {
            TargetState::Draining => None, // withdrawn
            TargetState::Healthy => Some(Checks::Passing),
            _ => Some(Checks::Pending),
        };
        let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
        (entry, Condition { state, checks, ..Condition::default() })
    }

    #[test]
    fn everything_is_there_from_the_start() {
        let metrics = Metrics::for_test((0..2).map(|_| CoreCounters::default()).collect());
        let text = metrics.expose_one(Status::default());
        for line in [
            "# TYPE load_balancer_active_connections gauge",
            "load_balancer_active_connections 0",
            "# TYPE load_balancer_successful_connections_total counter",
            "load_balancer_successful_connections_total 0",
            "# TYPE load_balancer_failed_connections_total counter",
            "load_balancer_failed_connections_total 0",
            "load_balancer_failed_connects_total 0",
            "load_balancer_retry_budget_exhausted_total 0",
            "load_balancer_idle_timeouts_total 0",
            "load_balancer_rebalanced_connections_total 0",
            "load_balancer_accept_paused 0",
            "load_balancer_listen_overflows_total 0",
            "load_balancer_moved_connections_total 0",
            "load_balancer_core_connections{core=\"1\"} 0",
            "load_balancer_circuit_breaker_transitions_total{to=\"half_open\"} 0",
            "load_balancer_fail_open 0",
            "# TYPE load_balancer_targets gauge",
            "load_balancer_targets{state=\"draining\"} 0",
            "# TYPE load_balancer_zone_connections_total counter",
            "load_balancer_zone_connections_total{zone=\"same\"} 0",
            "load_balancer_zone_connections_total{zone=\"other\"} 0",
            "# TYPE load_balancer_health_check_latency_seconds histogram",
            "load_balancer_health_check_latency_seconds_count 0",
            "load_balancer_discovery_failures_total{kind=\"invalid\"} 0",
            concat!("load_balancer_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("node_health_status{"), "{text}");
    }

    #[test]
    fn checks_and_failures_are_counted() {
        let metrics = Metrics::for_test([].into());
        metrics.probed(Duration::from_millis(2));
        metrics.discovery_failed("invalid");
        let text = metrics.expose_one(Status::default());
        for line in [
            "load_balancer_health_check_latency_seconds_bucket{le=\"0.001\"} 0",
            "load_balancer_health_check_latency_seconds_bucket{le=\"0.0025\"} 1",
            "load_balancer_discovery_failures_total{kind=\"invalid\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_refresh_is_counted_and_only_a_good_one_is_news() {
        use crate::discovery::confirmed_targets::Verdict;
        let metrics = Metrics::for_test([].into());
        let long_ago = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        *metrics.discovered_at.lock().unwrap() = long_ago;
        let counts = InstanceCounts { found: 2, ignored: [("loopback", 3)].into() };
        metrics.refreshed(RefreshOutcome::Answered(Verdict::Partial), Some(&counts));
        metrics.refreshed(RefreshOutcome::Failed(FaultKind::Throttled), None);
        let text = metrics.expose_one(Status::default());
        for line in [
            "load_balancer_discovery_refreshes_total{outcome=\"ok\"} 0",
            "load_balancer_discovery_refreshes_total{outcome=\"partial\"} 1",
            "load_balancer_discovery_refreshes_total{outcome=\"throttled\"} 1",
            "load_balancer_discovery_refreshes_total{outcome=\"no_credentials\"} 0",
            "load_balancer_discovery_failures_total{kind=\"throttled\"} 1",
            "load_balancer_discovery_failures_total{kind=\"no_credentials\"} 0",
            "load_balancer_discovery_targets_found 2",
            "load_balancer_discovery_targets_ignored{reason=\"loopback\"} 3",
            "load_balancer_discovery_targets_ignored{reason=\"not_running\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(metrics.discovery_age().get() >= 9.0);
        metrics.refreshed(
            RefreshOutcome::Answered(Verdict::Accepted),
            Some(&InstanceCounts::default()),
        );
        assert!(metrics.discovery_age().get() < 9.0);
        let text = metrics.expose_one(Status::default());
        assert!(text.contains("targets_ignored{reason=\"loopback\"} 0\n"), "{text}");
    }

    #[test]
    fn a_targets_series_is_one_and_goes_with_it() {
        let metrics = Metrics::for_test([].into());
        let targets = [
            entry("10.0.0.1:80", TargetState::Draining),
            entry("10.0.0.1:80", TargetState::Healthy),
            entry("10.0.0.1:80", TargetState::Draining),
            entry("[::1]:80", TargetState::Checking),
        ];
        let (entries, conditions) = targets.into_iter().unzip();
        let snapshot = Arc::new(Routing::to(entries).into());
        let text = metrics.expose_one(Status::new(snapshot, true, conditions, Vec::new()));
        assert!(text.contains("load_balancer_node_health_status{node=\"10.0.0.1:80\"} 1\n"));
        assert!(text.contains("load_balancer_node_health_status{node=\"[::1]:80\"} 0\n"));
        assert!(text.contains("load_balancer_fail_open 1\n"));
        assert!(text.contains("load_balancer_port_headroom{node=\"10.0.0.1:80\"} "));
        assert_eq!(text.matches("status{node=\"10.0.0.1:80\"").count(), 1);
        assert!(!metrics.expose_one(Status::default()).contains("node=\""));
    }
}
