use exchange::{Counter, ServiceCounters};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

/// A gauge for each value of a label.
pub(super) fn gauge_by(label: &str, name: &str, help: &str) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), &[label]).expect("name and label are valid")
}

/// A total for each value of a label.
pub(super) fn total_by(label: &str, name: &str, help: &str) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), &[label]).expect("name and label are valid")
}

/// A gauge that shows `value`.
pub(super) fn gauge(name: &str, help: &str, value: u64) -> Box<dyn Collector> {
    let gauge = IntGauge::new(name, help).expect("the name is valid");
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    Box::new(gauge)
}

/// A total that shows `value`.
pub(super) fn total(name: &str, help: &str, value: u64) -> Box<dyn Collector> {
    let counter = IntCounter::new(name, help).expect("the name is valid");
    counter.inc_by(value);
    Box::new(counter)
}

/// Adds `more` families to those that there are, in the order of their names.
pub(super) fn merge(families: &mut Vec<MetricFamily>, more: Vec<MetricFamily>) {
    for mut family in more {
        match families.binary_search_by(|it| it.name().cmp(family.name())) {
            Ok(place) => families[place].mut_metric().extend(family.take_metric()),
            Err(place) => families.insert(place, family),
        }
    }
}

/// What all cores together have counted.
pub(super) fn sum(
    cores: &[&ServiceCounters],
    counter: impl Fn(&ServiceCounters) -> &Counter,
) -> u64 {
    cores.iter().fold(0, |sum, core| sum.wrapping_add(counter(core).get()))
}
