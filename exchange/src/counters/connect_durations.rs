use std::time::Duration;

use super::counter::Counter;

/// How long connects took that reached their target, as one core has counted them.
#[derive(Debug, Default)]
pub struct ConnectDurations {
    /// Those that took no longer than the bound of the same number and longer than the one before;
    /// the last one: longer than all bounds.
    buckets: [Counter; Self::BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl ConnectDurations {
    /// Upper bounds in microseconds: 0.1 ms, about an iteration of a core's loop, to 1 s, which is when a
    /// lost SYN is sent again, and beyond.
    pub const BOUNDS_US: [u64; 14] = [
        100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
        1_000_000, 2_500_000,
    ];

    /// Adds one. Only the owning core may call this.
    pub fn note(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[Self::BOUNDS_US.partition_point(|&bound| bound < us)].increment();
        self.sum_us.add(us);
    }

    /// How many there are in each bucket, the last one being beyond all bounds.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().map(Counter::get)
    }

    /// All durations together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_where_it_is_not_above_the_bound() {
        let durations = ConnectDurations::default();
        for us in [0, 100, 101, 2_500_000, 2_500_001, 9_000_000] {
            durations.note(Duration::from_micros(us));
        }
        let counts: Vec<_> = durations.counts().collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(durations.sum_us(), 14_000_202);
    }
}
