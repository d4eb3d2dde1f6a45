use std::sync::Mutex;
use std::time::{Duration, Instant};

use exchange::Rejection;

/// Keeps lines about rejected connections from filling the log: one line per reason and interval,
/// all cores together.
#[derive(Debug)]
pub(crate) struct RejectionLog {
    interval: Duration,
    by_reason: [Mutex<Last>; Rejection::ALL.len()],
}

/// The last line.
#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    total: u64,
}

impl RejectionLog {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, by_reason: Default::default() }
    }

    /// How many a line written now is about: those since the last line, out of `total()` since the
    /// start. `None` if it is too early. Never waits: if another core asks at the same time, that
    /// one may.
    pub(crate) fn due(
        &self,
        reason: Rejection,
        now: Instant,
        total: impl FnOnce() -> u64,
    ) -> Option<u64> {
        let mut last = self.by_reason[reason as usize].try_lock().ok()?;
        if last.at.is_some_and(|at| now.saturating_duration_since(at) < self.interval) {
            return None;
        }
        last.at = Some(now);
        let total = total();
        let count = total.saturating_sub(last.total);
        last.total = total;
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_reason_and_interval_that_counts_all() {
        let log = RejectionLog::new(Duration::from_secs(10));
        let start = Instant::now();
        let due = |reason, seconds, total| {
            log.due(reason, start + Duration::from_secs(seconds), || total)
        };
        assert_eq!(due(Rejection::MaxConnections, 0, 1), Some(1));
        assert_eq!(due(Rejection::MaxConnections, 0, 2), None);
        assert_eq!(due(Rejection::NotAllowed, 5, 7), Some(7));
        assert_eq!(due(Rejection::MaxConnections, 9, 900), None);
        assert_eq!(due(Rejection::MaxConnections, 10, 901), Some(900));
        assert_eq!(due(Rejection::MaxConnections, 19, 902), None);
    }
}
