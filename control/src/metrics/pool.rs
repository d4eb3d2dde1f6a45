//! Preconnected connections, and how long connects take.

use exchange::{ConnectDurations, Counter, ServiceCounters};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};

use super::families::{gauge, sum, total};

/// What the cores count of their pools and connects.
pub(super) fn collectors(cores: &[&ServiceCounters]) -> Vec<Box<dyn Collector>> {
    let sum = |counter: fn(&ServiceCounters) -> &Counter| sum(cores, counter);
    vec![
        total(
            "load_balancer_pool_hits_total",
            "Client connections that got a preconnected connection",
            sum(|core| &core.preconnect.hits),
        ),
        total(
            "load_balancer_pool_misses_total",
            "Client connections that had to wait for a connect although preconnecting is on",
            sum(|core| &core.preconnect.misses),
        ),
        total(
            "load_balancer_pool_expired_total",
            "Preconnected connections that were closed because no client came for them",
            sum(|core| &core.preconnect.expired),
        ),
        total(
            "load_balancer_pool_broken_total",
            "Preconnected connections that their target ended before a client came",
            sum(|core| &core.preconnect.broken),
        ),
        gauge(
            "load_balancer_pool_size",
            "Preconnected connections, and those still connecting, that no client has yet",
            sum(|core| &core.preconnect.waiting),
        ),
        Box::new(ConnectHistogram::of(cores)),
    ]
}

/// The cores' buckets, added up at one moment.
struct ConnectHistogram {
    desc: Desc,
    counts: Vec<u64>,
    sum_seconds: f64,
}

impl ConnectHistogram {
    fn of(cores: &[&ServiceCounters]) -> Self {
        let mut counts = vec![0_u64; ConnectDurations::BOUNDS_US.len() + 1];
        let mut sum_us = 0_u64;
        for durations in cores.iter().map(|core| &core.connects.durations) {
            counts.iter_mut().zip(durations.counts()).for_each(|(sum, count)| *sum += count);
            sum_us = sum_us.wrapping_add(durations.sum_us());
        }
        let desc = Desc::new(
            "load_balancer_connect_duration_seconds".into(),
            "How long connects took that reached their target".into(),
            Vec::new(),
            std::collections::HashMap::new(),
        );
        Self { desc: desc.expect("the name is valid"), counts, sum_seconds: seconds(sum_us) }
    }

    fn histogram(&self) -> Histogram {
        let mut below = 0;
        let buckets =
            ConnectDurations::BOUNDS_US.iter().zip(&self.counts).map(|(&bound, count)| {
                below += count;
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(seconds(bound));
                bucket.set_cumulative_count(below);
                bucket
            });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.counts.iter().sum());
        histogram.set_sample_sum(self.sum_seconds);
        histogram
    }
}

impl Collector for ConnectHistogram {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metric = Metric::default();
        metric.set_histogram(self.histogram());
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

#[expect(clippy::cast_precision_loss, reason = "285 years are exact enough")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use exchange::{CoreCounters, ServiceIndex};

    use crate::metrics::Metrics;
    use crate::status::Status;

    const SERVICE: ServiceIndex = ServiceIndex::FIRST;

    #[test]
    fn pools_and_connects_are_summed_over_cores() {
        let cores: Arc<[CoreCounters]> = (0..2).map(|_| CoreCounters::default()).collect();
        cores[0].of(SERVICE).preconnect.hits.add(3);
        cores[1].of(SERVICE).preconnect.hits.add(4);
        cores[1].of(SERVICE).preconnect.waiting.add(2);
        cores[0].of(SERVICE).connects.durations.note(Duration::from_micros(90));
        cores[1].of(SERVICE).connects.durations.note(Duration::from_micros(1500));
        cores[1].of(SERVICE).connects.durations.note(Duration::from_secs(3));
        let text = Metrics::for_test(cores).expose_one(Status::default());
        for line in [
            "load_balancer_pool_hits_total 7",
            "load_balancer_pool_misses_total 0",
            "load_balancer_pool_expired_total 0",
            "load_balancer_pool_broken_total 0",
            "load_balancer_pool_size 2",
            "# TYPE load_balancer_connect_duration_seconds histogram",
            "load_balancer_connect_duration_seconds_bucket{le=\"0.0001\"} 1",
            "load_balancer_connect_duration_seconds_bucket{le=\"0.001\"} 1",
            "load_balancer_connect_duration_seconds_bucket{le=\"0.0025\"} 2",
            "load_balancer_connect_duration_seconds_bucket{le=\"2.5\"} 2",
            "load_balancer_connect_duration_seconds_bucket{le=\"+Inf\"} 3",
            "load_balancer_connect_duration_seconds_sum 3.00159",
            "load_balancer_connect_duration_seconds_count 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
