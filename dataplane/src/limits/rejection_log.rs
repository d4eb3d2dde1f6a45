use std::num::NonZeroU64;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use exchange::Rejection;

/// Keeps lines about rejected connections from filling the log: one line per reason and interval,
/// all cores together.
#[derive(Debug)]
pub(crate) struct RejectionLog {
    interval: Duration,
    by_reason: [Mutex<Told>; Rejection::ALL.len()],
}

/// What was told of one reason.
#[derive(Debug, Default)]
struct Told {
    /// When the last line was written; `None` if an interval has passed since without news.
    at: Option<Instant>,
    /// How many the lines so far were about.
    count: u64,
}

impl RejectionLog {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, by_reason: Default::default() }
    }

    /// Whether one that has just been counted is to be told at once: the first for a while is. Never
    /// waits: if another core asks at the same time, that one may.
    pub(crate) fn is_first(&self, reason: Rejection, now: Instant) -> bool {
        let Ok(mut told) = self.by_reason[reason as usize].try_lock() else { return false };
        if told.at.is_some() {
            return false;
        }
        *told = Told { at: Some(now), count: told.count + 1 };
        true
    }

    /// How many have not been told, out of `total()` since the start, if there are any and an
    /// interval has passed since the last line. To be asked now and then, whether more come or not.
    pub(crate) fn due(
        &self,
        reason: Rejection,
        now: Instant,
        total: impl FnOnce() -> u64,
    ) -> Option<NonZeroU64> {
        let mut told = self.by_reason[reason as usize].try_lock().ok()?;
        if now.saturating_duration_since(told.at?) < self.interval {
            return None;
        }
        let total = total();
        let count = NonZeroU64::new(total.saturating_sub(told.count));
        *told = Told { at: count.map(|_| now), count: total };
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_when_the_interval_is_over() {
        let log = RejectionLog::new(Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let due = |reason, seconds, total| {
            log.due(reason, at(seconds), || total).map_or(0, NonZeroU64::get)
        };
        assert!(log.is_first(Rejection::MaxConnections, at(0)));
        assert!(!log.is_first(Rejection::MaxConnections, at(0)));
        assert!(log.is_first(Rejection::NotAllowed, at(5)));
        assert_eq!(due(Rejection::MaxConnections, 9, 27), 0);
        assert_eq!(due(Rejection::MaxConnections, 10, 27), 26);
        // Told only once, by whichever core.
        assert_eq!(due(Rejection::MaxConnections, 10, 27), 0);
        assert_eq!(due(Rejection::NotAllowed, 15, 1), 0);
        // A summary begins an interval, too.
        assert!(!log.is_first(Rejection::MaxConnections, at(15)));
        assert_eq!(due(Rejection::MaxConnections, 19, 28), 0);
        assert_eq!(due(Rejection::MaxConnections, 20, 28), 1);
        // Silence ends it.
        assert_eq!(due(Rejection::MaxConnections, 30, 28), 0);
        assert!(log.is_first(Rejection::MaxConnections, at(31)));
        assert_eq!(due(Rejection::MaxConnections, 41, 29), 0);
        assert_eq!(due(Rejection::MaxConnections, 99, 30), 0, "nothing was told of it");
        assert!(log.is_first(Rejection::MaxConnections, at(99)));
    }
}
