use std::time::Duration;

/// The least time from one refresh to the next, whatever the records' time to live says, and the
/// time after the first failure.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long to wait from one refresh to the next: as long as the answer may be believed, but at least
/// a second and at most the period. After a failure a second, after each one more twice as long.
/// Pure.
#[derive(Debug)]
pub(super) struct DnsPace {
    period: Duration,
    /// After the next failure.
    retry: Duration,
}

impl DnsPace {
    pub(super) fn new(period: Duration) -> Self {
        Self { period, retry: SHORTEST }
    }

    /// The time after an answer whose records live for `ttl`; `None` where it has none.
    pub(super) fn answered(&mut self, ttl: Option<Duration>) -> Duration {
        self.retry = SHORTEST;
        ttl.map_or(self.period, |ttl| ttl.max(SHORTEST).min(self.period))
    }

    /// The time after a failure.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = self.retry.min(self.period);
        self.retry = (self.retry * 2).min(self.period.max(SHORTEST));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_time_to_live_is_heeded_within_bounds() {
        let mut pace = DnsPace::new(seconds(10));
        let mut after = |ttl: Option<u64>| pace.answered(ttl.map(seconds)).as_secs();
        for (ttl, wait) in [(Some(0), 1), (Some(1), 1), (Some(5), 5), (Some(10), 10)] {
            assert_eq!(after(ttl), wait, "{ttl:?}");
        }
        assert_eq!([after(Some(86_400)), after(None)], [10, 10]);
        // A period that is shorter was asked for.
        let mut hasty = DnsPace::new(Duration::from_millis(200));
        assert_eq!(hasty.answered(Some(seconds(5))), Duration::from_millis(200));
        assert_eq!(hasty.failed(), Duration::from_millis(200));
    }

    #[test]
    fn failures_are_tried_again_ever_later_until_an_answer() {
        let mut pace = DnsPace::new(seconds(10));
        let waits: Vec<_> = (0..6).map(|_| pace.failed().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        pace.answered(None);
        assert_eq!(pace.failed(), seconds(1));
    }
}
