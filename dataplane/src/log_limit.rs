use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Keeps lines about one matter from filling the log: all cores share the limit.
#[derive(Debug)]
pub(crate) struct LogLimit {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl LogLimit {
    /// At most one line per `interval`.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, last: Mutex::new(None) }
    }

    /// Whether a line may be written now; if so, it counts. Never waits: if another core asks at
    /// the same time, that one may.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        let Ok(mut last) = self.last.try_lock() else { return false };
        let allowed = last.is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if allowed {
            *last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval() {
        let limit = LogLimit::new(Duration::from_secs(1));
        let start = Instant::now();
        let at = |ms| limit.allows(start + Duration::from_millis(ms));
        assert_eq!([0, 1, 999, 1000, 1500, 2000].map(at), [true, false, false, true, false, true]);
    }
}
